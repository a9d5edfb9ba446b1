package fanout

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/liveim/im/transport"
)

// Counters counts what outlets did. Read it with atomic loads.
type Counters struct {
	Sends     atomic.Uint64 // calls of the connection
	SentBytes atomic.Uint64
	Short     atomic.Uint64 // sends that filled the connection
	Gaps      atomic.Uint64 // gap messages
	Missed    atomic.Uint64 // events that gap messages counted
	Lost      atomic.Uint64 // cursors that fell out of their feed
	Lowered   atomic.Int64  // outlets that are fed less now, because they lag
}

// Flush sends what there is to send, as far as the connection takes it.
func (o *Outlet) Flush() {
	if !o.turn.take() {
		return
	}
	s := scratches.Get().(*Scratch)
	o.run(s, time.Now())
	scratches.Put(s)
}

// FlushWith is Flush with the caller's scratch and time.
func (o *Outlet) FlushWith(s *Scratch, now time.Time) {
	if o.turn.take() {
		o.run(s, now)
	}
}

// Writable goes on after the connection was full. See transport.Session.
func (o *Outlet) Writable() {
	if !o.turn.unpark() {
		return
	}
	s := scratches.Get().(*Scratch)
	o.run(s, time.Now())
	scratches.Put(s)
}

// run sends until nothing is left, the connection is full, or it is over. The
// caller has the turn.
func (o *Outlet) run(s *Scratch, now time.Time) {
	defer o.survive(s)
	for {
		o.turn.refresh()
		done := o.step(s, now)
		o.tell(s)
		s.reset()
		if !o.goesOn(done) {
			return
		}
	}
}

// goesOn reports whether the turn is still ours, and there is something to do.
func (o *Outlet) goesOn(done progress) bool {
	switch done {
	case parked, dead:
		return false
	case empty:
		return !o.turn.give()
	}
	return true
}

// tell hands on the cursors that fell out of their feeds.
func (o *Outlet) tell(s *Scratch) {
	for _, c := range s.lost {
		o.common.Counters.Lost.Add(1)
		o.common.Lost(c)
	}
	clear(s.lost)
	s.lost = s.lost[:0]
}

// survive makes a panic of the connection, or of a format, the end of this
// session and of nothing else.
func (o *Outlet) survive(s *Scratch) {
	if p := recover(); p != nil {
		s.reset()
		o.panicked(p)
	}
}

func (o *Outlet) panicked(p any) {
	o.end()
	o.conn.Abort()
	if o.common.Panicked != nil {
		o.common.Panicked(p)
	}
}

type progress uint8

const (
	empty  progress = iota // nothing is left to send
	sent                   // something was sent; there may be more
	parked                 // the connection is full: the turn is no longer ours
	dead                   // the connection is gone: the turn stays taken for ever
)

// flight is what one outlet is about to send: a part of a scratch.
type flight struct {
	outlet *Outlet
	segs   []segment
	bufs   [][]byte
	total  int  // bytes
	more   bool // the budget ended before all was gathered

	// Of a volley: the descriptor while it is held, and what the kernel took.
	held transport.Descriptor
	fd   int
	sent int
	err  error
}

// step gathers and sends once.
func (o *Outlet) step(s *Scratch, now time.Time) progress {
	if o.over {
		return dead
	}
	f := o.prepare(s, nil, now)
	n := 0
	var err error
	if f.total > 0 {
		n, err = o.conn.TrySend(f.bufs)
		o.common.Counters.Sends.Add(1)
		o.common.Counters.SentBytes.Add(uint64(n))
	}
	return o.conclude(&f, n, err, now)
}

// prepare gathers what is to be sent, behind what the scratch holds already. c, if not
// nil, is the cursor for whose room that is done.
func (o *Outlet) prepare(s *Scratch, c *Cursor, now time.Time) flight {
	segs, bufs := len(s.segs), len(s.bufs)
	s.more = false
	if !o.quick(s, c, now) {
		o.gather(s, now)
	}
	f := flight{outlet: o, segs: s.segs[segs:], bufs: s.bufs[bufs:], more: s.more}
	for _, b := range f.bufs {
		f.total += len(b)
	}
	if f.total > 0 {
		o.turn.arm()
	}
	return f
}

// conclude notes what became of a flight: n bytes were taken, or the connection
// is dead.
func (o *Outlet) conclude(f *flight, n int, err error, now time.Time) progress {
	if len(f.segs) == 0 {
		o.taken(now) // what waited is gone
		return empty
	}
	if err != nil {
		o.end()
		o.conn.Abort()
		return dead
	}
	if final := o.settle(f.segs, n, now); final {
		o.end()
		o.conn.Finish()
		return dead
	}
	if n == f.total {
		if f.more {
			o.unfull()
			return sent
		}
		o.taken(now)
		return empty
	}
	o.common.Counters.Short.Add(1)
	o.lagging().short(now)
	if n > 0 || !o.full {
		o.setFull(time.Now())
	}
	if o.turn.park() {
		return parked
	}
	return sent
}

// quick gathers if there is nothing but what c, the session's only cursor, delivers.
func (o *Outlet) quick(s *Scratch, c *Cursor, now time.Time) bool {
	if c == nil || o.only != c || o.news.Load() || o.lag != nil || o.rest != nil || o.ending || o.last {
		return false
	}
	return c.quick(s, o.common.Send, now.Add(-o.common.VolatileAge))
}

// gather collects what is to be sent, in this order: the rest of a message
// that was cut, what the transport owes, the queue, the rooms.
func (o *Outlet) gather(s *Scratch, now time.Time) {
	budget := o.common.Send
	if o.rest != nil {
		s.add(*o.rest, segment{from: fromRest})
		budget -= len(*o.rest)
	}
	if o.last { // nothing follows the farewell
		return
	}
	o.mu.Lock()
	waits := o.pendingLocked()
	if waits.control != nil {
		s.add(waits.control, segment{from: fromControl})
	}
	s.cursors = o.cursors
	o.only, o.alone = nil, false
	if len(o.cursors) == 1 {
		c := o.cursors[0]
		o.alone = o.marks && c.Epoch != "" && o.conn.(transport.Marker).Alone(c.source.Name())
		if !o.marks || o.alone {
			o.only = c
		}
	}
	if len(waits.queue) == 0 && waits.control == nil {
		o.news.Store(false)
	}
	if o.marks {
		for _, c := range o.cursors {
			c.at, c.shown = c.seq.Load(), c.entered
		}
	}
	var final *note // goes out behind what the cursors bring
	for i := range waits.queue {
		if budget <= 0 {
			s.more = true
			break
		}
		n := &waits.queue[i]
		if n.final {
			final, o.ending = n, true
			break
		}
		if n.ends != nil {
			n.ends.settleDebt(s)
		}
		seg := segment{from: fromQueue, cursor: n.enters}
		if n.enters != nil {
			n.enters.activate()
			n.enters.shown = true
			seg.mark = o.mark(o.cursors)
		}
		if n.tail == nil {
			s.add(n.wire, seg)
		} else {
			s.add(n.wire, segment{from: fromHead, mark: seg.mark})
			seg.mark = nil
			s.add(n.tail, seg)
		}
		budget -= len(n.wire) + len(n.tail)
	}
	o.mu.Unlock()
	if o.lag != nil {
		o.watch(s.cursors, now)
	}
	oldest := now.Add(-o.common.VolatileAge)
	for _, c := range s.cursors {
		if !c.active || c.lost {
			continue
		}
		if budget <= 0 {
			s.more = true
			break
		}
		before := len(s.segs)
		if !c.gather(s, budget, oldest) {
			if !c.entered { // first its message, so that few of them wait at a time
				s.more = true
				continue
			}
			c.lost = true
			s.lost = append(s.lost, c)
		}
		for _, seg := range s.segs[before:] {
			budget -= seg.size
		}
	}
	if final != nil && !s.more {
		s.add(final.wire, segment{from: fromFinal})
	}
}

// after returns what is left of a segment of which n bytes are sent.
func (seg *segment) after(n int) []byte {
	if n < len(seg.mark) {
		return slices.Concat(seg.mark[n:], seg.wire)
	}
	return seg.wire[n-len(seg.mark):]
}

// mark returns the positions of the client as they will be when what has been
// gathered is sent, or nil if the connection does not carry them.
func (o *Outlet) mark(cursors []*Cursor) []byte {
	if !o.marks {
		return nil
	}
	return o.conn.(transport.Marker).Mark(func(room string) (epoch string, seq uint64) {
		for _, c := range cursors {
			if c.shown && c.source.Name() == room {
				return c.Epoch, c.at
			}
		}
		return "", 0
	})
}

// settle notes what n sent bytes have carried. It reports whether the last
// message of the session is among it.
func (o *Outlet) settle(segs []segment, n int, now time.Time) (final bool) {
	if o.rest != nil {
		o.rest = nil
	}
	notes := 0
	var control []byte
	for i := range segs {
		seg := &segs[i]
		if n < seg.size {
			if n == 0 {
				break
			}
			rest := seg.after(n)
			o.rest = &rest
		}
		n -= min(n, seg.size)
		switch seg.from {
		case fromControl:
			control = seg.wire
		case fromHead:
			o.headSent(notes)
		case fromQueue, fromFinal:
			notes++
			o.last = o.last || seg.from == fromFinal
			if seg.cursor != nil {
				seg.cursor.entered = true
			}
		case fromGap:
			o.common.Counters.Gaps.Add(1)
			if seg.cursor.owed == 0 { // else it is news of what was left out on purpose
				o.lagging().gap(now)
			}
			o.common.Counters.Missed.Add(uint64(seg.missed))
			seg.cursor.commit(seg)
			seg.cursor.owed, seg.cursor.owedSeq = 0, 0
		case fromTier:
			seg.cursor.commit(seg)
			seg.cursor.wanted, seg.cursor.tier = seg.wanted, seg.tier
		case fromCursor:
			seg.cursor.commit(seg)
		}
		if o.rest != nil {
			break
		}
	}
	if notes > 0 || control != nil {
		o.unqueue(notes, control)
	}
	return o.last && o.rest == nil
}

// taken notes that nothing waits for the connection any more.
func (o *Outlet) taken(now time.Time) {
	o.unfull()
	if o.lag != nil {
		o.lag.whole(now)
	}
}

func (o *Outlet) unfull() {
	if o.full {
		o.setFull(time.Time{})
	}
}

// setFull notes since when the connection has been full; zero: it is not.
func (o *Outlet) setFull(since time.Time) {
	o.full = !since.IsZero()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.gone {
		o.backlogLocked().fullSince = since
		o.tidyLocked()
	}
}

// headSent notes that only the tail of a note is left to send. Closed may have dropped it already.
func (o *Outlet) headSent(i int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if b := o.backlog; b != nil && i < len(b.queue) {
		n := &b.queue[i]
		b.queued -= len(n.wire)
		n.wire = nil
	}
}

// unqueue drops the first notes of the queue, and the control message if it is
// still the same. Closed may have dropped them already.
func (o *Outlet) unqueue(notes int, control []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.backlog
	if b == nil {
		return
	}
	if control != nil && b.control != nil && &b.control[0] == &control[0] {
		b.control = nil
	}
	notes = min(notes, len(b.queue))
	for _, n := range b.queue[:notes] {
		b.queued -= len(n.wire) + len(n.tail)
	}
	b.queue = slices.Delete(b.queue, 0, notes)
	if len(b.queue) == 0 {
		o.news.Store(b.control != nil)
	}
	if b.drained != nil && b.queued <= o.common.Queue {
		close(b.drained)
		b.drained = nil
	}
	o.tidyLocked()
}

// end makes the outlet take and send nothing any more. The caller has the turn.
func (o *Outlet) end() {
	o.over, o.rest = true, nil
	o.Closed()
}

// Closed frees what the outlet holds after the connection is gone.
func (o *Outlet) Closed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closing, o.gone, o.cursors = true, true, nil
	o.news.Store(true)
	if o.lowered {
		o.lowered = false
		o.common.Counters.Lowered.Add(-1)
	}
	if b := o.backlog; b != nil {
		if b.drained != nil {
			close(b.drained)
		}
		o.backlog = nil // whoever sends may still look at it
	}
}
