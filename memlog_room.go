package im

import (
	"math"
	"sort"
	"sync"
	"time"
)

// memRoom is one room of a MemoryLog. Its sequence numbers count every event,
// 1, 2, 3, which is what makes Page.Missed exact.
type memRoom struct {
	name, epoch string // immutable

	// mu protects the fields below, up to turn.
	mu        sync.Mutex
	gone      bool              // no longer in its shard: look the room up again
	head      uint64            // of the newest event
	trimmed   uint64            // of the newest critical, normal or merged event that was dropped
	durable   memRing[memEntry] // critical, normal and merged events
	volatile  memRing[memEntry]
	ids       map[string]memID // of the events in both rings and of those in past
	past      memRing[memPast] // durable events that were dropped, but whose IDs are remembered
	snapshot  *Snapshot
	clock     memClock
	used      time.Duration  // by clock: when something was last appended or a follower left
	pending   []*Event       // stored, and to be delivered by whoever has the turn next
	followers []*memFollower // changed with turn and mu held, so that either is enough to read it

	// turn is held while followers are called. It protects the fields of
	// followers and spare. It is taken before mu.
	turn  sync.Mutex
	spare []*Event // the buffer that pending is not
}

// memEntry is an event that is kept, and when it was stored.
type memEntry struct {
	event *Event
	at    time.Duration
}

// memID is what is remembered under the ID of an event.
type memID struct {
	seq    uint64
	digest string
}

// memPast is when the event of an ID was stored.
type memPast struct {
	id string
	at time.Duration
}

// memClock adds up how far a clock moved forward. It stands still when that
// clock jumps back, and goes on from there.
type memClock struct {
	now  time.Duration // the sum
	last time.Duration // the clock's reading
	set  bool
}

// memClockSlack is by how much readings may be out of order because goroutines
// overtook each other. A step back of less is taken for that.
const memClockSlack = time.Second

func (c *memClock) advance(to time.Duration) {
	switch step := to - c.last; {
	case !c.set:
		c.set, c.last = true, to
	case step >= 0:
		c.last = to
		c.now = min(c.now, math.MaxInt64-step) + step
	case step < -memClockSlack:
		c.last = to
	}
}

// append stores one event and notes it for the followers.
func (r *memRoom) append(e *Event) Appended {
	if first, ok := r.ids[e.ID]; ok {
		a := Appended{Pos: Position{r.epoch, first.seq}, Status: Duplicate}
		if first.digest != e.Digest {
			a.Status = Conflict
		}
		return a
	}
	r.head++
	stored := new(Event)
	*stored = *e
	stored.Pos = Position{r.epoch, r.head}
	if r.ids == nil {
		r.ids = make(map[string]memID)
	}
	r.ids[e.ID] = memID{r.head, e.Digest}
	q := &r.durable
	if e.Class == Volatile {
		q = &r.volatile
	}
	q.push(memEntry{stored, r.clock.now})
	if len(r.followers) > 0 {
		r.pending = append(r.pending, stored)
	}
	return Appended{Pos: stored.Pos, Status: Stored}
}

// erase takes the body of an event away, if it is kept. Events that were handed out stay as they are.
func (r *memRoom) erase(seq uint64) {
	for _, q := range []*memRing[memEntry]{&r.durable, &r.volatile} {
		if s := memSpanOf(q, max(seq, 1)-1, seq); s.len() > 0 {
			entry := q.at(s.i)
			bare := *entry.event
			bare.Body = nil
			entry.event = &bare
		}
	}
}

// trim drops what is past its retention by the room's clock. Every event and
// every ID is dropped once: the cost per append is O(1) amortised.
func (r *memRoom) trim(keep *MemoryLogOptions) {
	old := r.clock.now - keep.KeepAge
	for r.volatile.n > keep.KeepVolatile || r.volatile.n > 0 && r.volatile.at(0).at < old {
		delete(r.ids, r.volatile.pop().event.ID)
	}
	for r.durable.n > keep.KeepEvents || r.durable.n > 0 && r.durable.at(0).at < old {
		e := r.durable.pop()
		r.trimmed = e.event.Pos.Seq
		r.past.push(memPast{e.event.ID, e.at})
	}
	old = r.clock.now - keep.DedupAge
	for r.past.n > 0 && (r.past.n+r.durable.n > keep.DedupEvents || r.past.at(0).at < old) {
		delete(r.ids, r.past.pop().id)
	}
	if len(r.ids) == 0 {
		r.ids = nil // a map keeps the size that it once had
	}
}

// idle reports whether the room could be forgotten without losing anything.
func (r *memRoom) idle() bool {
	return len(r.ids) == 0 && r.snapshot == nil && len(r.followers) == 0
}

// reaches returns ErrGap if the log cannot go on after p without a hole.
func (r *memRoom) reaches(p Position) error {
	if !p.IsZero() && (p.Epoch != r.epoch || p.Seq > r.head || p.Seq < r.trimmed) {
		return ErrGap
	}
	return nil
}

// page returns the events in g, whose positions are of the room's epoch and
// which the room reaches.
func (r *memRoom) page(g Range) Page {
	last := r.head
	if !g.Before.IsZero() && g.Before.Seq <= last {
		last = max(g.Before.Seq, 1) - 1
	}
	if g.After.Seq >= last {
		return Page{}
	}
	limit := g.Max
	if limit <= 0 {
		limit = DefaultPage
	}
	durable := memSpanOf(&r.durable, g.After.Seq, last)
	volatile := memSpanOf(&r.volatile, g.After.Seq, last)
	total := durable.len() + volatile.len()

	var p Page
	if n := min(limit, total); n > 0 {
		p.Events = make([]*Event, n)
		p.More = n < total
	}
	if g.Newest {
		for i := len(p.Events) - 1; i >= 0; i-- {
			p.Events[i] = newer(&durable, &volatile)
		}
		return p
	}
	for i := range p.Events {
		p.Events[i] = older(&durable, &volatile)
	}
	if !g.After.IsZero() {
		if p.More {
			last = p.Events[len(p.Events)-1].Pos.Seq
		}
		p.Missed = int(last-g.After.Seq) - len(p.Events)
	}
	return p
}

// memSpan is a run of the entries of a ring.
type memSpan struct {
	q    *memRing[memEntry]
	i, j int // from, and up to but not including
}

// memSpanOf returns the entries with after < seq <= last.
func memSpanOf(q *memRing[memEntry], after, last uint64) memSpan {
	first := func(seq uint64) int {
		return sort.Search(q.n, func(i int) bool { return q.at(i).event.Pos.Seq > seq })
	}
	return memSpan{q, first(after), first(last)}
}

func (s *memSpan) len() int      { return s.j - s.i }
func (s *memSpan) front() *Event { return s.q.at(s.i).event }
func (s *memSpan) back() *Event  { return s.q.at(s.j - 1).event }

// older takes the oldest event of two spans, not both of which are empty.
func older(a, b *memSpan) *Event {
	if a.len() == 0 || b.len() > 0 && b.front().Pos.Seq < a.front().Pos.Seq {
		a = b
	}
	a.i++
	return a.q.at(a.i - 1).event
}

// newer takes the newest event of two spans, not both of which are empty.
func newer(a, b *memSpan) *Event {
	if a.len() == 0 || b.len() > 0 && b.back().Pos.Seq > a.back().Pos.Seq {
		a = b
	}
	a.j--
	return a.q.at(a.j).event
}
