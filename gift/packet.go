package gift

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/ledger"
)

// Where a red packet stands.
const (
	packetOpen     = "open"
	packetEmpty    = "empty"    // all shares were claimed
	packetClosed   = "closed"   // it has expired, and the rest went back to the giver
	packetRecalled = "recalled" // its order was refunded
)

// packet is what the ledger keeps of a red packet. Its id is that of the order.
type packet struct {
	ID       string `json:"id"`
	User     string `json:"user"`
	Name     string `json:"name,omitempty"`
	Sum      int64  `json:"sum"`
	Currency string `json:"currency"`
	Shares   int64  `json:"shares"`
	Split    Split  `json:"split"`
	Seed     string `json:"seed"` // of the shares; secret while it is open
	Until    int64  `json:"until"`
	Claimed  int64  `json:"claimed"` // shares
	Paid     int64  `json:"paid"`    // their sum
}

func packetKey(id string) string { return "gift/packet/" + id }

// sendPacket answers "packet.send".
func (g *Gifts) sendPacket(ctx context.Context, req *im.Request) (any, error) {
	var amount, shares int64
	how := string(SplitLucky)
	err := decodeStrict(req.Body, field{name: "amount", number: &amount}, field{name: "shares", number: &shares}, field{name: "split", text: &how, optional: true})
	if err != nil {
		return nil, err
	}
	ask := hashed("packet", fmt.Sprint(amount), fmt.Sprint(shares), how)
	return g.order(ctx, req, ask, func(r *record) error {
		switch {
		case how != string(SplitEven) && how != string(SplitLucky):
			return refuse(im.CodeBadRequest, `"split" is %q or %q`, SplitEven, SplitLucky)
		case shares > g.opts.MaxShares:
			return refuse(im.CodeBadRequest, "at most %d can share a red packet", g.opts.MaxShares)
		case amount < shares:
			return refuse(im.CodeBadRequest, "a red packet for %d needs a sum of at least %d", shares, shares)
		}
		r.Sort, r.Amount, r.Currency, r.Shares, r.Split = SortPacket, amount, g.opts.Currency, shares, Split(how)
		r.Body = Body{Shares: shares, Split: Split(how)}
		return nil
	})
}

// openPacket makes the packet of an order that is charged with it.
func (g *Gifts) openPacket(r *record) ([]ledger.Change, error) {
	var seed [32]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, err
	}
	until := g.now().Add(g.opts.PacketFor)
	r.Body.Until = until.UnixMilli()
	p := packet{
		ID: r.ID, User: r.User, Name: r.Name, Sum: r.Amount, Currency: r.Currency,
		Shares: r.Shares, Split: r.Split, Seed: hex.EncodeToString(seed[:]), Until: r.Body.Until,
	}
	e, err := p.entry(ledger.Entry{Key: packetKey(r.ID), Room: r.Room, State: packetOpen, Due: until})
	return []ledger.Change{{Entry: e}}, err
}

// entry puts the packet into an entry.
func (p *packet) entry(e ledger.Entry) (ledger.Entry, error) {
	var err error
	e.Kind, e.User = kindPacket, p.User
	e.Data, err = json.Marshal(p)
	return e, err
}

func packetOf(e ledger.Entry) (*packet, error) {
	p := &packet{}
	if err := json.Unmarshal(e.Data, p); err != nil {
		return nil, fmt.Errorf("gift: the ledger's entry %q is no red packet: %w", e.Key, err)
	}
	return p, nil
}

// shares are all of the packet's, in the order in which they are claimed.
func (p *packet) shares() ([]int64, error) {
	var seed [32]byte
	if n, err := hex.Decode(seed[:], []byte(p.Seed)); err != nil || n != len(seed) || p.Shares < 1 || p.Sum < p.Shares {
		return nil, fmt.Errorf("gift: red packet %s is damaged", p.ID)
	}
	return split(seed, p.Sum, p.Shares, p.Split), nil
}

// loadPacket returns a packet of a room, and its entry.
func (g *Gifts) loadPacket(ctx context.Context, room, id string) (ledger.Entry, *packet, error) {
	e, err := g.ledger.Get(ctx, packetKey(id))
	if errors.Is(err, ledger.ErrNotFound) || err == nil && e.Room != room {
		return e, nil, refuse(im.CodeNotFound, "there is no such red packet in this room")
	}
	if err != nil {
		return e, nil, err
	}
	p, err := packetOf(e)
	return e, p, err
}

var errClaimed = refuse(im.CodeConflict, "shares of the red packet have been claimed, or it has ended; what is left goes back by itself")

// recallPacket takes back a packet of which nobody has claimed a share.
func (g *Gifts) recallPacket(ctx context.Context, r *record) ([]ledger.Change, error) {
	e, p, err := g.loadPacket(ctx, r.Room, r.ID)
	if err != nil {
		return nil, err
	}
	if e.State != packetOpen || p.Claimed > 0 {
		return nil, errClaimed
	}
	e.State, e.Due = packetRecalled, time.Time{}
	return []ledger.Change{{Entry: e}}, nil
}

// expirePacket closes a packet whose time is over, and has the rest paid to the giver.
func (g *Gifts) expirePacket(ctx context.Context, e ledger.Entry) error {
	p, err := packetOf(e)
	if err != nil {
		return err
	}
	if e.State != packetOpen { // it needs nothing
		e.Due = time.Time{}
		_, err := g.ledger.Commit(ctx, ledger.Change{Entry: e})
		return err
	}
	e.State, e.Due = packetClosed, time.Time{}
	changes := []ledger.Change{{Entry: e}}
	if rest := p.Sum - p.Paid; rest > 0 {
		o := Payout{
			ID: hashed("gift rest", p.ID), Sort: PayoutRest, State: PayoutOwed, Packet: p.ID,
			Room: e.Room, User: p.User, Name: p.Name, Amount: rest, Currency: p.Currency,
		}
		owed, err := o.entry(ledger.Entry{Key: "gift/rest/" + p.ID, Due: g.now()})
		if err != nil {
			return err
		}
		if err := g.audit(ctx, Transition{Payout: &o, Version: 1}, "payout.owed"); err != nil {
			return err
		}
		changes = append(changes, ledger.Change{Entry: owed})
	}
	if _, err := g.ledger.Commit(ctx, changes...); err != nil {
		return err
	}
	g.nudge()
	return nil
}

// packetAnswer is the answer to "packet.show".
type packetAnswer struct {
	Packet   string  `json:"packet"`
	State    string  `json:"state"`
	Sum      int64   `json:"sum"`
	Currency string  `json:"currency"`
	Split    Split   `json:"split"`
	Shares   int64   `json:"shares"`
	Claimed  int64   `json:"claimed"`
	Until    int64   `json:"until"`
	Mine     int64   `json:"mine,omitempty"`
	Claims   []Giver `json:"claims"`         // up to 100, in no order
	Seed     string  `json:"seed,omitempty"` // once it is over, so that everybody can draw the shares again
}

// showPacket answers "packet.show".
func (g *Gifts) showPacket(ctx context.Context, req *im.Request) (any, error) {
	var id string
	if err := decodeStrict(req.Body, field{name: "packet", text: &id}); err != nil {
		return nil, err
	}
	e, p, err := g.loadPacket(ctx, req.Room, id)
	if err != nil {
		return nil, g.mishap("read a red packet", err)
	}
	a := packetAnswer{
		Packet: id, State: e.State, Sum: p.Sum, Currency: p.Currency, Split: p.Split, Shares: p.Shares, Claimed: p.Claimed,
		Until: p.Until, Claims: []Giver{},
	}
	if e.State != packetOpen {
		a.Seed = p.Seed
	}
	claims, err := g.ledger.List(ctx, ledger.Query{Prefix: claimKey(id, ""), Max: 100})
	if err != nil {
		return nil, g.mishap("read a red packet", err)
	}
	for _, c := range claims {
		o, err := payoutOf(c)
		if err != nil {
			return nil, g.mishap("read a red packet", err)
		}
		a.Claims = append(a.Claims, Giver{ID: o.User, Name: o.Name, Amount: o.Amount})
	}
	if mine, err := g.claimed(ctx, id, req.User.ID); err != nil {
		return nil, g.mishap("read a red packet", err)
	} else if mine != nil {
		a.Mine = mine.Amount
	}
	return a, nil
}
