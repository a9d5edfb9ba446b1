package gift

import (
	"context"
	"errors"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/ledger"
)

// Result is what a payment service has decided.
type Result uint8

const (
	Paid   Result = iota + 1 // the host has the money; Reserve and Commit are not called any more
	Unpaid                   // nothing was and will be taken
)

// Notification is what a payment service tells of an order that was pending.
type Notification struct {
	// Order is the id of the order, which the payment service was given. Required.
	Order string
	// Result says what was decided. Required.
	Result Result
	// Amount and Currency are what was paid, as the payment service says. They must be those of the order if Result is
	// Paid: an order for which something else was paid goes to review.
	Amount   int64
	Currency string
	// Reference is the payment service's own name of it, kept with the order. Optional, up to 256 bytes.
	Reference string
	// Reason is a sentence for the giver if Result is Unpaid. Optional.
	Reason string
}

// Notify finishes an order with what a payment service has told the host, minutes later perhaps. Call it from the
// handler of the payment service's notifications, after that has checked the signature: Notify believes what it is told.
// Return an error of Notify to the payment service, so that it tells again; nil means that it need not.
//
// To notify again has no further effect. An order that is told to be paid after it was canceled is given back once more. An
// *im.Error with im.CodeNotFound says that there is no such order, one with im.CodeConflict that what is told contradicts
// what was decided: an order that has been paid for cannot become unpaid; use Refund.
func (g *Gifts) Notify(ctx context.Context, n Notification) error {
	if n.Result != Paid && n.Result != Unpaid || len(n.Reference) > 256 {
		return refuse(im.CodeBadRequest, "a Notification needs a Result, and a Reference has at most 256 bytes")
	}
	return g.alter(ctx, n.Order, func(r *record) (bool, error) {
		if n.Result == Unpaid {
			return g.unpaid(ctx, r, &n)
		}
		return g.paid(ctx, r, &n)
	})
}

// alter loads an order, has f change it, and goes on with it if f says so. If somebody else changes it meanwhile, it does
// so anew.
func (g *Gifts) alter(ctx context.Context, id string, f func(r *record) (again bool, err error)) error {
	for {
		if g.isClosed() {
			return errClosing
		}
		r, err := g.load(ctx, id)
		if errors.Is(err, ledger.ErrNotFound) {
			return refuse(im.CodeNotFound, "there is no order %.40q", id)
		}
		if err != nil {
			return err
		}
		again, err := f(r)
		if errors.Is(err, ledger.ErrStale) && ctx.Err() == nil {
			continue
		}
		if err == nil && again {
			g.begin(func() { g.advance(g.life, r, r.State == StateCharged) })
		}
		return err
	}
}

func (g *Gifts) unpaid(ctx context.Context, r *record, n *Notification) (bool, error) {
	switch r.State {
	case StatePending:
		r.Reference, r.Reason = n.Reference, n.Reason
		if r.Reason == "" {
			r.Reason = "the payment was declined"
		}
		// Something may have been reserved with another service, so this is not simply failed.
		return g.cancel(ctx, r, StateFailed, r.Reason)
	case StateCanceling, StateCanceled, StateFailed:
		return false, nil
	}
	return false, refuse(im.CodeConflict, "order %s is %s: it has been paid for; use Refund to give the money back", r.ID, r.State)
}

func (g *Gifts) paid(ctx context.Context, r *record, n *Notification) (bool, error) {
	switch {
	case r.State == StatePending && (n.Amount != r.Amount || n.Currency != r.Currency):
		r.Reference = n.Reference
		r.Reason = "what was paid is not what was asked for"
		g.opts.Logger.Error("gift: an order must be looked into", "order", r.ID, "reason", r.Reason, "paid", n.Amount, "currency", n.Currency)
		return false, g.move(ctx, r, StateReview, time.Time{}, nil)
	case r.State == StatePending:
		r.Reference = n.Reference
		return true, g.charged(ctx, r)
	case (r.State == StateCanceled || r.State == StateFailed) && !r.Late:
		// The notification and the end of the order have crossed. Refund has no second effect.
		r.Late, r.Reference, r.Then = true, n.Reference, r.State
		return true, g.move(ctx, r, StateCanceling, g.now().Add(g.opts.Lease), nil)
	}
	return false, nil
}

// Refund gives the money of an order back that is delivered or in review, and takes it off the top givers and the pinned
// messages. What the room has seen stays in its history. It returns once that is noted; the Charge is asked until it
// has done it. For an order that is refunded, or about to be, it does nothing.
//
// The error is an *im.Error: im.CodeNotFound without such an order, im.CodeConflict for one that is not paid, or is a red packet
// of which somebody has claimed a share.
func (g *Gifts) Refund(ctx context.Context, id, reason string) error {
	return g.alter(ctx, id, func(r *record) (bool, error) {
		switch r.State {
		case StateRefunding, StateRefunded:
			return false, nil
		case StateDelivered, StateReview:
			return g.refund(ctx, r, reason)
		}
		return false, refuse(im.CodeConflict, "order %s is %s; only what is delivered or in review can be refunded", r.ID, r.State)
	})
}

// Settle decides an order that is in review because it is not known whether the room has seen it. shown says that it has,
// or that it need not: the order is delivered. Otherwise it is shown now. Orders that are in review for
// another reason are refused with im.CodeConflict: use Refund.
func (g *Gifts) Settle(ctx context.Context, id string, shown bool) error {
	return g.alter(ctx, id, func(r *record) (bool, error) {
		if r.State != StateReview || !r.Lost {
			return false, refuse(im.CodeConflict, "order %s is %s, and not in doubt about what the room has seen", r.ID, r.State)
		}
		r.Reason, r.Lost, r.Unsure = "", false, false
		if shown {
			return false, g.delivered(ctx, r)
		}
		var err error
		if r.Note, err = g.head(ctx, r.Room); err != nil {
			return false, err
		}
		return true, g.move(ctx, r, StateCharged, g.now().Add(g.opts.Lease), nil)
	})
}
