package gift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/liveim/im/ledger"
)

// PayoutSort is what a payout is of a red packet.
type PayoutSort string

const (
	PayoutShare PayoutSort = "share" // what a user has claimed
	PayoutRest  PayoutSort = "rest"  // what goes back to the giver
)

// Where a payout stands.
const (
	PayoutOwed   State = "owed" // the Payer is asked until it has paid
	PayoutPaid   State = "paid"
	PayoutReview State = "review" // the Payer has declined it
)

// Payout is money that the host owes to a user.
type Payout struct {
	// ID names it for good: the key to give to the payment service.
	ID    string     `json:"id"`
	Sort  PayoutSort `json:"sort"`
	State State      `json:"state"`
	// Packet is the order that paid for it.
	Packet string `json:"packet"`
	Room   string `json:"room"`
	User   string `json:"user"`
	Name   string `json:"name,omitempty"`
	// Amount is in minor units of Currency.
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	// Reason says why it is in review.
	Reason string `json:"reason,omitempty"`
	// Tries counts the times in a row that the Payer had no answer.
	Tries int `json:"tries,omitempty"`
}

// entry puts the payout into an entry.
func (o *Payout) entry(e ledger.Entry) (ledger.Entry, error) {
	var err error
	e.Kind, e.State, e.Room, e.User = kindPayout, string(o.State), o.Room, o.User
	e.Data, err = json.Marshal(o)
	return e, err
}

func payoutOf(e ledger.Entry) (*Payout, error) {
	o := &Payout{}
	if err := json.Unmarshal(e.Data, o); err != nil {
		return nil, fmt.Errorf("gift: the ledger's entry %q is no payout: %w", e.Key, err)
	}
	return o, nil
}

// payOut pays what is owed, and notes it.
func (g *Gifts) payOut(ctx context.Context, e ledger.Entry) error {
	o, err := payoutOf(e)
	if err != nil {
		return err
	}
	if g.opts.Payer == nil {
		return errors.New("gift: a share of a red packet is owed, and Options.Payer is nil; set it until all are paid")
	}
	owed := *o // what hangs does not share it with us
	err = g.guard.call(ctx, "Payer.Pay", func(ctx context.Context) error { return g.opts.Payer.Pay(ctx, owed) })
	var no *Declined
	due := time.Time{}
	switch {
	case err == nil:
		o.State, o.Tries = PayoutPaid, 0
	case errors.As(err, &no):
		o.State, o.Reason = PayoutReview, no.Reason
		g.opts.Logger.Error("gift: a payout must be looked into", "payout", o.ID, "user", o.User, "reason", o.Reason)
	case errors.Is(err, ErrPending):
		due = g.now().Add(g.opts.Ask)
	default:
		o.Tries++
		due = g.now().Add(backoff(o.Tries))
		g.opts.Logger.Warn("gift: it is not known whether a payout was made; it is asked about again", "payout", o.ID, "tries", o.Tries, "error", err)
	}
	if o.State != PayoutOwed {
		if err := g.audit(ctx, Transition{Payout: o, From: PayoutOwed, Version: e.Version + 1}, "payout."+string(o.State)); err != nil {
			return err
		}
	}
	e.Due = due
	if e, err = o.entry(e); err != nil {
		return err
	}
	_, err = g.ledger.Commit(ctx, ledger.Change{Entry: e})
	return err
}

// Payouts returns what has become of a red packet: the shares that were claimed and the rest that went back, up
// to 10,001 of them.
func (g *Gifts) Payouts(ctx context.Context, packet string) ([]Payout, error) {
	var out []Payout
	collect := func(entries []ledger.Entry) error {
		for _, e := range entries {
			o, err := payoutOf(e)
			if err != nil {
				return err
			}
			out = append(out, *o)
		}
		return nil
	}
	q := ledger.Query{Prefix: claimKey(packet, ""), Kind: kindPayout, Max: 1000}
	for {
		entries, err := g.ledger.List(ctx, q)
		if err == nil {
			err = collect(entries)
		}
		if err != nil {
			return nil, err
		}
		if len(entries) < q.Max {
			break
		}
		q.After = entries[len(entries)-1].Key
	}
	e, err := g.ledger.Get(ctx, "gift/rest/"+packet)
	if errors.Is(err, ledger.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	return out, collect([]ledger.Entry{e})
}
