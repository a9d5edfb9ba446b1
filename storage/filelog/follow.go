package filelog

import (
	"context"
	"fmt"
	"slices"

	"github.com/liveim/im"
)

// follower is one call of Follow. The room's turn is held when its fields are used.
type follower struct {
	deliver func(events []*im.Event, err error)
	at      uint64 // of the newest event that it was given or did not ask for
	done    bool   // deliver is not to be called again
}

// catchUpPage is how many events a follower that catches up is given at once.
const catchUpPage = 512

// Follow implements [im.Log]. What is stored already is delivered before Follow returns, from the goroutine that calls it.
func (l *Log) Follow(ctx context.Context, name string, after im.Position, deliver func(events []*im.Event, err error)) (stop func(), err error) {
	f := &follower{deliver: deliver}
	stop, err = l.follow(ctx, name, after, f)
	if err != nil {
		return nil, fmt.Errorf("filelog: follow room %q after %s: %w", name, after, err)
	}
	return stop, nil
}

func (l *Log) follow(ctx context.Context, name string, after im.Position, f *follower) (stop func(), err error) {
	at := after
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if l.closing() {
			return nil, ErrClosed
		}
		r := l.rooms.lock(name)
		r.mu.Unlock()
		behind, err := l.join(r, f, at)
		if err != nil {
			l.rooms.forgetUnwritten(r)
			return nil, err
		}
		if !behind {
			return func() {
				r.unfollow(f, l.clock.read())
				l.rooms.forgetUnwritten(r)
			}, nil
		}
		page, err := l.read(name, im.Range{After: at, Max: catchUpPage})
		if err != nil {
			return nil, err
		}
		if len(page.Events) > 0 {
			f.call(page.Events, nil)
			if f.done {
				return func() {}, nil
			}
			at = page.Events[len(page.Events)-1].Pos
		}
	}
}

// join adds f to the followers and gives it the rest of what is stored, if that is one page; otherwise it reports
// that f is behind, so that a long way is gone without keeping the room's turn.
func (l *Log) join(r *room, f *follower, after im.Position) (behind bool, err error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
	if r.gone {
		r.mu.Unlock()
		return true, nil
	}
	head := r.positions.head
	r.joining = true // whoever publishes from here on adds to pending, which waits for the turn
	r.mu.Unlock()
	defer r.joined()
	page, err := l.read(r.name, im.Range{After: after, Before: im.Position{Epoch: r.epoch, Seq: head + 1}, Max: catchUpPage})
	if err != nil {
		return false, err
	}
	if page.More {
		return true, nil
	}
	r.mu.Lock()
	if r.gone {
		r.mu.Unlock()
		return true, nil
	}
	f.at = head
	r.followers = append(r.followers, f)
	r.mu.Unlock()
	if len(page.Events) > 0 {
		f.call(page.Events, nil)
		r.dropDone()
	}
	return false, nil
}

// joined ends the note taking of join.
func (r *room) joined() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.joining = false
	if len(r.followers) == 0 {
		r.pending = nil
		r.undone.Store(false)
	}
}

// unfollow ends f. After it returns, deliver is not called again.
func (r *room) unfollow(f *follower, now int64) {
	r.turn.Lock()
	defer r.turn.Unlock()
	if !f.done {
		f.done = true
		r.dropDone()
		r.mu.Lock()
		r.used = max(r.used, now)
		r.mu.Unlock()
	}
}

// deliverPending gives the followers what was published since the last turn. Whoever published has put its events into
// pending before it comes here, so that events are delivered in order, whoever delivers them, and no later than when their own
// appender is done.
func (r *room) deliverPending() {
	if !r.undone.Load() {
		return
	}
	r.turn.Lock()
	defer r.turn.Unlock()
	r.takeTurn()
}

// endFollowing delivers what is pending, and then ends every follower with err.
func (r *room) endFollowing(err error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.takeTurn()
	for _, f := range r.followers {
		f.done = true
		f.call(nil, err)
	}
	r.dropDone()
}

// spareMax is the largest buffer of pending events that is used again.
const spareMax = 1024

// takeTurn is deliverPending with turn held.
func (r *room) takeTurn() {
	r.mu.Lock()
	events := r.pending
	r.pending, r.spare = r.spare, nil
	r.undone.Store(false)
	r.mu.Unlock()

	ended := false
	for _, f := range r.followers {
		mine := events
		for len(mine) > 0 && mine[0].Pos.Seq <= f.at {
			mine = mine[1:]
		}
		if len(mine) > 0 {
			f.at = mine[len(mine)-1].Pos.Seq
			f.call(mine, nil)
			ended = ended || f.done
		}
	}
	if ended {
		r.dropDone()
	}
	clear(events)
	if cap(events) <= spareMax {
		r.spare = events[:0]
	}
}

// dropDone takes followers that are done off the list. turn is held.
func (r *room) dropDone() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.followers = slices.DeleteFunc(r.followers, func(f *follower) bool { return f.done })
	if len(r.followers) == 0 {
		r.followers, r.spare = nil, nil
	}
}

// call calls deliver. If that panics, f is done and told so once.
func (f *follower) call(events []*im.Event, err error) {
	defer func() {
		if v := recover(); v != nil && err == nil {
			f.done = true
			f.call(nil, fmt.Errorf("filelog: following ended because deliver panicked: %v", v))
		}
	}()
	f.deliver(events, err)
}
