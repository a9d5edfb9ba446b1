package fanout

import (
	"sync/atomic"
	"time"

	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport"
)

// Source is a room as cursors see it. Its methods are called by whoever sends
// for a session and must return at once.
type Source interface {
	// Name is the room's id.
	Name() string
	// Since is Feed.Since, under the room's lock.
	Since(next uint64, dst []*Batch) ([]*Batch, bool)
	// Latest is the newest merged value of the room, such as its online count,
	// or nil. Sessions get the last one; those in between may be left out.
	Latest() *Shared
}

// Cursor is how far one session has got in one room. It belongs to one
// [Outlet]; whoever sends for that outlet reads and moves it.
type Cursor struct {
	// Owner is what the room knows the session by, Epoch the epoch of its seqs. Both
	// are not used here, save that a transport.Marker is told of Epoch.
	Owner any
	Epoch string

	source Source
	outlet *Outlet
	start  uint64        // where next begins when the cursor becomes active
	seq    atomic.Uint64 // the position that the session was told; moved as next is
	wants  atomic.Uint32 // the Tier that the session has chosen

	// The fields below belong to the goroutine that sends for the outlet. The small
	// ones stand together, since a flush touches the cursors of all sessions.
	wanted  Tier // what the session was last told that it has chosen
	tier    Tier // and what it gets, which is less while it lags
	active  bool
	entered bool  // the message that lets the session in is on its way
	lost    bool  // fell out of the feed; waits for another cursor to take its place
	shown   bool  // the session is in the room by what is being gathered; for marks
	bounded bool  // the outlet is ending
	owed    int32 // volatile events that were left out because it lags, and not told yet
	owedSeq int32 // those of them that lie before seq
	next    uint64
	at      uint64 // seq as it will be when what is being gathered is sent
	passed  uint64 // the end of the last batch before next
	// counted is the batch up to which left-out events were told to the session.
	counted uint64
	latest  *Shared
	end     uint64 // where it stops, if bounded
}

// NewCursor returns a cursor that will deliver the batches of src from number
// next on, as far as the tier wants them, to a session whose position is seq. It
// delivers nothing until [Outlet.Enter] has put it behind the message that lets
// the session into the room.
func NewCursor(owner any, epoch string, src Source, o *Outlet, t Tier, next, seq uint64) *Cursor {
	c := &Cursor{Owner: owner, Epoch: epoch, source: src, outlet: o, wanted: t, tier: t, passed: seq, start: next, latest: src.Latest()}
	c.wants.Store(uint32(t))
	c.seq.Store(seq)
	return c
}

// Outlet returns the outlet that the cursor belongs to.
func (c *Cursor) Outlet() *Outlet { return c.outlet }

// Seq returns the position that the session has been told so far.
func (c *Cursor) Seq() uint64 { return c.seq.Load() }

func (c *Cursor) activate() {
	if !c.active {
		c.active, c.next = true, c.start
	}
}

// gather adds to s what the session has not got yet, and stops at the first
// batch beyond the budget of bytes. Volatile events of batches older than oldest
// are left out and counted, superseded ones without a word. It reports false if the cursor has fallen out of the
// feed.
func (c *Cursor) gather(s *Scratch, budget int, oldest time.Time) bool {
	batches, ok := c.since(s)
	if !ok {
		return false
	}
	if c.outlet.ending {
		if !c.bounded {
			c.bounded, c.end = true, c.next+uint64(len(batches))
		}
		batches = batches[:c.end-c.next]
	}
	conn, missed, counted := c.outlet.conn, 0, c.counted
	c.at = c.seq.Load()
	gets, lowered := c.tier, false
	if c.outlet.lag != nil || c.Tier() != gets {
		gets, lowered = c.retier(s)
	}
	debt, head := 0, c.passed // if it is lowered
	if lowered {
		debt = int(c.owed)
	}
	for i, b := range batches {
		number, tier, owed := c.next+uint64(i), gets, 0
		switch {
		case lowered && number >= counted:
			owed = b.count[Volatile]
		case tier == TierFull && (b.at.Before(oldest) || number < c.counted):
			tier = TierReduced
			if number >= counted {
				missed += b.count[Volatile]
				counted = number + 1
			}
		}
		marked := c.outlet.alone && c.at <= b.to // in front of the frame
		lean := b.superseded.Load() && b.at.Before(oldest)
		frame := c.frame(b, tier, lean, marked)
		if missed > 0 && (frame != nil || i == len(batches)-1) {
			seg := segment{from: fromGap, cursor: c, next: number, counted: counted, missed: missed, seq: b.prev[TierFull], told: true}
			if frame == nil {
				seg.next, seg.seq = number+1, b.to
			}
			seg.seq = max(seg.seq, c.at)
			gap := conn.Private().Append(nil, wire.AppendGap(nil, b.room, c.at, missed, seg.seq))
			missed, c.at = 0, seg.seq
			seg.mark = c.outlet.mark(s.cursors)
			s.add(gap, seg)
		}
		if missed > 0 {
			continue // the gap that comes moves the cursor over this batch, once it is sent
		}
		seg := segment{cursor: c, next: number + 1, seq: b.to, told: frame != nil, missed: owed}
		if frame != nil {
			c.at = max(c.at, b.to)
			if !marked {
				seg.mark = c.outlet.mark(s.cursors)
			}
		}
		s.add(frame, seg)
		debt, head = debt+owed, b.to
		if budget -= len(frame); budget <= 0 && i < len(batches)-1 {
			s.more = true
			return true
		}
	}
	if debt > 0 && c.outlet.ending {
		prev := c.at
		c.at = max(c.at, head)
		c.addGap(s, c.next+uint64(len(batches)), prev, debt, c.at)
	}
	if latest := c.source.Latest(); latest != c.latest && latest != nil {
		s.add(latest.frame(c.outlet.shared), segment{cursor: c, latest: latest})
	}
	return true
}

// quick is gather for the case that nearly all cursors are in: it is at most a few
// recent batches behind and gets all of what they hold for its tier. Otherwise it adds nothing and
// reports false. It looks at little memory.
func (c *Cursor) quick(s *Scratch, budget int, oldest time.Time) bool {
	v := s.view
	if v == nil || v.source != c.source || !c.active || !c.entered || c.lost || c.bounded || c.owed != 0 ||
		c.counted > c.next || c.tier != c.wanted || c.Tier() != c.wanted {
		return false
	}
	batches, ok := v.since(c.next)
	if !ok {
		return false
	}
	if latest := c.source.Latest(); latest != nil && latest != c.latest {
		return false
	}
	alone := c.outlet.alone
	if alone && len(batches) > 0 && c.seq.Load() > batches[0].to {
		return false // its marks are not those of the batches
	}
	var frames [recent][]byte
	for i, b := range batches {
		if b.at.Before(oldest) {
			return false
		}
		frames[i] = c.frame(b, c.tier, false, alone)
		if budget -= len(frames[i]); budget <= 0 {
			return false
		}
	}
	for i, b := range batches {
		s.add(frames[i], segment{cursor: c, next: c.next + uint64(i) + 1, seq: b.to, told: frames[i] != nil})
	}
	return true
}

// frame returns a batch as the session gets it, with the client's position in front if marked.
func (c *Cursor) frame(b *Batch, t Tier, lean, marked bool) []byte {
	o := c.outlet
	if marked {
		return b.marked(o.shared, t, lean, c, o.conn.(transport.Marker))
	}
	return b.frame(o.shared, t, lean)
}

// since returns the batches that the session has not got yet. An outlet that ends
// wants all that there is by now.
func (c *Cursor) since(s *Scratch) ([]*Batch, bool) {
	if v := s.view; v != nil && v.source == c.source && !c.outlet.ending {
		if batches, ok := v.since(c.next); ok {
			return batches, true
		}
	}
	batches, ok := c.source.Since(c.next, s.batches[:0])
	s.batches = batches
	return batches, ok
}

// commit notes that a segment of this cursor is on its way.
func (c *Cursor) commit(seg *segment) {
	c.next = max(c.next, seg.next)
	c.passed = max(c.passed, seg.seq)
	if seg.told && seg.seq > c.seq.Load() {
		c.seq.Store(seg.seq)
	}
	c.counted = max(c.counted, seg.counted)
	if seg.latest != nil {
		c.latest = seg.latest
	}
	if seg.from == fromCursor && (seg.missed > 0 || c.owed > 0) {
		c.owed += int32(seg.missed)
		if seg.told {
			c.owedSeq = c.owed
		}
	}
}
