package fanout

import (
	"errors"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/liveim/im/internal/uring"
	"github.com/liveim/im/transport"
)

// How many sends enter the kernel together, at least and at most.
const (
	volleyLeast = 4
	volleyMost  = 256
	// volleyBig is how much of one send does not enter with others: what an entry costs is
	// lost in the copying, and an entry that copies for milliseconds keeps the worker's
	// processor from everybody else.
	volleyBig = 32 << 10
)

// errUnknown is the error of a connection of which the kernel does not say what it
// has sent.
var errUnknown = errors.New("fanout: io_uring broke while it sent, and what it has sent is not known; the client comes back and resumes")

// Batching says whether sends enter the kernel together, for all workers of an
// engine. Its methods are safe for use by many goroutines.
type Batching struct {
	allowed bool
	broken  atomic.Bool // a ring has failed: no more of them

	Sends  atomic.Uint64 // that were batched
	Enters atomic.Uint64 // entries into the kernel for them
}

// NewBatching returns a Batching that is active where the system has io_uring, if it
// is allowed to be.
func NewBatching(allowed bool) *Batching {
	return &Batching{allowed: allowed && uring.Probe() == nil}
}

// Active reports whether sends are batched. It is false for a nil Batching.
func (b *Batching) Active() bool { return b != nil && b.allowed && !b.broken.Load() }

// volley gathers the sends of many outlets, so that they enter the kernel at once.
// It belongs to one worker. Where sends are not batched each enters by itself.
type volley struct {
	batching *Batching
	ring     *uring.Ring // nil: none yet
	scratch  Scratch     // of all flights
	spare    Scratch     // of what follows a flight, or is sent by itself
	flights  []flight
	tail     [][]byte // of a flight that was sent in part

	stats        *Counters // where sends and bytes belong
	sends, bytes uint64    // that are not counted there yet
}

// add gathers what an outlet has to send, of c and all else. It leaves with the next
// submit.
func (v *volley) add(o *Outlet, c *Cursor, view *View, now time.Time) {
	if !o.turn.take() {
		return
	}
	if len(v.flights) == volleyMost {
		v.submit(now)
	}
	v.scratch.view = view
	v.prepare(o, c, now)
}

// prepare adds a flight. It survives a panic, which ends the session.
func (v *volley) prepare(o *Outlet, c *Cursor, now time.Time) {
	s := &v.scratch
	segs, bufs := len(s.segs), len(s.bufs)
	defer func() {
		if p := recover(); p != nil {
			s.segs, s.bufs, s.lost = s.segs[:segs], s.bufs[:bufs], s.lost[:0]
			o.panicked(p)
		}
	}()
	if o.over {
		return // the turn stays taken
	}
	o.turn.refresh()
	f := o.prepare(s, c, now)
	o.tell(s)
	if f.total > 0 {
		v.flights = append(v.flights, f)
	} else if o.goesOn(o.conclude(&f, 0, nil, now)) {
		o.run(&v.spare, now)
	}
}

// submit sends what has gathered.
func (v *volley) submit(now time.Time) {
	if len(v.flights) == 0 {
		return
	}
	if v.batching.Active() {
		v.fire()
	}
	for i := range v.flights {
		v.conclude(&v.flights[i], now)
	}
	v.count(nil, 0)
	clear(v.flights)
	v.flights = v.flights[:0]
	v.scratch.reset()
}

// fire hands to the kernel what has a descriptor, and notes how much of it was
// taken. What was not is left to the connections.
func (v *volley) fire() {
	count := 0
	for i := range v.flights {
		f := &v.flights[i]
		d, ok := f.outlet.conn.(transport.Descriptor)
		if !ok || f.total > volleyBig {
			continue
		}
		if f.fd, ok = d.Hold(); ok {
			f.held = d
			count++
		}
	}
	if count >= volleyLeast && v.load() {
		v.enter(count)
	}
	for i := range v.flights {
		if f := &v.flights[i]; f.held != nil {
			f.held.Release()
		}
	}
}

// load makes the ring ready.
func (v *volley) load() bool {
	if v.ring == nil {
		ring, err := uring.New(volleyMost)
		if err != nil {
			v.batching.broken.Store(true)
			return false
		}
		v.ring = ring
	}
	return true
}

// enter sends to the descriptors that are held.
func (v *volley) enter(count int) {
	for i := range v.flights {
		switch f := &v.flights[i]; {
		case f.held == nil:
		case len(f.bufs) == 1:
			v.ring.Send(f.fd, f.bufs[0])
		default:
			v.ring.Sendv(f.fd, f.bufs)
		}
	}
	results, err := v.ring.Submit()
	if err != nil { // the results say what is known
		v.batching.broken.Store(true)
		v.close()
	}
	v.batching.Enters.Add(1)
	v.batching.Sends.Add(uint64(count))
	next := 0
	for i := range v.flights {
		f := &v.flights[i]
		if f.held == nil {
			continue
		}
		f.sent = int(results[next])
		next++
		if f.sent == -int(syscall.EINPROGRESS) {
			f.err = errUnknown
		}
		f.sent = max(f.sent, 0)
	}
}

// conclude goes on with one flight after it was sent, or not.
func (v *volley) conclude(f *flight, now time.Time) {
	o := f.outlet
	defer o.survive(&v.spare)
	n, err := f.sent, f.err
	if err == nil && n < f.total { // full, lost, or not tried: the connection finds out
		var m int
		m, err = o.conn.TrySend(v.after(f.bufs, n))
		n += m
	}
	v.count(o.common.Counters, n)
	if o.goesOn(o.conclude(f, n, err, now)) {
		o.run(&v.spare, now)
	}
}

// count counts one send, together with those before it: all workers write to the same
// counters. Nil has it done now.
func (v *volley) count(stats *Counters, n int) {
	if stats != v.stats {
		if v.stats != nil {
			v.stats.Sends.Add(v.sends)
			v.stats.SentBytes.Add(v.bytes)
		}
		v.stats, v.sends, v.bytes = stats, 0, 0
	}
	v.sends++
	v.bytes += uint64(n)
}

// after returns what is left of bufs when n bytes are sent. It is valid until the
// next call.
func (v *volley) after(bufs [][]byte, n int) [][]byte {
	for n > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n == 0 {
		return bufs
	}
	v.tail = append(append(v.tail[:0], bufs[0][n:]), bufs[1:]...)
	return v.tail
}

// close gives the ring up.
func (v *volley) close() {
	if v.ring != nil {
		_ = v.ring.Close() // all is known of it that can be
		v.ring = nil
	}
}
