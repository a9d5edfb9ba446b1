package fanout

import (
	"container/heap"
	"sync"
	"time"
)

// worker flushes the rooms that are due, several for each time it wakes.
type worker struct {
	gaps Gaps
	wake chan struct{} // holds one token: there is something new to look at
	quit chan struct{}
	once sync.Once
	// panicked is told of a panic of a task.
	panicked func(any)
	others   *Engine // nil: there are none

	// The fields below belong to loop.
	volley   volley
	parts    []part
	gathered int       // cursors of parts
	since    time.Time // when the first of them was taken
	free     []*round

	mu    sync.Mutex // guards the fields below and the state of all tickets
	queue []*Ticket  // due
	later ticketHeap // delayed
	// busy counts the rooms that wait for a worker or for their gap, or are being
	// flushed; load is what one flush of all of them costs.
	busy    int
	load    time.Duration
	flushes uint64
}

func (w *worker) notify() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// schedule has t run at `at` or when its gap has passed, whichever is later. It
// reports whether the worker must look.
func (w *worker) schedule(t *Ticket, now, at time.Time) bool {
	held := false // by its gap
	if !t.flushed.IsZero() {
		if ready := t.flushed.Add(t.pace.at(now, w.gaps)); !ready.Before(at) {
			at, held = ready, true
		}
	}
	switch t.state {
	case queued:
		return false
	case flying:
		if t.rerun.IsZero() || at.Before(t.rerun) {
			t.rerun = at
		}
		return false
	case delayed:
		w.setBusy(t, t.busy || held)
		if !at.Before(t.due) {
			return false
		}
		t.due = at
		heap.Fix(&w.later, t.heapIndex)
		return t.heapIndex == 0
	}
	if !at.After(now) {
		t.state = queued
		w.setBusy(t, true)
		w.queue = append(w.queue, t)
		return len(w.queue) == 1
	}
	t.state, t.due = delayed, at
	w.setBusy(t, held)
	heap.Push(&w.later, t)
	return t.heapIndex == 0
}

// setBusy counts t among the rooms that wait or are being flushed, or does not.
func (w *worker) setBusy(t *Ticket, busy bool) {
	switch {
	case busy && !t.busy:
		w.busy++
		w.load += t.pace.cost
	case !busy && t.busy:
		w.busy--
		w.load -= t.pace.cost
	}
	t.busy = busy
}

// loop runs until Close.
func (w *worker) loop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer w.volley.close()
	var due []*Ticket
	for {
		var wait time.Duration
		due, wait = w.take(due[:0], time.Now())
		for _, t := range due {
			w.flush(t)
		}
		w.settle()
		if len(due) > 0 || w.others.help(w) {
			clear(due)
			select {
			case <-w.quit:
				return
			default:
				continue
			}
		}
		timer.Reset(wait)
		select {
		case <-w.quit:
			return
		case <-w.wake:
		case <-timer.C:
		}
	}
}

// take moves what is due to dst and says how long to wait if that is nothing.
func (w *worker) take(dst []*Ticket, now time.Time) ([]*Ticket, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	dst = append(dst, w.queue...)
	clear(w.queue)
	w.queue = w.queue[:0]
	for len(w.later) > 0 && !w.later[0].due.After(now) {
		dst = append(dst, heap.Pop(&w.later).(*Ticket))
	}
	for _, t := range dst {
		t.state = flying
		w.setBusy(t, true)
	}
	if len(w.later) > 0 {
		return dst, w.later[0].due.Sub(now)
	}
	return dst, time.Hour
}

// begin notes when t begins to flush. What it was woken for since take is part
// of this flush.
func (w *worker) begin(t *Ticket, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t.flushed, t.rerun = now, time.Time{}
}

// done notes a flush that ended now and cost so much, and what gap it asks for. It
// reports whether the worker must look.
func (w *worker) done(t *Ticket, now time.Time, cost time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flushes++
	w.setBusy(t, false) // it counts with what it costs
	t.pace.flushed(cost)
	t.pace.adapt(now, w.gaps, w.busy+1, w.load+t.pace.cost)
	t.state = idle
	if !t.rerun.IsZero() {
		at := t.rerun
		t.rerun = time.Time{}
		return w.schedule(t, now, at)
	}
	return false
}

// ticketHeap is ordered by due time, the earliest first.
type ticketHeap []*Ticket

func (h ticketHeap) Len() int           { return len(h) }
func (h ticketHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h ticketHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = i, j
}

func (h *ticketHeap) Push(x any) {
	t := x.(*Ticket)
	t.heapIndex = len(*h)
	*h = append(*h, t)
}

func (h *ticketHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.heapIndex = -1
	return t
}
