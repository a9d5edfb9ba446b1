package filelog

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/segment"
)

// ErrClosed is wrapped by errors of a log's methods after Close.
var ErrClosed = errors.New("filelog: the log is closed")

// request is what waits for the disk: the events of one Append, or records of the log's own.
type request struct {
	room   *room
	events []*im.Event // the log's own copies
	out    []im.Appended
	moves  uint32 // of the room when out was filled in for what sealed segments remember

	records []segment.Record
	settle  func(*activeFile, []segment.Ref) // called with room.mu held when records are on disk

	bytes   int64
	boarded bool // it is in the flight of its room
	first   int  // index of its first record in the round
	count   int  // how many records it has there

	err   error
	state atomic.Uint32
	done  chan struct{} // gets a value when out and err are final
}

// The states of a request.
const (
	waiting uint32 = iota
	answered
	abandoned
)

// newRequest returns an empty request. Those that were answered are used again, by the log that made them: a channel
// cannot leave a test's bubble.
func (l *Log) newRequest(r *room) *request {
	q, ok := l.requests.Get().(*request)
	if !ok {
		q = &request{done: make(chan struct{}, 1)}
	}
	q.room = r
	return q
}

// release gives back a request that was answered.
func (l *Log) release(q *request) {
	done := q.done
	*q = request{done: done}
	l.requests.Put(q)
}

// abandon says that nobody waits any more. It reports false if the answer is there already, or about to be.
func (q *request) abandon() bool { return q.state.CompareAndSwap(waiting, abandoned) }

// answer wakes the one who waits. It reports false if nobody does.
func (q *request) answer() bool {
	if !q.state.CompareAndSwap(waiting, answered) {
		return false
	}
	q.done <- struct{}{}
	return true
}

// queue holds requests until the committer takes them. It is safe for concurrent use.
type queue struct {
	maxEvents int
	maxBytes  int64
	kick      chan struct{} // holds a token if there is something to do

	mu       sync.Mutex // protects the fields below
	requests []*request
	spare    []*request
	events   int
	bytes    int64
	fault    error // why nothing is taken at the moment
	closed   bool
}

// push adds a request, or says why it is refused.
func (q *queue) push(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return fmt.Errorf("%w: %w", ErrClosed, im.ErrNotStored)
	case q.fault != nil:
		return fmt.Errorf("filelog: the disk does not take it, the log keeps trying: %w: %w", im.ErrNotStored, q.fault)
	case len(q.requests) > 0 && (q.events+len(r.events) > q.maxEvents || q.bytes+r.bytes > q.maxBytes):
		return fmt.Errorf("filelog: %d events wait for the disk, which is slower than they come: %w", q.events, im.ErrNotStored)
	}
	q.requests = append(q.requests, r)
	q.events += len(r.events)
	q.bytes += r.bytes
	q.wake()
	return nil
}

// wake has the committer look.
func (q *queue) wake() {
	select {
	case q.kick <- struct{}{}:
	default:
	}
}

// take returns all that waits. The slice is good until the next call.
func (q *queue) take() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.requests
	clear(q.spare)
	q.requests, q.spare = q.spare[:0], taken
	q.events, q.bytes = 0, 0
	return taken
}

// refuse has push answer with an error from now on, nil to end that. It reports whether that is a change.
func (q *queue) refuse(fault error) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	changed := (q.fault == nil) != (fault == nil)
	q.fault = fault
	return changed
}

// health is why push refuses, or nil.
func (q *queue) health() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	return q.fault
}

// close has push refuse for good.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

func (q *queue) depth() (events int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.events, q.bytes
}
