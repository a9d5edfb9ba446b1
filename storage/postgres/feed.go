package postgres

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/liveim/im"
)

// feed is a room that is followed: a row of the table, so that a room whose row was
// lost and made again is another feed. Locks are taken in the order turn, Log.mu.
type feed struct {
	row int64 // immutable

	// low is how far all followers are, MaxUint64 if there are none.
	low atomic.Uint64
	// missed is set if a read failed.
	missed atomic.Bool

	// Log.mu protects these.
	refs    int    // followers that are not done, and calls of Follow that are about to add one
	want    uint64 // the newest head that was heard of since the last read, 0 if none
	queued  bool   // in Log.ready
	reading bool

	// turn is held while followers are called. It protects what is below and the
	// fields of followers.
	turn      sync.Mutex
	followers []*follower
	round     uint64 // counts reads; a view is of no meaning to who came after the read began
	ended     bool
}

// follower is one call of Follow.
type follower struct {
	deliver func(events []*im.Event, err error)
	epoch   string
	at      uint64 // of the newest event that it was given or need not be given
	round   uint64 // of the feed when it joined
	done    bool   // deliver is not to be called again
}

// begin starts a read: it is to be after from, the place of the last follower.
func (f *feed) begin() (from, round uint64, ok bool) {
	f.turn.Lock()
	defer f.turn.Unlock()
	f.round++
	return f.low.Load(), f.round, len(f.followers) > 0
}

// mark is begin for a poll: high is the place of the first follower.
func (f *feed) mark() (round, high uint64) {
	f.turn.Lock()
	defer f.turn.Unlock()
	f.round++
	for _, w := range f.followers {
		high = max(high, w.at)
	}
	return f.round, high
}

// settle notes how far the followers are. turn is held.
func (f *feed) settle() {
	low := uint64(math.MaxUint64)
	for _, w := range f.followers {
		low = min(low, w.at)
	}
	f.low.Store(low)
}

// drop takes followers that are done off the list and returns their number.
// turn is held.
func (f *feed) drop() int {
	before := len(f.followers)
	f.followers = slices.DeleteFunc(f.followers, func(w *follower) bool { return w.done })
	return before - len(f.followers)
}

// give delivers those of the events that the follower has not been given; they
// are all that there is up to the place to.
func (w *follower) give(events []*im.Event, to uint64) {
	for len(events) > 0 && events[0].Pos.Seq <= w.at {
		events = events[1:]
	}
	w.at = max(w.at, to)
	if len(events) > 0 && !w.done {
		w.call(events, nil)
	}
}

// end tells the follower that there is no more.
func (w *follower) end(err error) {
	if !w.done {
		w.done = true
		w.call(nil, err)
	}
}

// call calls deliver. If that panics, the follower is done and told so once.
func (w *follower) call(events []*im.Event, err error) {
	defer func() {
		if v := recover(); v != nil && err == nil {
			w.end(fmt.Errorf("postgres: following ended because deliver panicked: %v", v))
		}
	}()
	w.deliver(events, err)
}

// reached is up to where a view has all that is kept.
func (v *view) reached() uint64 {
	if v.more {
		return v.events[len(v.events)-1].Pos.Seq
	}
	return v.head
}

// maxReaders is how many feeds are read at once, each by a goroutine that ends
// when none is left.
const maxReaders = 4

// kick has a feed read, since its room has a head of which a follower may not know.
func (l *Log) kick(f *feed, head uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.want = max(f.want, head)
	if !f.queued && !f.reading {
		l.queue(f)
	}
}

// queue puts a feed in line for a reader. l.mu is held.
func (l *Log) queue(f *feed) {
	if l.closed {
		return
	}
	f.queued = true
	l.ready = append(l.ready, f)
	if l.readers < maxReaders {
		l.readers++
		l.spawn(l.readFeeds)
	}
}

// readFeeds serves feeds until none is in line.
func (l *Log) readFeeds() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.ready) > 0 {
		f := l.ready[0]
		l.ready = l.ready[1:]
		want := f.want
		f.want, f.queued, f.reading = 0, false, true
		l.mu.Unlock()
		l.catchUp(f, want)
		l.mu.Lock()
		f.reading = false
		if f.want > 0 {
			l.queue(f)
		}
	}
	l.ready = nil
	l.readers--
}
