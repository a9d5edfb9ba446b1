package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/liveim/im"
)

const (
	// maxName is how many bytes the name of a room and the ID of an event may have:
	// well below what fits into an entry of an index.
	maxName = 1024
	// maxGroup and maxGroupBytes are how much of what waits goes into one statement.
	maxGroup      = 2000
	maxGroupBytes = 4 << 20
	// maxWaiting is how many events of a room may wait in one process.
	maxWaiting = 50_000
)

// queue holds the appends to one room that wait for the statement before theirs.
// It is there while a writer works on the room. Log.mu protects it.
type queue struct {
	waiting []*call
	events  int // in waiting
}

// call is one Append, or a part of one that is too large for one statement.
type call struct {
	events  []*im.Event
	done    chan struct{} // closed when the fields below are set
	results []im.Appended
	err     error
}

// Append implements [im.Log]. It refuses, with an error that wraps ErrNotStored,
// IDs and names of more than 1,024 bytes, and more than 50,000 events that wait
// for one room.
func (l *Log) Append(ctx context.Context, room string, events []*im.Event) ([]im.Appended, error) {
	if err := l.usable(ctx, "append to", room); err != nil {
		return nil, notStored(err)
	}
	if err := checkNames(room, events); err != nil {
		return nil, notStored(err)
	}
	out := make([]im.Appended, 0, len(events))
	for len(events) > 0 {
		n := partOf(events)
		results, err := l.appendPart(ctx, room, events[:n])
		if err != nil {
			if len(out) > 0 && errors.Is(err, im.ErrNotStored) {
				err = fmt.Errorf("postgres: append to room %q: after the first %d events were stored: %s", room, len(out), err)
				if ctx.Err() != nil {
					err = fmt.Errorf("%w: %w", err, ctx.Err())
				}
			}
			return nil, err
		}
		out = append(out, results...)
		events = events[n:]
	}
	return out, nil
}

func checkNames(room string, events []*im.Event) error {
	if n := len(room); n == 0 || n > maxName {
		return fmt.Errorf("postgres: the name of a room has %d bytes: want 1 to %d", n, maxName)
	}
	for _, e := range events {
		if n := len(e.ID); n == 0 || n > maxName {
			return fmt.Errorf("postgres: the ID of an event for room %q has %d bytes: want 1 to %d", room, n, maxName)
		}
	}
	return nil
}

// partOf is how many of the events go into one statement; at least one.
func partOf(events []*im.Event) int {
	size := 0
	for i, e := range events {
		size += len(e.Body)
		if i > 0 && (i == maxGroup || size > maxGroupBytes) {
			return i
		}
	}
	return len(events)
}

// appendPart hands the events to the writer of the room and waits for it.
func (l *Log) appendPart(ctx context.Context, room string, events []*im.Event) ([]im.Appended, error) {
	c := &call{events: events, done: make(chan struct{})}
	if err := l.enqueue(room, c); err != nil {
		return nil, notStored(err)
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		if l.withdraw(room, c) {
			return nil, notStored(fmt.Errorf("postgres: append to room %q: %w", room, ctx.Err()))
		}
		select {
		case <-c.done: // the answer came at the same time
		default:
			return nil, fmt.Errorf("postgres: append to room %q: it is not known whether the events are stored: %w", room, ctx.Err())
		}
	}
	return c.results, c.err
}

// enqueue adds a call to those that wait and starts a writer if there is none.
func (l *Log) enqueue(room string, c *call) error {
	copies := make([]im.Event, len(c.events)) // the caller may change its own when the call has ended
	own := make([]*im.Event, len(c.events))
	for i, e := range c.events {
		copies[i] = *e
		own[i] = &copies[i]
	}
	c.events = own
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	q := l.queues[room]
	if q == nil {
		q = &queue{}
		l.queues[room] = q
		l.spawn(func() { l.write(room, q) })
	}
	if q.events > 0 && q.events+len(c.events) > maxWaiting {
		return fmt.Errorf("postgres: %d events wait for room %q already: the server is slow or away, try again later", q.events, room)
	}
	q.waiting = append(q.waiting, c)
	q.events += len(c.events)
	return nil
}

// withdraw takes a call back, and reports false if a writer has taken it.
func (l *Log) withdraw(room string, c *call) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queues[room]
	if q == nil {
		return false
	}
	for i, w := range q.waiting {
		if w == c {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			q.events -= len(c.events)
			return true
		}
	}
	return false
}

// take returns the calls that go into the next statement. If there are none, the
// queue is gone and its writer done.
func (l *Log) take(room string, q *queue) []*call {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(q.waiting) == 0 {
		delete(l.queues, room)
		return nil
	}
	n, events, size := 0, 0, 0
	for _, c := range q.waiting {
		events += len(c.events)
		for _, e := range c.events {
			size += len(e.Body)
		}
		if n > 0 && (events > maxGroup || size > maxGroupBytes) {
			events -= len(c.events)
			break
		}
		n++
	}
	calls := q.waiting[:n:n]
	q.waiting = append([]*call(nil), q.waiting[n:]...)
	q.events -= events
	return calls
}

// write is the goroutine of a room that is appended to: one statement after
// the other, each with all that came while the one before ran.
func (l *Log) write(room string, q *queue) {
	for {
		calls := l.take(room, q)
		if calls == nil {
			return
		}
		g := newGroup(calls)
		err := l.ctx.Err()
		if err != nil {
			err = notStored(fmt.Errorf("postgres: append to room %q: %w", room, ErrClosed))
		} else if err = l.store(room, g); err == nil {
			l.stored(g)
		}
		g.answer(err)
	}
}

// store runs the statement for a group. It tries again if nothing was done.
func (l *Log) store(room string, g *group) error {
	ctx, cancel := context.WithTimeout(l.ctx, l.opts.Timeout)
	defer cancel()
	shift := l.shift()
	for try := 1; ; try++ {
		conn, err := l.pool.Acquire(ctx)
		if err != nil {
			return notStored(failed(ctx, fmt.Sprintf("append to room %q: no connection to the server", room), err))
		}
		err = g.run(ctx, conn, l.sql.append, room, shift)
		conn.Release()
		if err == nil {
			return nil
		}
		nothing := didNothing(err)
		if nothing && try < 3 && ctx.Err() == nil && (inVain(err) || !isAnswer(err)) {
			continue
		}
		if nothing {
			return notStored(failed(ctx, fmt.Sprintf("append to room %q", room), err))
		}
		return failed(ctx, fmt.Sprintf("append to room %q: it is not known whether the events are stored", room), err)
	}
}

// clampTime returns t, or the nearest time that a timestamptz holds.
func clampTime(t time.Time) time.Time {
	const first, last = -4000, 200_000 // years
	switch y := t.Year(); {
	case y < first:
		return time.Date(first, 1, 1, 0, 0, 0, 0, time.UTC)
	case y > last:
		return time.Date(last, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return t
}
