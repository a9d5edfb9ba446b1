package im

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/liveim/im/internal/fanout"
	"github.com/liveim/im/internal/wire"
)

// patience is how long something may take. The context that says so is made only where
// something does wait, which most joins never do.
type patience struct {
	life  context.Context // it ends earlier if this does
	until time.Time
}

func (h *Hub) hookPatience() patience {
	return patience{h.life, time.Now().Add(h.opts.Timeouts.Hook)}
}

func (p patience) context() (context.Context, context.CancelFunc) {
	return context.WithDeadline(p.life, p.until)
}

// messages are buffers in which something is written of which a copy is kept.
var messages = sync.Pool{New: func() any { return new([]byte) }}

// freeMessage gives back a buffer, unless it is one that few need so large.
func freeMessage(buf *[]byte) {
	const most = 128 << 10
	if cap(*buf) <= most {
		messages.Put(buf)
	}
}

// enter puts a session into the room, in the place of an old membership if it
// has one, and sends it the entry: the state as of now, and either all events since
// a position or the newest ones. What follows comes through the cursor, so nothing
// is missing in between and nothing comes twice. A session that fell out of the
// feed enters as the same member. It returns the cursor that was replaced.
func (c *core) enter(p patience, m, old *member, entry *wire.Entry, since Position) (replaced *fanout.Cursor, err error) {
	c.mu.Lock()
	c.sealLocked(time.Now())
	if old != nil && old.slot >= 0 {
		replaced = c.cursors[old.slot]
	}
	if c.fold.closed {
		c.mu.Unlock()
		c.obey()
		return replaced, ErrRoomClosed
	}
	if at, kicked := c.kicks[m.session.User().ID]; kicked && int64(at.Sub(c.hub.started)) > m.asked {
		c.mu.Unlock()
		c.obey()
		return replaced, &Error{Code: CodeKicked} // it was admitted before that
	}
	pos, tier := Position{c.epoch, c.feed.Seq()}, m.tier
	cursor := fanout.NewCursor(m, c.epoch, c, m.session.outlet, tier, c.feed.Next(), pos.Seq)
	if m == old {
		if replaced == nil {
			c.mu.Unlock()
			return nil, nil // it has left meanwhile
		}
		c.cursors[m.slot] = cursor
	} else {
		c.addLocked(m, cursor, old)
	}
	entry.Pos, entry.State, entry.Online, entry.Told = wire.Position(pos), c.fold.state(), len(c.members), c.told.encoded
	departed := len(c.departed) > 0
	c.mu.Unlock()
	if departed {
		c.obey()
	}
	if err := c.fill(p, entry, since, pos, tier); err != nil {
		return replaced, err
	}
	if m == old && !c.holds(m, cursor) {
		return nil, nil // it has entered anew, or left, meanwhile
	}
	if !m.session.sendEntry(entry, cursor, replaced) {
		return replaced, ErrClosed
	}
	if !c.holds(m, cursor) { // put out while it entered
		if newer := m.session.member(c.id); newer != nil && newer != m {
			m.session.outlet.Drop(cursor)
		} else { // it was told so before it was told that it is in
			m.session.outlet.Leave(cursor, encode(&wire.Message{Op: wire.OpLeft, Room: c.id, Code: string(CodeKicked)}))
		}
	}
	if old == nil && !entry.Recovered && (since.IsZero() || since.Epoch == pos.Epoch) { // else the viewer is back
		c.arrive(m)
	}
	c.planAnnouncement()
	return nil, nil
}

func (s *Session) sendEntry(entry *wire.Entry, cursor, replaced *fanout.Cursor) bool {
	buf := messages.Get().(*[]byte)
	defer freeMessage(buf)
	*buf = wire.AppendEntryHead((*buf)[:0], entry)
	return s.outlet.EnterWith(*buf, entry.Tail, cursor, replaced)
}

// holds reports whether the membership stands, with this cursor.
func (c *core) holds(m *member, cursor *fanout.Cursor) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return m.slot >= 0 && c.cursors[m.slot] == cursor
}

// fill adds the events of an entry as of pos: what came after since if the log
// still has all of it, else the newest.
func (c *core) fill(p patience, entry *wire.Entry, since, pos Position, tier fanout.Tier) (err error) {
	if !since.IsZero() && since.Epoch == pos.Epoch && since.Seq <= pos.Seq {
		ctx, cancel := p.context()
		defer cancel()
		r := Range{After: since, Before: Position{pos.Epoch, pos.Seq + 1}, Max: c.hub.opts.Bounds.ResumeEvents}
		page, err := c.read(ctx, r, isMerged)
		events, whole := encodeTier(page.Events, tier, maxResumeBytes)
		switch {
		case err == nil && !page.More && whole:
			entry.Recovered, entry.Missed, entry.Tail = true, page.Missed, wire.AppendTail(nil, events)
			return nil
		case err != nil && !errors.Is(err, ErrGap):
			return err
		}
	}
	entry.Tail, err = c.newest(p, pos, tier)
	return err
}

// readNewest reads the newest events as of pos, as an entry has them.
func (c *core) readNewest(p patience, pos Position, tier fanout.Tier) ([]byte, error) {
	ctx, cancel := p.context()
	defer cancel()
	page, err := c.read(ctx, Range{Before: Position{pos.Epoch, pos.Seq + 1}, Max: c.hub.opts.Bounds.JoinEvents, Newest: true}, isMerged)
	if err != nil && !errors.Is(err, ErrGap) {
		return nil, err
	}
	events, _ := encodePage(page.Events, tier, true)
	return wire.AppendTail(nil, events), nil
}

// entries are what sessions get that enter a room at the same position and tier: the newest
// events, which are read and encoded once for a crowd. A room into which
// somebody comes now and then keeps nothing.
type entries struct {
	last   time.Time // when somebody asked
	byTier [fanout.TierFull + 1]*newestEvents
}

// newestEvents are the newest events at a position.
type newestEvents struct {
	pos  Position
	made time.Time
	from uint64        // core.deletions before they were read
	done chan struct{} // closed when they are there
	list []byte        // nil: they could not be read
}

// crowdWithin is how close together two sessions come who are a crowd, and how long what was read for one is good
// for others: the log forgets what is too old, also where nothing is said.
const crowdWithin = time.Second

// newest returns the newest events as of pos, as an entry has them. Whoever comes first reads them;
// others who come meanwhile wait for that, and try themselves only if it fails.
func (c *core) newest(p patience, pos Position, tier fanout.Tier) ([]byte, error) {
	e, reads := c.crowdOf(pos, tier)
	switch {
	case e == nil:
		return c.readNewest(p, pos, tier)
	case reads:
		defer close(e.done)
		list, err := c.readNewest(p, pos, tier)
		e.list = list
		return list, err
	}
	select {
	case <-e.done:
	default:
		ctx, cancel := p.context()
		defer cancel()
		select {
		case <-e.done:
		case <-ctx.Done():
			return nil, &Error{Code: CodeTimeout, cause: ctx.Err()}
		}
	}
	if e.list == nil || e.from != c.deletions.Load() {
		return c.readNewest(p, pos, tier)
	}
	return e.list, nil
}

// crowdOf returns what a session shares with others that enter at the same position, nil
// if there are no others, and whether it is to read it for them.
func (c *core) crowdOf(pos Position, tier fanout.Tier) (e *newestEvents, reads bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	crowd := now.Sub(c.entries.last) < crowdWithin
	c.entries.last = now
	e = c.entries.byTier[tier]
	switch {
	case !crowd:
		c.entries.byTier = [len(c.entries.byTier)]*newestEvents{}
		return nil, false
	case e != nil && e.pos == pos && e.from == c.deletions.Load() && now.Sub(e.made) < crowdWithin:
		return e, false
	case e != nil && e.pos.Epoch == pos.Epoch && e.pos.Seq > pos.Seq:
		return nil, false // it was overtaken by others
	}
	e = &newestEvents{pos: pos, made: now, from: c.deletions.Load(), done: make(chan struct{})}
	c.entries.byTier[tier] = e
	return e, true
}

// forgetEntries frees what was kept for a crowd that has come.
func (c *core) forgetEntries() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.entries.last) >= crowdWithin {
		c.entries.byTier = [len(c.entries.byTier)]*newestEvents{}
	}
}

// isMerged tells the events that an entry leaves out: what they add up to is in
// the state.
func isMerged(e *Event) bool { return e.Class == Merged }

// Bounds in bytes of what one request can make the hub hold for a client that
// then does not read.
const (
	maxResumeBytes = 256 << 10 // of the events of an entry that goes on without a gap
	maxPageBytes   = 48 << 10  // of the events of any other
)

// encodePage encodes the events of a page that a tier wants, up to maxPageBytes
// from its beginning, or from its end if it is the newest that counts.
func encodePage(events []*Event, tier fanout.Tier, newest bool) (list [][]byte, whole bool) {
	if !newest {
		return encodeTier(events, tier, maxPageBytes)
	}
	slices.Reverse(events)
	list, whole = encodeTier(events, tier, maxPageBytes)
	slices.Reverse(list)
	return list, whole
}

// encodeTier encodes the events that a tier wants, up to so many bytes, and
// reports whether that was all of them.
func encodeTier(events []*Event, tier fanout.Tier, most int) (list [][]byte, whole bool) {
	for _, e := range events {
		if laneOf(e.Class) > tier {
			continue
		}
		b := encodeEvent(e)
		if most -= len(b); most < 0 && len(list) > 0 {
			return list, false
		}
		list = append(list, b)
	}
	return list, true
}
