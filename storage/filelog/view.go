package filelog

import (
	"io/fs"
	"math"
	"slices"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/segment"
)

// view is a room at one moment, for reading without its lock.
type view struct {
	name, epoch string
	head        uint64
	total       counts
	trimmed     counts // positions
	present     uint64 // how many volatile events there are
	parts       []part
	log         *Log
	room        *room // for its tail, as long as moves is the same
	moves       uint32
	tail        source
	tailOldest  int64 // when the tail's first event was stored

	keepDurable, keepVolatile uint64 // 0: no limit
	oldest                    int64  // what was stored before is past its age
}

func (l *Log) view(name string) view {
	now := l.clock.read()
	r := l.rooms.lockExisting(name)
	defer r.mu.Unlock()
	v := view{
		log: l, name: name, epoch: r.epoch, head: r.positions.head, total: r.total, trimmed: r.trimmed, present: r.volatiles,
		parts: r.parts, room: r, moves: r.moves,
		keepDurable: uint64(l.opts.KeepEvents), keepVolatile: uint64(l.opts.KeepVolatile), oldest: now - int64(l.opts.KeepAge),
		tailOldest: math.MaxInt64,
	}
	if n := len(r.tail.entries); n > 0 {
		v.tail = source{first: r.tail.entries[0].seq, last: r.tail.entries[n-1].seq}
		v.tailOldest = r.tail.entries[0].stored
	}
	return v
}

// dead reports whether an event is past its retention.
func (v *view) dead(volatile bool, c counts, stored int64) bool {
	keep := v.keepDurable
	if volatile {
		keep = v.keepVolatile
	}
	return stored < v.oldest || keep > 0 && c.of(volatile)+keep <= v.total.of(volatile)
}

// from returns what one source has for a query.
func (v *view) from(s source, q query) ([]entry, error) {
	if s.file == nil {
		return v.fromTail(q)
	}
	sq := segment.Query{Room: v.name, Epoch: v.epoch, After: q.after, Before: q.last + 1, Max: q.max, Newest: q.newest}
	if !q.dead {
		sq.Keep = func(r *segment.Record) bool {
			return !v.dead(isVolatile(r), counts{r.Volatiles, r.Durables}, r.Event.At.UnixNano())
		}
	}
	p, err := s.file.Read(sq)
	if err != nil {
		return nil, err
	}
	if len(p.Damage) > 0 && v.log.damaged(p.Damage) {
		return nil, fs.ErrClosed // look again, knowing what is lost
	}
	found := make([]entry, len(p.Records))
	for i := range p.Records {
		r := &p.Records[i]
		found[i] = entry{
			seq: r.Seq, stored: r.Event.At.UnixNano(), counts: counts{r.Volatiles, r.Durables},
			event: r.Event, volatile: isVolatile(r),
		}
	}
	return found, nil
}

// fromTail returns what is not sealed. It fails with fs.ErrClosed if that was sealed since the view was taken.
func (v *view) fromTail(q query) ([]entry, error) {
	v.room.mu.Lock()
	defer v.room.mu.Unlock()
	if v.room.moves != v.moves {
		return nil, fs.ErrClosed
	}
	t := &v.room.tail
	i, end := t.after(q.after), t.after(q.last)
	var found []entry
	take := func(e *entry) {
		if q.dead || !v.dead(e.volatile, e.counts, e.stored) {
			found = append(found, *e)
		}
	}
	if !q.newest {
		for ; i < end && len(found) < q.max; i++ {
			take(&t.entries[i])
		}
		return found, nil
	}
	for ; i < end && len(found) < q.max; end-- {
		take(&t.entries[end-1])
	}
	slices.Reverse(found)
	return found, nil
}

func isVolatile(r *segment.Record) bool { return r.Event.Class == im.Volatile }

// next returns the first event above seq, dead or not, and previous the last one up to it.
func (v *view) next(seq uint64) (e entry, ok bool, err error) {
	found, err := v.collect(query{after: seq, last: v.head, max: 1, dead: true})
	if err != nil || len(found) == 0 {
		return entry{}, false, err
	}
	return found[0], true, nil
}

func (v *view) previous(seq uint64) (e entry, ok bool, err error) {
	found, err := v.collect(query{last: seq, max: 1, newest: true, dead: true})
	if err != nil || len(found) == 0 {
		return entry{}, false, err
	}
	return found[0], true, nil
}

// begin is when the oldest event that is there was stored.
func (v *view) begin() int64 {
	oldest := v.tailOldest
	for _, p := range v.parts {
		if p.events > 0 {
			oldest = min(oldest, p.oldest)
		}
	}
	return oldest
}

// gap reports whether a critical, normal or merged event after seq is no longer kept.
func (v *view) gap(seq uint64) (bool, error) {
	if seq < v.trimmed.durables {
		return true, nil
	}
	if v.begin() >= v.oldest && (v.keepDurable == 0 || v.total.durables <= v.keepDurable) {
		return false, nil // nothing is dead
	}
	// The first durable event after seq decides: those above it are younger.
	for at := seq; ; {
		found, err := v.collect(query{after: at, last: v.head, max: 64, dead: true})
		if err != nil {
			return false, err
		}
		for _, e := range found {
			switch {
			case !e.volatile:
				return v.dead(false, e.counts, e.stored), nil
			case v.keepDurable > 0 && e.durables+1+v.keepDurable <= v.total.durables:
				return true, nil // the next one is too many
			case e.stored >= v.oldest:
				return false, nil // and so is all that follows
			}
		}
		if len(found) < 64 {
			return false, nil
		}
		at = found[len(found)-1].seq
	}
}

// missed counts the volatile events with after < seq <= last that are not among those that were found there. It is exact
// where the events next to both ends are there, and never more than there are.
func (v *view) missed(after, last uint64, found []entry) (int, error) {
	nothingDead := v.begin() >= v.oldest && (v.keepVolatile == 0 || v.total.volatiles <= v.keepVolatile)
	if v.total.volatiles == v.present && nothingDead {
		return 0, nil
	}
	_, upTo, err := v.volatilesUpTo(after)
	if err != nil {
		return 0, err
	}
	atLeast, _, err := v.volatilesUpTo(last)
	if err != nil {
		return 0, err
	}
	kept := uint64(0)
	for _, e := range found {
		if e.volatile {
			kept++
		}
	}
	missed := 0
	if atLeast > upTo+kept {
		missed = int(atLeast - upTo - kept)
	}
	if t := v.trimmed.volatiles; missed == 0 && after < t && t <= last {
		missed = 1
	}
	return missed, nil
}

// volatilesUpTo bounds how many volatile events the room has stored with positions up to seq, from the events next to it:
// each volatile event between takes a position of its own.
func (v *view) volatilesUpTo(seq uint64) (atLeast, atMost uint64, err error) {
	prev, _, err := v.previous(seq)
	if err != nil {
		return 0, 0, err
	}
	next, ok, err := v.next(seq)
	if err != nil {
		return 0, 0, err
	}
	above, room := v.total.volatiles, v.head-min(seq, v.head)
	if ok {
		above, room = next.volatiles, next.seq-1-seq
		if next.volatile {
			above--
		}
	}
	atMost = min(above, prev.volatiles+seq-prev.seq)
	return min(max(prev.volatiles, above-min(above, room)), atMost), atMost, nil
}
