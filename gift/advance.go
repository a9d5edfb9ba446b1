package gift

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/ledger"
)

// advance takes an order as far as it gets now. Its caller has just put off its due time, and so has it to itself for a
// lease. fresh says that no event of it can have been appended before.
func (g *Gifts) advance(ctx context.Context, r *record, fresh bool) {
	for again := true; again && ctx.Err() == nil; {
		var err error
		switch r.State {
		case StatePending:
			again, err = g.charge(ctx, r)
			fresh = true // if it is charged, it is so from now on
		case StateCharged:
			again, err = g.deliver(ctx, r, fresh)
		case StateCanceling, StateRefunding:
			again, err = false, g.giveBack(ctx, r)
		default:
			return
		}
		switch {
		case errors.Is(err, ledger.ErrStale):
			return // somebody else has moved it on
		case err != nil && ctx.Err() == nil:
			// What the ledger has is still due after the lease, and is then read again.
			g.opts.Logger.Warn("gift: an order waits for its next turn", "order", r.ID, "state", r.State, "error", err)
			return
		}
	}
}

// charge takes the money of a pending order.
func (g *Gifts) charge(ctx context.Context, r *record) (again bool, err error) {
	if !g.now().Before(r.Expires) {
		return g.cancel(ctx, r, StateCanceled, "the payment did not come in time")
	}
	o := r.Order // what hangs does not share it with us
	err = g.guard.call(ctx, "Charge.Reserve", func(ctx context.Context) error { return g.pay.Reserve(ctx, o) })
	var no *Declined
	if errors.As(err, &no) {
		r.Reason = no.Reason
		return false, g.move(ctx, r, StateFailed, time.Time{}, nil)
	}
	if err == nil {
		err = g.guard.call(ctx, "Charge.Commit", func(ctx context.Context) error { return g.pay.Commit(ctx, o) })
	}
	switch {
	case err == nil:
		return true, g.charged(ctx, r)
	case errors.As(err, &no):
		return g.cancel(ctx, r, StateFailed, no.Reason) // what was reserved is given back first
	}
	return false, g.postpone(ctx, r, err)
}

// cancel begins to give back what may have been reserved.
func (g *Gifts) cancel(ctx context.Context, r *record, then State, reason string) (again bool, err error) {
	r.Then, r.Reason, r.Tries = then, reason, 0
	return true, g.move(ctx, r, StateCanceling, g.now().Add(g.opts.Lease), nil)
}

// charged notes that the host has the money, and together with that all that decides what the room will see.
func (g *Gifts) charged(ctx context.Context, r *record) error {
	r.Tries, r.Reason = 0, ""
	note, err := g.head(ctx, r.Room)
	if err == nil {
		r.Note = note
	} else { // it is charged all the same; deliver looks again
		g.opts.Logger.Warn("gift: the room of an order does not open", "order", r.ID, "room", r.Room, "error", err)
	}
	return g.move(ctx, r, StateCharged, g.now().Add(g.opts.Lease), func(ctx context.Context) ([]ledger.Change, error) {
		switch {
		case r.Sort == SortPacket:
			return g.openPacket(r)
		case r.Sort == SortPaid && r.PinFor > 0:
			r.Body.Until = g.now().UnixMilli() + r.PinFor
		case r.Combo > 0:
			return g.combo(ctx, r)
		}
		return nil, nil
	})
}

// giveBack reverses the charge of an order that is canceled or refunded.
func (g *Gifts) giveBack(ctx context.Context, r *record) error {
	to := StateRefunded
	if r.State == StateCanceling {
		to = r.Then
	} else if err := g.unpin(ctx, r); err != nil {
		return g.postpone(ctx, r, err)
	}
	o := r.Order
	err := g.guard.call(ctx, "Charge.Refund", func(ctx context.Context) error { return g.pay.Refund(ctx, o) })
	var no *Declined
	switch {
	case errors.As(err, &no):
		r.Reason = "the refund was declined: " + no.Reason
		return g.move(ctx, r, StateReview, time.Time{}, nil)
	case err != nil:
		return g.postpone(ctx, r, err)
	}
	return g.move(ctx, r, to, time.Time{}, nil)
}

// postpone has an order rest until it is asked about again.
func (g *Gifts) postpone(ctx context.Context, r *record, cause error) error {
	wait := g.opts.Ask
	if !errors.Is(cause, ErrPending) {
		r.Tries++
		wait = backoff(r.Tries)
		g.opts.Logger.Warn("gift: it is not known how an order stands; it is asked about again", "order", r.ID, "state", r.State, "tries", r.Tries, "in", wait, "error", cause)
	}
	due := g.now().Add(wait)
	if r.State == StatePending && due.After(r.Expires) {
		due = r.Expires
	}
	return g.save(ctx, r, due)
}

// backoff is how long to wait after so many tries: from half a second to a minute, spread so that a service that comes back is
// not overrun.
func backoff(tries int) time.Duration {
	most := min(500*time.Millisecond<<min(tries, 10), time.Minute)
	return most/2 + rand.N(most/2)
}

// move takes an order to a state, with more changes in the same commit. extra makes them, and makes them anew if
// one of them was stale. On success r is as the ledger has it; if it is stale itself, somebody else has it.
func (g *Gifts) move(ctx context.Context, r *record, to State, due time.Time, extra func(ctx context.Context) ([]ledger.Change, error)) error {
	from := r.State
	if r.version == 0 {
		from = ""
	}
	r.State = to
	if err := g.audit(ctx, Transition{Order: &r.Order, From: from, Version: r.version + 1}, "gift."+string(to)); err != nil {
		return err
	}
	if err := g.commit(ctx, r, due, extra); err != nil {
		return err
	}
	g.tell(r)
	return nil
}

// save stores an order that stays in its state.
func (g *Gifts) save(ctx context.Context, r *record, due time.Time) error {
	if err := g.commit(ctx, r, due, nil); err != nil {
		return err
	}
	g.tell(r)
	return nil
}

func (g *Gifts) commit(ctx context.Context, r *record, due time.Time, extra func(ctx context.Context) ([]ledger.Change, error)) error {
	for {
		var more []ledger.Change
		if extra != nil {
			var err error
			if more, err = extra(ctx); err != nil {
				return err
			}
		}
		e, err := r.entry(due)
		if err != nil {
			return err
		}
		out, err := g.ledger.Commit(ctx, append([]ledger.Change{{Entry: e}}, more...)...)
		var stale *ledger.StaleError
		switch {
		case errors.As(err, &stale) && stale.Key != e.Key && g.unmoved(ctx, e):
			continue // another order of the same giver was faster
		case err != nil:
			return err
		}
		r.version = out[0].Version
		return nil
	}
}

// unmoved reports whether the ledger still has the version of an entry that a change has named.
func (g *Gifts) unmoved(ctx context.Context, e ledger.Entry) bool {
	have, err := g.ledger.Get(ctx, e.Key)
	if errors.Is(err, ledger.ErrNotFound) {
		return e.Version == 0
	}
	return err == nil && have.Version == e.Version
}

// audit tells the host of a step before it is taken.
func (g *Gifts) audit(ctx context.Context, t Transition, action string) error {
	if g.opts.Audit == nil {
		return nil
	}
	if t.Order != nil {
		copied := *t.Order
		t.Order = &copied
	}
	if t.Payout != nil {
		copied := *t.Payout
		t.Payout = &copied
	}
	return g.guard.call(ctx, "Options.Audit", func(ctx context.Context) error { return g.opts.Audit(ctx, action, t) })
}

// head is the place in a room's log after which an event of an order will stand. In a room without events it
// makes one that viewers do not see, since the place before the first may be forgotten.
func (g *Gifts) head(ctx context.Context, room string) (im.Position, error) {
	r := g.hub.Room(room)
	pos, err := r.Position(ctx)
	if err != nil || pos.Seq > 0 {
		return pos, err
	}
	if err := r.State().Sync(ctx); err != nil {
		return im.Position{}, err
	}
	return r.Position(ctx)
}
