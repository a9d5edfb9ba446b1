package fanout

import (
	"slices"
	"sync/atomic"
	"time"
)

// share is how many cursors a worker takes at a time from a room that several
// workers flush.
const share = volleyMost

// round is one flush of one room. Workers that have nothing else to do take shares
// of a big one.
type round struct {
	ticket  *Ticket
	began   time.Time
	view    View
	cursors []*Cursor
	spread  bool         // other workers may take shares
	next    atomic.Int64 // the first cursor that nobody has taken
	left    atomic.Int64 // cursors that are not done
	cost    atomic.Int64 // nanoseconds of workers
}

// take returns the next share, nil if all is taken.
func (r *round) take() []*Cursor {
	end := r.next.Add(share)
	if start := end - share; start < int64(len(r.cursors)) {
		return r.cursors[start:min(end, int64(len(r.cursors)))]
	}
	return nil
}

// part says that so many cursors of a round are done when a volley is.
type part struct {
	round *round
	count int
}

// flush begins a flush of one room: it seals, and gathers what there is to send. What
// does not leave at once leaves with settle.
func (w *worker) flush(t *Ticket) {
	now := time.Now()
	w.begin(t, now)
	r := w.newRound()
	r.ticket, r.began = t, now
	if !w.seal(r) {
		r.cursors = r.cursors[:0]
	}
	r.cost.Store(int64(time.Since(now)))
	r.left.Store(int64(len(r.cursors)))
	if len(r.cursors) == 0 {
		w.parts = append(w.parts, part{r, 0})
		return
	}
	if r.spread = len(r.cursors) >= 2*share && w.others != nil; r.spread {
		w.others.offer(w, r)
		for cursors := r.take(); cursors != nil; cursors = r.take() {
			w.send(r, cursors)
		}
		w.others.withdraw(r)
		return
	}
	for cursors := range slices.Chunk(r.cursors, share) {
		w.send(r, cursors)
	}
}

// seal has the room fill the round. It reports false if that panicked.
func (w *worker) seal(r *round) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			w.panicked(p)
		}
	}()
	r.cursors, r.view = r.ticket.task.Flush(r.began, r.cursors[:0])
	return true
}

// send sends to a share, or gathers what there is to send.
func (w *worker) send(r *round, cursors []*Cursor) {
	if w.gathered == 0 {
		w.since = time.Now()
	}
	for _, c := range cursors {
		w.volley.add(c.outlet, c, &r.view, r.began)
	}
	w.parts = append(w.parts, part{r, len(cursors)})
	if w.gathered += len(cursors); w.gathered >= volleyMost {
		w.settle()
	}
}

// settle sends what has gathered, and ends the rounds of which that was the rest.
func (w *worker) settle() {
	if len(w.parts) == 0 {
		return
	}
	now := time.Now()
	w.volley.submit(now)
	took := time.Since(w.since)
	for _, p := range w.parts {
		if w.gathered > 0 {
			p.round.cost.Add(int64(took) * int64(p.count) / int64(w.gathered))
		}
		if p.round.left.Add(-int64(p.count)) == 0 {
			w.end(p.round)
		}
	}
	clear(w.parts)
	w.parts, w.gathered = w.parts[:0], 0
}

// end notes that a round is over. Its room may have been another worker's.
func (w *worker) end(r *round) {
	home := r.ticket.worker
	cost := time.Duration(r.cost.Load())
	if r.spread {
		cost /= time.Duration(len(w.others.workers))
	}
	if home.done(r.ticket, time.Now(), cost) && home != w {
		home.notify()
	}
	if !r.spread { // else somebody may still look for a share of it
		clear(r.cursors)
		r.view = View{}
		r.next.Store(0)
		r.cost.Store(0)
		w.free = append(w.free, r)
	}
}

func (w *worker) newRound() *round {
	n := len(w.free)
	if n == 0 {
		return new(round)
	}
	r := w.free[n-1]
	w.free = w.free[:n-1]
	return r
}
