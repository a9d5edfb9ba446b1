package im

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/liveim/im/internal/fanout"
	"github.com/liveim/im/internal/wire"
)

var tiers = map[string]fanout.Tier{
	"":         fanout.TierFull,
	"full":     fanout.TierFull,
	"reduced":  fanout.TierReduced,
	"critical": fanout.TierCritical,
}

// admit asks the host whether the session may enter the room.
func (s *Session) admit(ctx context.Context, room string) error {
	if err := checkRoomID(room); err != nil {
		return err
	}
	if s.hub.opts.Admit == nil {
		return nil
	}
	return s.hub.guard.run(ctx, s.hub.opts.Timeouts.Hook, "Options.Admit", func(ctx context.Context) error {
		return s.hub.opts.Admit(ctx, s, room)
	})
}

// join answers "join". Joining a room again replaces the first membership.
func (s *Session) join(ctx context.Context, req *wire.Request) error {
	tier, ok := tiers[req.Tier]
	if !ok {
		return errorf(CodeBadRequest, `"tier" is full, reduced or critical`)
	}
	asked := s.hub.clock()
	if err := s.admit(ctx, req.Room); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.hub.opts.Timeouts.Hook)
	defer cancel()
	c, err := s.hub.core(ctx, req.Room)
	if err != nil {
		return err
	}
	defer c.release()
	since := Position{}
	if req.Since != nil {
		since = Position(*req.Since)
	}
	c.catchUp(ctx, since)
	m := &member{core: c, session: s, tier: tier, slot: -1, asked: asked}
	old, err := s.become(m)
	if err != nil {
		return err
	}
	entry := &wire.Entry{Op: wire.OpJoined, ID: req.ID, Room: req.Room}
	if replaced, err := c.enter(ctx, m, old, entry, since); err != nil {
		s.unbecome(m)
		if replaced != nil { // the client is in neither way any more
			s.left(old, replaced, 0, asError(err))
		}
		return err
	}
	c.showHeld(s)
	if old == nil && s.member(req.Room) == m {
		s.hub.observe(Signal{Type: SignalJoined, Room: req.Room, Session: s})
	}
	return nil
}

// retier answers "tier": the session stays in the room, and what it gets changes.
func (s *Session) retier(req *wire.Request) error {
	tier, ok := tiers[req.Tier]
	if !ok || req.Tier == "" {
		return errorf(CodeBadRequest, `"tier" is full, reduced or critical`)
	}
	m := s.member(req.Room)
	if parent := s.parent(); m == nil && parent != nil {
		m = parent.member(req.Room)
	}
	if m == nil || !m.core.retier(m, tier) {
		return &Error{Code: CodeNotJoined}
	}
	s.outlet.Send(wire.AppendAck(nil, req.ID, string(StatusOK), "", nil))
	if m.session != s {
		m.session.outlet.Flush()
	}
	return nil
}

// retier changes what a member gets. It reports false if it is in the room no more.
func (c *core) retier(m *member, tier fanout.Tier) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.slot < 0 {
		return false
	}
	m.tier = tier
	c.cursors[m.slot].SetTier(tier)
	return true
}

// catchUp waits a moment for the events up to a position that the client has
// seen on a node which is ahead of this one.
func (c *core) catchUp(ctx context.Context, since Position) {
	c.mu.Lock()
	ahead := since.Epoch == c.epoch && since.Seq > c.received
	c.mu.Unlock()
	if ahead {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = c.await(ctx, since) // if it stays ahead, the client starts anew
	}
}

// become notes the membership and returns the one that it replaces.
func (s *Session) become(m *member) (old *member, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, ErrClosed
	}
	n, at := 0, &s.rooms
	for *at != nil && (*at).core.id != m.core.id {
		n, at = n+1, &(*at).next
	}
	if old = *at; old != nil {
		*at, m.next, old.next = m, old.next, nil
		return old, nil
	}
	if n >= s.hub.opts.Bounds.Rooms {
		return nil, errorf(CodeForbidden, "one connection may be in %d rooms; leave one first", s.hub.opts.Bounds.Rooms)
	}
	*at = m
	return nil, nil
}

// unbecome undoes become.
func (s *Session) unbecome(m *member) {
	s.unnote(m)
	m.core.remove(m)
	m.core.ticket.Wake() // for the online count
}

// enter puts a session into the room, in the place of an old membership if it
// has one, and sends it the entry: the state as of now, and either all events since
// a position or the newest ones. What follows comes through the cursor, so nothing
// is missing in between and nothing comes twice. A session that fell out of the
// feed enters as the same member. It returns the cursor that was replaced.
func (c *core) enter(ctx context.Context, m, old *member, entry *wire.Entry, since Position) (replaced *fanout.Cursor, err error) {
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
	cursor.Room = c.id
	if m == old {
		if replaced == nil {
			c.mu.Unlock()
			return nil, nil // it has left meanwhile
		}
		c.cursors[m.slot] = cursor
	} else {
		c.addLocked(m, cursor, old)
	}
	entry.Pos, entry.State, entry.Online = wire.Position(pos), c.fold.state(), len(c.members)
	c.mu.Unlock()
	c.obey()
	if err := c.fill(ctx, entry, since, pos, tier); err != nil {
		return replaced, err
	}
	if m == old && !c.holds(m, cursor) {
		return nil, nil // it has entered anew, or left, meanwhile
	}
	if !m.session.outlet.Enter(wire.AppendEntry(nil, entry), cursor, replaced) {
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
	c.ticket.Wake() // what came meanwhile, and the online count
	return nil, nil
}

// holds reports whether the membership stands, with this cursor.
func (c *core) holds(m *member, cursor *fanout.Cursor) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return m.slot >= 0 && c.cursors[m.slot] == cursor
}

// fill adds the events of an entry as of pos: what came after since if the log
// still has all of it, else the newest.
func (c *core) fill(ctx context.Context, entry *wire.Entry, since, pos Position, tier fanout.Tier) error {
	bounds := &c.hub.opts.Bounds
	end := Position{pos.Epoch, pos.Seq + 1}
	if !since.IsZero() && since.Epoch == pos.Epoch && since.Seq <= pos.Seq {
		page, err := c.read(ctx, Range{After: since, Before: end, Max: bounds.ResumeEvents}, isMerged)
		events, whole := encodeTier(page.Events, tier, maxResumeBytes)
		switch {
		case err == nil && !page.More && whole:
			entry.Recovered, entry.Missed, entry.Events = true, page.Missed, events
			return nil
		case err != nil && !errors.Is(err, ErrGap):
			return err
		}
	}
	page, err := c.read(ctx, Range{Before: end, Max: bounds.JoinEvents, Newest: true}, isMerged)
	if err != nil && !errors.Is(err, ErrGap) {
		return err
	}
	entry.Events, _ = encodePage(page.Events, tier, true)
	return nil
}

// resync lets a session enter again whose cursor fell out of the feed.
func (h *Hub) resync(lost *fanout.Cursor) error {
	m := lost.Owner.(*member)
	c, s := m.core, m.session
	ctx, cancel := context.WithTimeout(h.life, h.opts.Timeouts.Hook)
	defer cancel()
	c.mu.Lock()
	current := m.slot >= 0 && c.cursors[m.slot] == lost
	since := Position{c.epoch, lost.Seq()}
	if lost.Epoch != c.epoch {
		since = Position{}
	}
	c.mu.Unlock()
	if !current {
		return nil
	}
	_, err := c.enter(ctx, m, m, &wire.Entry{Op: wire.OpReset, Room: c.id}, since)
	if errors.Is(err, ErrRoomClosed) {
		s.leave(m, 0, asError(err))
		return nil
	}
	if err != nil {
		return err
	}
	h.stats.resets.Add(1)
	h.observe(Signal{Type: SignalReset, Room: c.id, Session: s})
	return nil
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
