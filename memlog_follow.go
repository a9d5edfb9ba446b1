package im

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// memFollower is one call of Follow. The room's turn is held when its fields
// are used.
type memFollower struct {
	deliver func(events []*Event, err error)
	at      uint64 // of the newest event that it was given or did not ask for
	done    bool   // deliver is not to be called again
}

// Follow implements [Log]. What is stored already is delivered before Follow
// returns.
func (l *MemoryLog) Follow(ctx context.Context, room string, after Position, deliver func(events []*Event, err error)) (stop func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("im: follow room %q: %w", room, err)
	}
	f := &memFollower{deliver: deliver}
	for {
		r := l.lock(room)
		r.mu.Unlock()
		switch ok, err := r.follow(f, after); {
		case err != nil:
			l.forgetUnwritten(r)
			return nil, fmt.Errorf("im: follow room %q after %s: %w", room, after, err)
		case ok:
			return func() {
				r.unfollow(f)
				l.forgetUnwritten(r)
			}, nil
		}
	}
}

// follow adds f to the followers and gives it what is stored. It reports false
// if the room is gone.
func (r *memRoom) follow(f *memFollower, after Position) (ok bool, err error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
	if r.gone {
		r.mu.Unlock()
		return false, nil
	}
	if err := r.reaches(after); err != nil {
		r.mu.Unlock()
		return false, err
	}
	stored := r.page(Range{After: after, Max: math.MaxInt}).Events
	f.at = r.head
	r.followers = append(r.followers, f)
	r.mu.Unlock()

	if len(stored) > 0 {
		f.call(stored, nil)
		r.dropDone()
	}
	return true, nil
}

// unfollow ends f. After it returns, deliver is not called again.
func (r *memRoom) unfollow(f *memFollower) {
	r.turn.Lock()
	defer r.turn.Unlock()
	if !f.done {
		f.done = true
		r.dropDone()
	}
}

// deliverPending gives the followers what was stored since the last turn.
// Whoever appended has put its events into pending before it comes here, so
// that events are delivered in order, whichever appender delivers them, and no
// later than when their own appender is done.
func (r *memRoom) deliverPending() {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.takeTurn()
}

// endFollowing delivers what is pending, and then ends every follower with err.
func (r *memRoom) endFollowing(err error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.takeTurn()
	for _, f := range r.followers {
		f.done = true
		f.call(nil, err)
	}
	r.dropDone()
}

// memSpareMax is the largest buffer of pending events that is used again.
const memSpareMax = 1024

// takeTurn is deliverPending with turn held.
func (r *memRoom) takeTurn() {
	r.mu.Lock()
	events := r.pending
	r.pending, r.spare = r.spare, nil
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
	if cap(events) <= memSpareMax {
		r.spare = events[:0]
	}
}

// dropDone takes followers that are done off the list. turn is held.
func (r *memRoom) dropDone() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.followers = slices.DeleteFunc(r.followers, func(f *memFollower) bool { return f.done })
	if len(r.followers) == 0 {
		r.followers = nil
		r.used = r.clock.now
	}
}

// call calls deliver. If that panics, f is done and told so once.
func (f *memFollower) call(events []*Event, err error) {
	defer func() {
		if v := recover(); v != nil && err == nil {
			f.done = true
			f.call(nil, fmt.Errorf("im: following ended because deliver panicked: %v", v))
		}
	}()
	f.deliver(events, err)
}
