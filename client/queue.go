package client

import (
	"slices"

	"github.com/liveim/im"
)

// queue holds the updates that an application has not taken yet. It knows when
// it is full but never refuses: what to do then is the client's business. It is
// protected by the lock of its owner.
type queue struct {
	items []item
	head  int
	limit int
	// full is set at the limit and cleared at half of it.
	full bool
	// news, if not nil, is closed at the next push.
	news chan struct{}
}

func (q *queue) len() int { return len(q.items) - q.head }

// push appends items. An Online replaces the one before it, and a Removed takes out the events that it deletes.
func (q *queue) push(items ...item) {
	for _, it := range items {
		if gone, ok := it.update.(Removed); ok {
			q.remove(&gone)
		}
		if o, ok := it.update.(Online); ok && q.len() > 0 {
			last := &q.items[len(q.items)-1]
			if before, ok := last.update.(Online); ok {
				o.Joined, o.Presence = before.Joined.and(o.Joined), before.Presence.and(o.Presence)
				last.update = o
				continue
			}
		}
		q.items = append(q.items, it)
	}
	q.wake()
}

// remove takes out events that were deleted. What comes behind them has positions that are higher.
func (q *queue) remove(gone *Removed) {
	kept := slices.DeleteFunc(q.items[q.head:], func(it item) bool {
		e, ok := it.update.(Event)
		return ok && gone.Deletes(e.Event)
	})
	q.items = q.items[:q.head+len(kept)]
}

// advance notes that the position rose without an update. It reports false if
// the queue is empty.
func (q *queue) advance(pos im.Position) bool {
	if q.len() == 0 {
		return false
	}
	q.items[len(q.items)-1].pos = pos
	return true
}

// pop takes the oldest item.
func (q *queue) pop() (item, bool) {
	if q.len() == 0 {
		return item{}, false
	}
	it := q.items[q.head]
	q.items[q.head] = item{}
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > 2*q.limit {
			q.items = nil
		}
	} else if q.head > q.limit {
		q.items, q.head = append(q.items[:0:0], q.items[q.head:]...), 0
	}
	return it, true
}

// wait returns a channel that is closed when there is something new.
func (q *queue) wait() <-chan struct{} {
	if q.news == nil {
		q.news = make(chan struct{})
	}
	return q.news
}

func (q *queue) wake() {
	if q.news != nil {
		close(q.news)
		q.news = nil
	}
}
