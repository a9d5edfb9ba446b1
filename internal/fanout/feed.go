package fanout

import (
	"sync/atomic"
	"time"
)

// FeedLimits bounds a feed. All three must be positive.
type FeedLimits struct {
	Batches    int // batches kept
	Bytes      int // bytes of events kept
	BatchBytes int // bytes of events in one batch; one larger event is a batch of its own
}

// Feed is one room's recent past as a ring of batches. Batches are numbered
// from 0 on; a cursor is the number of the batch that it wants next.
//
// It is a plain struct: its owner serialises all calls. An empty feed holds no
// ring.
type Feed struct {
	room   string
	limits *FeedLimits
	ring   []*Batch // ring[i%len(ring)] is batch i for first <= i < next
	first  uint64
	next   uint64
	bytes  int
	to     uint64             // the position after the newest batch
	last   [lanes]uint64      // by tier: the end of the newest batch that held something for it
	newest map[string]itemRef // by Key of items in the ring; nil: there are none
}

// itemRef is where an item is.
type itemRef struct {
	batch *Batch
	i     int
}

// NewFeed returns a feed of the room that starts at position seq. The limits
// are shared by many feeds and must not change.
func NewFeed(room string, seq uint64, limits *FeedLimits) Feed {
	f := Feed{room: room, limits: limits}
	f.startAt(seq)
	return f
}

func (f *Feed) startAt(seq uint64) {
	f.to = seq
	for t := range f.last {
		f.last[t] = seq
	}
}

// Restart begins anew at position seq, as after a change of epoch: every
// cursor has fallen out of the feed.
func (f *Feed) Restart(seq uint64) {
	f.ring, f.bytes, f.newest = nil, 0, nil
	f.next++
	f.first = f.next
	f.startAt(seq)
}

// Next is where the cursor of a session starts that knows everything so far.
func (f *Feed) Next() uint64 { return f.next }

// Seq is the position after everything that was pushed.
func (f *Feed) Seq() uint64 { return f.to }

// Push appends items, sealed into batches, and moves the position to seq, which
// may lie after the last item: what lies between is not delivered. The feed
// keeps items.
func (f *Feed) Push(items []Item, seq uint64, now time.Time) {
	for len(items) > 0 {
		n, size := 1, len(items[0].JSON)
		for n < len(items) && size+len(items[n].JSON) <= f.limits.BatchBytes {
			size += len(items[n].JSON)
			n++
		}
		f.seal(items[:n:n], size, now)
		items = items[n:]
	}
	f.to = max(f.to, seq)
}

func (f *Feed) seal(items []Item, size int, now time.Time) {
	b := &Batch{room: f.room, items: items, prev: f.last, to: items[len(items)-1].Seq, size: size, at: now}
	for _, it := range items {
		b.count[it.Lane]++
	}
	f.supersede(b)
	for t := range f.last {
		if b.holds(Tier(t)) {
			f.last[t] = b.to
		}
	}
	f.to = b.to
	f.put(b)
}

func (f *Feed) put(b *Batch) {
	for f.next > f.first && (int(f.next-f.first) == f.limits.Batches || f.bytes+b.size > f.limits.Bytes) {
		old := &f.ring[f.first%uint64(len(f.ring))]
		f.bytes -= (*old).size
		f.forget(*old)
		*old = nil
		f.first++
	}
	if int(f.next-f.first) == len(f.ring) {
		f.grow()
	}
	f.ring[f.next%uint64(len(f.ring))] = b
	f.bytes += b.size
	f.next++
}

// supersede notes which items in the ring b has newer values of.
func (f *Feed) supersede(b *Batch) {
	for i, it := range b.items {
		if it.Key == "" {
			continue
		}
		if b.dead == nil {
			b.dead = make([]atomic.Bool, len(b.items))
		}
		if f.newest == nil {
			f.newest = map[string]itemRef{}
		}
		if old, ok := f.newest[it.Key]; ok {
			old.batch.dead[old.i].Store(true)
			old.batch.superseded.Store(true)
		}
		f.newest[it.Key] = itemRef{b, i}
	}
}

// forget drops what refers to a batch that leaves the ring.
func (f *Feed) forget(b *Batch) {
	if b.dead == nil {
		return
	}
	for i, it := range b.items {
		if f.newest[it.Key] == (itemRef{b, i}) {
			delete(f.newest, it.Key)
		}
	}
}

func (f *Feed) grow() {
	bigger := make([]*Batch, min(max(8, 2*len(f.ring)), f.limits.Batches))
	for i := f.first; i < f.next; i++ {
		bigger[i%uint64(len(bigger))] = f.ring[i%uint64(len(f.ring))]
	}
	f.ring = bigger
}

// recent is how many batches a view holds.
const recent = 4

// View is the end of a feed as it was at one moment. Whoever sends for many
// cursors looks there first, and asks the room only for those that are further behind.
type View struct {
	source  Source // whose it is
	first   uint64
	count   int
	batches [recent]*Batch
}

// View returns the newest batches. src is the room that they are of.
func (f *Feed) View(src Source) View {
	v := View{source: src, count: int(min(recent, f.next-f.first))}
	v.first = f.next - uint64(v.count)
	for i := range v.count {
		v.batches[i] = f.ring[(v.first+uint64(i))%uint64(len(f.ring))]
	}
	return v
}

// since returns the batches from next on, if the view has all of them.
func (v *View) since(next uint64) ([]*Batch, bool) {
	if next < v.first || next > v.first+uint64(v.count) {
		return nil, false
	}
	return v.batches[next-v.first : v.count], true
}

// Since appends the batches from next on to dst. It reports false if next has
// fallen out of the feed.
func (f *Feed) Since(next uint64, dst []*Batch) ([]*Batch, bool) {
	if next < f.first || next > f.next {
		return dst, false
	}
	for i := next; i < f.next; i++ {
		dst = append(dst, f.ring[i%uint64(len(f.ring))])
	}
	return dst, true
}
