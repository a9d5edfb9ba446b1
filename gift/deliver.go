package gift

import (
	"context"
	"errors"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/ledger"
)

// deliver shows a charged order to its room, once.
func (g *Gifts) deliver(ctx context.Context, r *record, fresh bool) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, g.opts.Lease) // after that somebody else does it
	defer cancel()
	if r.Note.IsZero() {
		if r.Note, err = g.head(ctx, r.Room); err != nil {
			return false, g.postpone(ctx, r, err)
		}
		if err := g.save(ctx, r, g.now().Add(g.opts.Lease)); err != nil {
			return false, err
		}
		fresh = true
	}
	if !fresh {
		switch found, err := g.find(ctx, r); {
		case errors.Is(err, im.ErrGap):
			return false, g.review(ctx, r, "it is not known whether the room has seen it: the log no longer reaches back to where it would be")
		case err != nil:
			return false, g.postpone(ctx, r, err)
		case found:
			return false, g.delivered(ctx, r)
		}
	}
	e, err := g.hub.Room(r.Room).Send(ctx, im.Gift, r.Body, im.WithID(r.ID), im.AsUser(im.User{ID: r.User, Name: r.Name}))
	if err != nil {
		return g.undelivered(ctx, r, err)
	}
	r.Pos = e.Pos
	return false, g.delivered(ctx, r)
}

// find looks for the event of an order in the log, from the place on that the order has noted.
func (g *Gifts) find(ctx context.Context, r *record) (bool, error) {
	q := im.HistoryQuery{After: r.Note, Kinds: []im.Kind{im.Gift}, Max: 500}
	for page, err := range g.hub.Room(r.Room).Pages(ctx, q) {
		if err != nil {
			return false, err
		}
		for _, e := range page.Events {
			if e.ID == r.ID {
				r.Pos = e.Pos
				return true, nil
			}
		}
	}
	return false, nil
}

// undelivered decides what becomes of an order whose event the room has not taken.
func (g *Gifts) undelivered(ctx context.Context, r *record, cause error) (again bool, err error) {
	var refusal *im.Error
	if !errors.As(cause, &refusal) {
		return false, g.postpone(ctx, r, cause)
	}
	switch refusal.Code {
	case im.CodeConflict:
		// Nobody else uses the id: the event is there, but the hub's secret, which its digest depends on, was another one.
		found, err := g.find(ctx, r)
		switch {
		case err == nil && found:
			return false, g.delivered(ctx, r)
		case err != nil && !errors.Is(err, im.ErrGap):
			return false, g.postpone(ctx, r, err)
		}
		return false, g.review(ctx, r, "the room's log has another event under the id of this order")
	case im.CodeRoomClosed, im.CodeTooLarge, im.CodeBadRequest, im.CodeNotFound:
		if r.Unsure {
			return false, g.review(ctx, r, "the room takes no events any more, and it is not known whether it has seen this one: "+refusal.Reason)
		}
		return g.refund(ctx, r, "the room could not show it: "+refusal.Error())
	case im.CodeTimeout:
		r.Unsure = true
	}
	return false, g.postpone(ctx, r, cause)
}

// delivered notes that the room has seen it, and counts it for the top givers.
func (g *Gifts) delivered(ctx context.Context, r *record) error {
	if err := g.pin(ctx, r); err != nil {
		return g.postpone(ctx, r, err)
	}
	r.Tries, r.Unsure = 0, false
	if !g.ranked(r) {
		return g.move(ctx, r, StateDelivered, time.Time{}, nil)
	}
	done, err := g.beginTotal(ctx, r.Room)
	if err != nil {
		return err
	}
	defer done(r.User)
	r.Taken = true
	return g.move(ctx, r, StateDelivered, time.Time{}, func(ctx context.Context) ([]ledger.Change, error) { return g.total(ctx, r, r.Amount) })
}

func (g *Gifts) review(ctx context.Context, r *record, reason string) error {
	r.Reason, r.Lost = reason, true
	g.opts.Logger.Error("gift: an order must be looked into", "order", r.ID, "room", r.Room, "user", r.User, "reason", reason)
	return g.move(ctx, r, StateReview, time.Time{}, nil)
}

// refund begins to give the money of an order back, and takes it off the top givers.
func (g *Gifts) refund(ctx context.Context, r *record, reason string) (again bool, err error) {
	r.Reason, r.Tries, r.Lost = reason, 0, false
	due := g.now().Add(g.opts.Lease)
	switch {
	case r.Sort == SortPacket:
		from := r.State
		err := g.move(ctx, r, StateRefunding, due, func(ctx context.Context) ([]ledger.Change, error) { return g.recallPacket(ctx, r) })
		if errors.Is(err, errClaimed) && from == StateCharged {
			return false, g.review(ctx, r, reason+"; and shares of the red packet have been claimed")
		}
		return true, err
	case !r.Taken:
		return true, g.move(ctx, r, StateRefunding, due, nil)
	}
	done, err := g.beginTotal(ctx, r.Room)
	if err != nil {
		return false, err
	}
	defer done(r.User)
	r.Taken = false
	return true, g.move(ctx, r, StateRefunding, due, func(ctx context.Context) ([]ledger.Change, error) { return g.total(ctx, r, -r.Amount) })
}
