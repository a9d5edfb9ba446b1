package fanout

import (
	"hash/maphash"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Task is a room as the engine sees it.
type Task interface {
	// Flush seals what the room has gathered and returns the cursors of its
	// sessions, appended to dst, and the end of its feed, or the zero View. It runs on
	// a worker, one call at a time for each room, and must not block.
	Flush(now time.Time, dst []*Cursor) ([]*Cursor, View)
}

// Engine flushes rooms on a few workers. A room costs it nothing while nothing
// happens: no goroutine, no timer.
type Engine struct {
	workers []*worker
	seed    maphash.Seed
	stopped sync.WaitGroup

	mu     sync.Mutex // guards rounds
	rounds []*round   // with shares for any worker
}

// sharing is the number of workers from which on they share big rooms. On two processors
// the other one has its own to do: shared, a delivery cost a tenth more there and took longer.
const sharing = 3

// NewEngine starts an engine. gaps bounds the least time between two flushes of
// one room; workers is the number of goroutines, GOMAXPROCS if it is 0; b says how they
// send, one by one if it is nil. panicked is told when a task has panicked; the
// engine goes on. Close ends it.
func NewEngine(workers int, gaps Gaps, b *Batching, panicked func(any)) *Engine {
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	e := &Engine{seed: maphash.MakeSeed()}
	for range workers {
		w := &worker{gaps: gaps, wake: make(chan struct{}, 1), quit: make(chan struct{}), panicked: panicked, volley: volley{batching: b}}
		if workers >= sharing {
			w.others = e
		}
		e.workers = append(e.workers, w)
	}
	for _, w := range e.workers {
		e.stopped.Go(w.loop)
	}
	return e
}

// offer shows a round to the workers other than w.
func (e *Engine) offer(w *worker, r *round) {
	e.mu.Lock()
	e.rounds = append(e.rounds, r)
	e.mu.Unlock()
	for _, other := range e.workers {
		if other != w {
			other.notify()
		}
	}
}

// withdraw ends offer.
func (e *Engine) withdraw(r *round) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := slices.Index(e.rounds, r); i >= 0 {
		e.rounds = slices.Delete(e.rounds, i, i+1)
	}
}

// help has w take one share of what was offered, and reports whether there was one.
func (e *Engine) help(w *worker) bool {
	if e == nil {
		return false
	}
	e.mu.Lock()
	var r *round
	var cursors []*Cursor
	for i := 0; i < len(e.rounds) && cursors == nil; i++ {
		r = e.rounds[i]
		cursors = r.take()
	}
	e.mu.Unlock()
	if cursors == nil {
		return false
	}
	w.send(r, cursors)
	w.settle()
	return true
}

// Close stops the workers and waits for them. What is due is not flushed.
func (e *Engine) Close() {
	for _, w := range e.workers {
		w.once.Do(func() { close(w.quit) })
	}
	e.stopped.Wait()
}

// Flushes returns how many flushes of rooms there were.
func (e *Engine) Flushes() uint64 {
	var n uint64
	for _, w := range e.workers {
		w.mu.Lock()
		n += w.flushes
		w.mu.Unlock()
	}
	return n
}

// Register makes a ticket with which the task is woken. Tasks of the same name
// share a worker.
func (e *Engine) Register(name string, t Task) *Ticket {
	w := e.workers[maphash.String(e.seed, name)%uint64(len(e.workers))]
	return &Ticket{task: t, worker: w, heapIndex: -1}
}

// Ticket is the place of one task in the schedule of its worker.
type Ticket struct {
	task   Task
	worker *worker

	// The fields below are guarded by worker.mu.
	state     ticketState
	due       time.Time // while delayed
	flushed   time.Time // when it last began to flush
	heapIndex int
	rerun     time.Time // while it runs: when it wants to run again; zero: not at all
	pace      pace
	busy      bool // counts in worker.busy and worker.load
}

type ticketState uint8

const (
	idle    ticketState = iota
	delayed             // in the worker's heap
	queued              // in the worker's queue
	flying              // taken to be flushed, or being flushed
)

// Wake has the task flushed: at once if the last flush is at least a gap ago,
// else when it is. Calls in between are merged.
func (t *Ticket) Wake() { t.WakeAfter(0) }

// WakeAfter has the task flushed no earlier than after d. An earlier flush
// counts.
func (t *Ticket) WakeAfter(d time.Duration) {
	w := t.worker
	w.mu.Lock()
	now := time.Now()
	notify := w.schedule(t, now, now.Add(d))
	w.mu.Unlock()
	if notify {
		w.notify()
	}
}

// Gap returns the least time between two flushes of the task as of now. It is
// cheap, and safe for use by many goroutines.
func (t *Ticket) Gap() time.Duration {
	w := t.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	return t.pace.at(time.Now(), w.gaps)
}
