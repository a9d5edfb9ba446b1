package filelog

import (
	"sync"
	"sync/atomic"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/segment"
)

// room is one room of a log.
type room struct {
	name, epoch string // immutable

	// mu protects the fields below, up to turn.
	mu        sync.Mutex
	gone      bool // no longer in its shard: look the room up again
	positions positions
	total     counts     // of what is published
	flown     counts     // of the flight
	flight    []*request // of the round that is on; the committer's own
	evicted   uint64     // up to which events are in memory no more, if they are on disk
	tail      tail
	ids       map[string]identity // of the events in tail and of those in flight
	parts     []part              // what sealed segments hold, the oldest first; replaced, never changed
	moves     uint32              // counts the changes of parts
	trimmed   counts              // positions, not numbers: up to which events of either sort are gone from memory and disk
	volatiles uint64              // how many volatile events tail and parts hold
	snapshot  snapshotPlace
	waiting   int         // how many requests in the queue are for the room
	anchor    uint64      // the number of the newest segment that holds anything of the room
	used      int64       // when something was last appended or a follower left, by the log's clock
	written   uint64      // the highest position that was written
	pending   []*im.Event // published, and to be delivered by whoever has the turn next
	undone    atomic.Bool // there are some; changed with mu held
	joining   bool        // somebody is about to follow
	followers []*follower // changed with turn and mu held, so that either is enough to read it

	// turn is held while followers are called. It protects the fields of
	// followers and spare. It is taken before mu.
	turn  sync.Mutex
	spare []*im.Event // the buffer that pending is not
}

// identity is what is remembered under the ID of an event.
type identity struct {
	seq    uint64
	digest string
}

// part is what one sealed segment holds of a room.
type part struct {
	file           *sealedFile
	first, last    uint64 // positions, of events
	events         int
	volatiles      int
	lastDurable    uint64
	upTo           counts
	oldest, newest int64 // Event.At
}

// snapshotPlace is where the newest snapshot of a room lies. The zero value is none.
type snapshotPlace struct {
	seq    uint64
	active *activeFile // or
	sealed *sealedFile
	ref    segment.Ref
}

func (p snapshotPlace) none() bool { return p.active == nil && p.sealed == nil }

// judge says what becomes of an event whose ID may be remembered. flying reports that it hangs on the flight.
func (r *room) judge(e *im.Event) (a im.Appended, known, flying bool) {
	first, known := r.ids[e.ID]
	if !known {
		return im.Appended{}, false, false
	}
	return verdict(r.epoch, first, e), true, r.positions.low != 0 && first.seq >= r.positions.low
}

// verdict is the answer for an event whose ID is there already.
func verdict(epoch string, first identity, e *im.Event) im.Appended {
	a := im.Appended{Pos: im.Position{Epoch: epoch, Seq: first.seq}, Status: im.Duplicate}
	if first.digest != e.Digest {
		a.Status = im.Conflict
	}
	return a
}

// remember keeps the ID of an event that has its place.
func (r *room) remember(e *im.Event) {
	if r.ids == nil {
		r.ids = make(map[string]identity)
	}
	r.ids[e.ID] = identity{e.Pos.Seq, e.Digest}
}

func (r *room) forget(id string, seq uint64) {
	if first, ok := r.ids[id]; ok && first.seq == seq {
		delete(r.ids, id)
		if len(r.ids) == 0 {
			r.ids = nil // a map keeps the size that it once had
		}
	}
}

// publish puts an event that has its place into the room, and notes it for the followers.
func (r *room) publish(e entry) {
	if e.volatile {
		r.total.volatiles++
		r.volatiles++
	} else {
		r.total.durables++
	}
	e.counts = r.total
	r.tail.put(e)
	if len(r.followers) > 0 || r.joining {
		r.pending = append(r.pending, e.event)
		r.undone.Store(true)
	}
}

// placeVolatile stores volatile events at once. It reports false, and stores nothing, if there is no place for them
// until the disk has answered. Events that are known already, as out says, are passed over.
func (r *room) placeVolatile(events []*im.Event, out []im.Appended, now int64) (stored int, ok bool) {
	before := r.positions
	for i, e := range events {
		if out[i].Status != 0 {
			continue
		}
		if a, known, _ := r.judge(e); known {
			out[i] = a
			continue
		}
		seq, ok := r.positions.volatile()
		if !ok {
			r.positions = before
			for k, e := range events[:i] {
				if out[k].Status == im.Stored {
					r.forget(e.ID, out[k].Pos.Seq)
				}
			}
			return 0, false
		}
		e.Pos = im.Position{Epoch: r.epoch, Seq: seq}
		out[i] = im.Appended{Pos: e.Pos, Status: im.Stored}
		r.remember(e)
		stored++
	}
	for i, e := range events {
		if out[i].Status == im.Stored {
			r.publish(entry{seq: e.Pos.Seq, stored: now, event: e, volatile: true})
		}
	}
	return stored, true
}

// placeDurable gives events their places in the flight, and appends their records.
func (r *room) placeDurable(events []*im.Event, out []im.Appended, records []segment.Record) []segment.Record {
	for i, e := range events {
		if out[i].Status != 0 {
			continue
		}
		if a, known, _ := r.judge(e); known {
			out[i] = a
			continue
		}
		e.Pos = im.Position{Epoch: r.epoch, Seq: r.positions.durable()}
		out[i] = im.Appended{Pos: e.Pos, Status: im.Stored}
		r.remember(e)
		if e.Class == im.Volatile {
			r.flown.volatiles++
		} else {
			r.flown.durables++
		}
		records = append(records, segment.Record{
			Type: segment.Event, Room: r.name, Epoch: r.epoch, Seq: e.Pos.Seq, Event: e,
			Volatiles: r.total.volatiles + r.flown.volatiles, Durables: r.total.durables + r.flown.durables,
		})
	}
	return records
}
