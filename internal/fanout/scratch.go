package fanout

import "sync"

// Scratch is the memory that one goroutine needs to send. It is used again for
// the next outlet.
type Scratch struct {
	bufs    [][]byte
	segs    []segment
	batches []*Batch
	lost    []*Cursor
	cursors []*Cursor // of the outlet, none of which is changed
	more    bool      // the budget ended before the cursor was at the head
	view    *View     // of the room that is being flushed; nil: none is
}

// segment is one piece of what a send carries, and what is true when it is on
// its way.
type segment struct {
	size    int    // of mark and wire
	mark    []byte // the client's positions, right before wire and of one piece with it; or nil
	wire    []byte
	cursor  *Cursor // nil: rest or control; of a note: the one that it lets in
	next    uint64
	counted uint64
	seq     uint64 // the end of what the cursor has passed by it
	missed  int    // volatile events that it tells of, or leaves out without a word
	latest  *Shared
	from    origin
	told    bool // the session's position becomes seq
	wanted  Tier // of fromTier
	tier    Tier // of fromTier
}

// origin is where a segment comes from.
type origin uint8

const (
	fromCursor origin = iota // a batch, or the latest value
	fromGap
	fromTier
	fromRest
	fromControl
	fromHead // of a note of the queue, whose tail follows
	fromQueue
	fromFinal // the last note of the queue
)

var scratches = sync.Pool{New: func() any { return new(Scratch) }}

func (s *Scratch) add(wire []byte, seg segment) {
	seg.wire, seg.size = wire, len(seg.mark)+len(wire)
	s.segs = append(s.segs, seg)
	if len(seg.mark) > 0 {
		s.bufs = append(s.bufs, seg.mark)
	}
	if len(wire) > 0 {
		s.bufs = append(s.bufs, wire)
	}
}

// reset forgets what was sent, so that the scratch keeps nothing alive.
func (s *Scratch) reset() {
	clear(s.bufs)
	clear(s.segs)
	clear(s.batches[:cap(s.batches)])
	clear(s.lost)
	s.cursors = nil
	s.bufs, s.segs, s.batches, s.lost, s.more = s.bufs[:0], s.segs[:0], s.batches[:0], s.lost[:0], false
}
