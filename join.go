package im

import (
	"context"
	"errors"
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

// tierNames are the names of tiers that clients use.
var tierNames = [...]string{fanout.TierCritical: "critical", fanout.TierReduced: "reduced", fanout.TierFull: "full"}

// admit asks the host whether the session may enter the room.
func (s *Session) admit(ctx context.Context, room string) error {
	if err := checkRoomID(room); err != nil {
		return err
	}
	if len(s.hub.plugs.admits) == 0 {
		return nil
	}
	return s.hub.guard.run(ctx, s.hub.opts.Timeouts.Hook, "Options.Admit", func(ctx context.Context) error {
		for _, admit := range s.hub.plugs.admits {
			if err := admit(ctx, s, room); err != nil {
				return err
			}
		}
		return nil
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
	p := s.hub.hookPatience()
	c, err := s.hub.coreWithin(p, req.Room)
	if err != nil {
		return err
	}
	defer c.release()
	since := Position{}
	if req.Since != nil {
		since = Position(*req.Since)
	}
	c.catchUp(p, since)
	m := &member{core: c, session: s, tier: tier, slot: -1, asked: asked}
	old, err := s.become(m)
	if err != nil {
		return err
	}
	entry := &wire.Entry{Op: wire.OpJoined, ID: req.ID, Room: req.Room}
	if replaced, err := c.enter(p, m, old, entry, since); err != nil {
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
func (c *core) catchUp(p patience, since Position) {
	if since.IsZero() {
		return
	}
	c.mu.Lock()
	ahead := since.Epoch == c.epoch && since.Seq > c.received
	c.mu.Unlock()
	if ahead {
		ctx, end := p.context()
		defer end()
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
	m.core.planAnnouncement()
}

// resync lets a session enter again whose cursor fell out of the feed.
func (h *Hub) resync(lost *fanout.Cursor) error {
	m := lost.Owner.(*member)
	c, s := m.core, m.session
	p := h.hookPatience()
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
	_, err := c.enter(p, m, m, &wire.Entry{Op: wire.OpReset, Room: c.id}, since)
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
