package client

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/liveim/im"
)

// These are the operations of package gift, for servers that have it. The others answer them with im.CodeNotFound.

// GiftItem is a gift that can be given.
type GiftItem struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Price    int64  `json:"price"` // of one, in minor units of Currency
	Currency string `json:"currency"`
	Effect   string `json:"effect"`    // what to show, in words of the host
	MaxCount int64  `json:"max_count"` // in one order
	ComboMS  int64  `json:"combo_ms"`  // how soon the next one continues a combo; 0: no combos
}

// PaidTier is what a paid message of an amount, or more, gets.
type PaidTier struct {
	Amount    int64  `json:"amount"`
	Color     string `json:"color"`
	PinMS     int64  `json:"pin_ms"`     // 0: not pinned
	MaxLength int    `json:"max_length"` // characters
}

// GiftList is what a room sells.
type GiftList struct {
	Gifts     []GiftItem `json:"gifts"`
	Tiers     []PaidTier `json:"tiers"`      // empty: there are no paid messages
	Currency  string     `json:"currency"`   // of paid messages, red packets and top givers
	MaxShares int64      `json:"max_shares"` // of a red packet; 0: there are none
}

// OrderState is where an order stands.
type OrderState string

// The states of an order. One that was declined, or has expired, is an *im.Error with the code "declined" instead.
const (
	OrderPending   OrderState = "pending"   // the payment service has yet to answer; the end comes as a direct message
	OrderCharged   OrderState = "charged"   // paid; the room is about to see it
	OrderDelivered OrderState = "delivered" // final
	OrderCanceling OrderState = "canceling" // about to be canceled or failed
	OrderCanceled  OrderState = "canceled"  // final
	OrderFailed    OrderState = "failed"    // final
	OrderRefunding OrderState = "refunding"
	OrderRefunded  OrderState = "refunded" // final
	OrderReview    OrderState = "review"   // the host looks into it
)

// Order is what became of something that was bought.
type Order struct {
	// ID is the order's, and that of the event which the room sees.
	ID       string     `json:"order"`
	State    OrderState `json:"state"`
	Amount   int64      `json:"amount"`
	Currency string     `json:"currency"`
	// Combo is set for gifts that make combos, once they are charged.
	Combo *GiftCombo `json:"combo"`
	// Expires is when a pending order is canceled, in milliseconds since 1970.
	Expires int64  `json:"expires"`
	Reason  string `json:"reason"`
	// CID is the client id of the request, to be used for no other.
	CID string `json:"-"`
}

// GiftCombo is a gift that grows.
type GiftCombo struct {
	ID       string `json:"id"`    // the same for all gifts of the combo
	Count    int64  `json:"count"` // show the highest that has come
	WindowMS int64  `json:"window_ms"`
}

// GiftBody is the body of an event of the kind im.Gift: decode it with im.Decode[client.GiftBody]. Which fields there
// are depends on Type; docs/protocol.md has them all.
type GiftBody struct {
	Type     string `json:"type"` // "gift", "paid" or "packet"; ignore others
	Order    string `json:"order"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`

	Gift   string     `json:"gift"`
	Name   string     `json:"name"`
	Count  int64      `json:"count"`
	Effect string     `json:"effect"`
	Combo  *GiftCombo `json:"combo"`

	Text  string `json:"text"`
	Color string `json:"color"`

	Shares int64  `json:"shares"`
	Split  string `json:"split"`

	Until int64 `json:"until"` // milliseconds since 1970
}

// TopGiver is one line of a list of top givers.
type TopGiver struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Amount int64  `json:"amount"`
}

// TopGivers is a list of top givers, also the value of the state keys "gift.top.stream", "gift.top.day" and "gift.top.all".
type TopGivers struct {
	Period   string     `json:"period"` // the stream or the day that it is about
	Currency string     `json:"currency"`
	Top      []TopGiver `json:"top"`
}

// RedPacket is how a red packet stands.
type RedPacket struct {
	ID       string     `json:"packet"`
	State    string     `json:"state"` // "open", "empty", "closed" or "recalled"
	Sum      int64      `json:"sum"`
	Currency string     `json:"currency"`
	Split    string     `json:"split"`
	Shares   int64      `json:"shares"`
	Claimed  int64      `json:"claimed"` // shares
	Until    int64      `json:"until"`
	Mine     int64      `json:"mine"`   // what this user has got; 0: nothing
	Claims   []TopGiver `json:"claims"` // up to 100
	Seed     string     `json:"seed"`   // once it is over: what the shares were drawn from
}

// Gifts returns what the room sells.
func (r *Room) Gifts(ctx context.Context) (GiftList, error) {
	l, _, err := callInto[GiftList](ctx, r, r.c.newCID(), "gift.list", nil)
	return l, err
}

// SendGift buys a gift and gives it to the room. price is what the user was shown for one: if it is another by now, the error has
// im.CodeConflict; 0 means any.
//
// It is charged once, however often the request has to be sent. The order that comes back may be pending. A payment that
// is declined is an *im.Error with the code "declined". If ctx ends first the outcome is open: call SendGiftAs with Order.CID
// to go on.
func (r *Room) SendGift(ctx context.Context, gift string, count, price int64) (Order, error) {
	return r.SendGiftAs(ctx, r.c.newCID(), gift, count, price)
}

// SendGiftAs is [Room.SendGift] under a cid that the application chooses; see [Room.SendAs].
func (r *Room) SendGiftAs(ctx context.Context, cid, gift string, count, price int64) (Order, error) {
	body := struct {
		Gift  string `json:"gift"`
		Count int64  `json:"count,omitempty"`
		Price int64  `json:"price,omitempty"`
	}{gift, count, price}
	return r.order(ctx, cid, "gift.send", body)
}

// SendPaid buys a message that is shown in a colour and pinned, as GiftList.Tiers has it for the amount. It is otherwise as
// [Room.SendGift].
func (r *Room) SendPaid(ctx context.Context, amount int64, text string) (Order, error) {
	return r.SendPaidAs(ctx, r.c.newCID(), amount, text)
}

// SendPaidAs is [Room.SendPaid] under a cid that the application chooses.
func (r *Room) SendPaidAs(ctx context.Context, cid string, amount int64, text string) (Order, error) {
	body := struct {
		Amount int64  `json:"amount"`
		Text   string `json:"text"`
	}{amount, text}
	return r.order(ctx, cid, "paid.send", body)
}

// SendPacket buys a red packet: amount is split among the first who claim a share, so many of them, "even" or by lot,
// "lucky". The id of the packet is that of the order. It is otherwise as [Room.SendGift].
func (r *Room) SendPacket(ctx context.Context, amount, shares int64, split string) (Order, error) {
	return r.SendPacketAs(ctx, r.c.newCID(), amount, shares, split)
}

// SendPacketAs is [Room.SendPacket] under a cid that the application chooses.
func (r *Room) SendPacketAs(ctx context.Context, cid string, amount, shares int64, split string) (Order, error) {
	body := struct {
		Amount int64  `json:"amount"`
		Shares int64  `json:"shares"`
		Split  string `json:"split,omitempty"`
	}{amount, shares, split}
	return r.order(ctx, cid, "packet.send", body)
}

// ClaimPacket claims a share of a red packet and returns how much it is. A user has one share, and gets the same answer
// again. Who comes too late gets an *im.Error with im.CodeForbidden.
func (r *Room) ClaimPacket(ctx context.Context, packet string) (int64, error) {
	share, _, err := callInto[struct{ Amount int64 }](ctx, r, r.c.newCID(), "packet.claim", map[string]string{"packet": packet})
	return share.Amount, err
}

// Packet returns how a red packet stands.
func (r *Room) Packet(ctx context.Context, packet string) (RedPacket, error) {
	p, _, err := callInto[RedPacket](ctx, r, r.c.newCID(), "packet.show", map[string]string{"packet": packet})
	return p, err
}

// TopGivers returns up to a hundred of those who gave most: "stream", "day" or "all".
func (r *Room) TopGivers(ctx context.Context, list string) (TopGivers, error) {
	l, _, err := callInto[TopGivers](ctx, r, r.c.newCID(), "gift.top", map[string]string{"list": list})
	return l, err
}

// Order returns how an order of this user stands, of whatever room.
func (c *Client) Order(ctx context.Context, id string) (Order, error) {
	receipt, err := c.Call(ctx, "gift.order", "", map[string]string{"order": id})
	var o Order
	if err == nil {
		err = readBody(&receipt, "gift.order", &o)
	}
	return o, err
}

// ExpiresAt is Expires as a time, by the server's clock; zero if the order does not expire.
func (o *Order) ExpiresAt() time.Time {
	if o.Expires == 0 {
		return time.Time{}
	}
	return time.UnixMilli(o.Expires)
}

func (r *Room) order(ctx context.Context, cid, op string, body any) (Order, error) {
	o, cid, err := callInto[Order](ctx, r, cid, op, body)
	o.CID = cid
	return o, err
}

// callInto calls an operation about the room and reads its answer.
func callInto[T any](ctx context.Context, r *Room, cid, op string, body any) (answer T, usedCID string, err error) {
	if err := r.Err(); err != nil {
		return answer, cid, err
	}
	receipt, err := r.c.CallAs(ctx, cid, op, r.name, body)
	if err == nil {
		err = readBody(&receipt, op, &answer)
	}
	return answer, cid, err
}

func readBody(receipt *Receipt, op string, into any) error {
	if len(receipt.Body) == 0 {
		// The answer was too large to outlast a restart of the server; the call has succeeded all the same.
		return &im.Error{Code: im.CodeInternal, Reason: op + " was carried out, and its answer is gone"}
	}
	if err := json.Unmarshal(receipt.Body, into); err != nil {
		return fmt.Errorf("client: the answer to %s: %w", op, err)
	}
	return nil
}
