package gift

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/ledger"
)

// State is where an order stands; see the package documentation.
type State string

const (
	StatePending   State = "pending"   // the charge is under way, or the payment service has yet to answer
	StateCharged   State = "charged"   // the host has the money; the room is to see it
	StateDelivered State = "delivered" // final: the room has seen it
	StateCanceling State = "canceling" // what may have been reserved is given back
	StateCanceled  State = "canceled"  // final: expired
	StateFailed    State = "failed"    // final: the payment was declined
	StateRefunding State = "refunding" // the money is given back
	StateRefunded  State = "refunded"  // final
	StateReview    State = "review"    // final until a human decides; Order.Reason says what about
)

// Final reports whether an order in the state changes no more by itself.
func (s State) Final() bool {
	switch s {
	case StateDelivered, StateCanceled, StateFailed, StateRefunded, StateReview:
		return true
	}
	return false
}

// Sort is what an order buys.
type Sort string

const (
	SortGift   Sort = "gift"   // Item and Count
	SortPaid   Sort = "paid"   // a message: Text
	SortPacket Sort = "packet" // a red packet: Shares and Split
)

// Split is how a red packet is shared out.
type Split string

const (
	SplitEven  Split = "even"  // equal shares; what does not divide goes to the first
	SplitLucky Split = "lucky" // drawn by lot, at least 1 each
)

// Order is what a user has bought. Orders that are handed out are copies.
type Order struct {
	// ID names it for good: 22 characters of A-Z, a-z, 0-9, '_' and '-'. It is the id of the event in the room, and the key
	// to give to the payment service.
	ID    string `json:"id"`
	State State  `json:"state"`
	Sort  Sort   `json:"sort"`
	Room  string `json:"room"`
	// User and Name are the giver.
	User string `json:"user"`
	Name string `json:"name,omitempty"`

	Item   string `json:"item,omitempty"`
	Count  int64  `json:"count,omitempty"`
	Price  int64  `json:"price,omitempty"`
	Text   string `json:"text,omitempty"`
	Shares int64  `json:"shares,omitempty"`
	Split  Split  `json:"split,omitempty"`

	// Amount is the sum, in minor units of Currency.
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`

	Placed  time.Time `json:"placed"`
	Expires time.Time `json:"expires"` // if it is still pending then
	// Reference is what a Notification has said of it.
	Reference string `json:"reference,omitempty"`
	// Reason says why it has failed, was canceled or refunded, or is to be reviewed.
	Reason string `json:"reason,omitempty"`
	// Pos is where the room's event stands, once it was delivered. It is zero where that is not known.
	Pos im.Position `json:"pos,omitzero"`
}

// record is an order as the ledger has it.
type record struct {
	Order
	Ask    string      `json:"ask"`              // a hash of what the client has asked for
	Body   Body        `json:"body"`             // of the event
	Stream string      `json:"stream,omitempty"` // for the top givers
	Day    string      `json:"day,omitempty"`
	Combo  int64       `json:"combo,omitempty"`   // the item's window, in milliseconds
	Note   im.Position `json:"note,omitzero"`     // the head of the room before the event was appended
	Then   State       `json:"then,omitempty"`    // where canceling leads
	Tries  int         `json:"tries,omitempty"`   // in a row that had no answer
	Unsure bool        `json:"unsure,omitempty"`  // an append had no answer
	Late   bool        `json:"late,omitempty"`    // it was said to be paid after it had ended
	Lost   bool        `json:"lost,omitempty"`    // in review, because it is not known whether the room has seen it
	Taken  bool        `json:"taken,omitempty"`   // it counts for the top givers
	PinFor int64       `json:"pin_for,omitempty"` // of a paid message, in milliseconds

	version uint64
}

const (
	kindOrder  = "gift.order"
	kindPayout = "gift.payout"
	kindPacket = "gift.packet"
	kindBoard  = "gift.board"

	orderPrefix = "gift/order/"
)

// entry is how the ledger keeps the record.
func (r *record) entry(due time.Time) (ledger.Entry, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return ledger.Entry{}, fmt.Errorf("gift: encode order %s: %w", r.ID, err)
	}
	return ledger.Entry{
		Key: orderPrefix + r.ID, Version: r.version, Kind: kindOrder, State: string(r.State),
		Room: r.Room, User: r.User, Data: data, Due: due,
	}, nil
}

// recordOf reads an entry.
func recordOf(e ledger.Entry) (*record, error) {
	r := &record{}
	if err := json.Unmarshal(e.Data, r); err != nil {
		return nil, fmt.Errorf("gift: the ledger's entry %q is no order of this version: %w", e.Key, err)
	}
	r.version = e.Version
	return r, nil
}

// hashed forms a name from parts of any bytes; no two lists of parts have the same one.
func hashed(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		_, _ = h.Write(n[:])
		_, _ = h.Write([]byte(p))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// orderID is the id of the order that a call places.
func orderID(req *im.Request) string { return hashed("gift order", req.Op, req.Room, req.EventID()) }
