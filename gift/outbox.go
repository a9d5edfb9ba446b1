package gift

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im/ledger"
)

// nudge has the outbox look for what is due at once.
func (g *Gifts) nudge() {
	select {
	case g.kick <- struct{}{}:
	default: // it is going to
	}
}

// outbox works off what is due in the ledger until Close.
func (g *Gifts) outbox() {
	tick := time.NewTicker(g.opts.Poll)
	defer tick.Stop()
	var work sync.WaitGroup
	defer work.Wait()
	for {
		more, err := g.workOff(g.life, &work)
		if err != nil && g.life.Err() == nil {
			g.opts.Logger.Error("gift: the ledger does not say what is due", "error", err)
		}
		if more && err == nil {
			g.nudge()
		}
		select {
		case <-g.closing:
			return
		case <-tick.C:
			g.retireBoards()
		case <-g.kick:
		}
	}
}

// What Due is asked for at once: features share a ledger, and it lists what is due of all of them.
const (
	duePage    = 200
	maxDuePage = 20_000
)

// workOff starts the work on what is due now, and reports whether there is likely more.
func (g *Gifts) workOff(ctx context.Context, work *sync.WaitGroup) (more bool, err error) {
	for n := duePage; ; n *= 4 {
		entries, err := g.ledger.Due(ctx, g.now(), n)
		if err != nil {
			return false, err
		}
		begun, taken := false, atomic.Int64{}
		var taking sync.WaitGroup // until it is over Due has the same entries
		for _, e := range entries {
			switch e.Kind {
			case kindOrder, kindPayout, kindPacket, kindBoard:
			default:
				continue
			}
			begun = true
			if err := g.take(ctx, e, work, &taking, &taken); err != nil {
				return false, err
			}
		}
		taking.Wait()
		switch {
		case len(entries) < n:
			return false, nil
		case begun:
			return taken.Load() > 0, nil // or else the ledger takes no commits: not at once again
		case n >= maxDuePage:
			g.opts.Logger.Error("gift: what is due in the ledger is of others, who do not work it off; orders that were cut off wait", "entries", n)
			return false, nil
		}
	}
}

// take has one entry worked on, as soon as a worker is free.
func (g *Gifts) take(ctx context.Context, e ledger.Entry, work, taking *sync.WaitGroup, taken *atomic.Int64) error {
	select {
	case g.busy <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	taking.Add(1)
	work.Go(func() {
		defer func() { <-g.busy }()
		e.Due = g.now().Add(g.opts.Lease)
		out, err := g.ledger.Commit(ctx, ledger.Change{Entry: e})
		if err == nil {
			taken.Add(1)
		}
		taking.Done()
		if err == nil {
			err = g.workOn(ctx, out[0])
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, ledger.ErrStale) { // or else somebody else has it
			g.opts.Logger.Error("gift: an entry of the ledger waits for its next turn", "key", e.Key, "error", err)
		}
	})
	return nil
}

// workOn takes an entry one step on.
func (g *Gifts) workOn(ctx context.Context, e ledger.Entry) error {
	switch e.Kind {
	case kindPayout:
		return g.payOut(ctx, e)
	case kindPacket:
		return g.expirePacket(ctx, e)
	case kindBoard:
		return g.rebuildBoard(ctx, e)
	}
	r, err := recordOf(e)
	if err != nil {
		return err
	}
	g.advance(ctx, r, false)
	return nil
}
