package im

import (
	"context"
	"encoding/json"
	"time"

	"github.com/liveim/im/internal/wire"
)

// Held is a message that waits for a moderator or for its time.
type Held struct {
	// Event is what it will be. It has no position yet.
	Event Event
	// Wait is how long it waits from now on, if nobody decides.
	Wait time.Duration
}

// Held returns the messages of the room that this node holds for Modes.Delay, in
// order. Staff in the room is told of each by itself, and decides with "held.pass" and "held.drop".
func (r *Room) Held() []Held {
	c, ok := r.inUse()
	if !ok {
		return nil
	}
	now := time.Now()
	var list []Held
	for _, d := range c.held.pending() {
		list = append(list, Held{d.event, max(d.due.Sub(now), 0)})
	}
	return list
}

// PassHeld lets a message that waits on this node be shown before its time, as soon as no
// earlier one of the same sender waits. id is that of Held.Event. If nothing waits
// under it, because it was shown already for example, the error is CodeNotFound.
func (r *Room) PassHeld(id string) error {
	c, ok := r.inUse()
	if !ok {
		return errNotHeld()
	}
	q := &c.held
	q.mu.Lock()
	i := q.findLocked(id)
	fate, decided := q.fates.get(id)
	if i >= 0 {
		q.waiting[i].passed = true
	}
	q.mu.Unlock()
	if i >= 0 {
		q.signal()
		return nil
	}
	if decided && !fate.refused() {
		return nil // a retry
	}
	return errNotHeld()
}

// DropHeld refuses a message that waits on this node, and tells its sender the reason;
// empty means a standard one. It is otherwise as [Room.PassHeld].
func (r *Room) DropHeld(id, reason string) error {
	c, ok := r.inUse()
	if !ok {
		return errNotHeld()
	}
	why := &Error{Code: CodeForbidden, Reason: reason}
	if reason == "" {
		why.Reason = "a moderator did not let this through"
	}
	q := &c.held
	q.mu.Lock()
	var d *heldDraft
	if i := q.findLocked(id); i >= 0 && !q.waiting[i].taken {
		d = q.waiting[i]
	}
	fate, decided := q.fates.get(id)
	q.mu.Unlock()
	if d != nil && c.settleHeld(d, Receipt{}, why) {
		q.signal() // the next one of the sender may have waited for it
		return nil
	}
	if decided && fate.refused() {
		return nil // a retry
	}
	return errNotHeld()
}

func errNotHeld() *Error {
	return errorf(CodeNotFound, "nothing waits under this id; it may have been shown already")
}

// inUse returns the room if it is in use on this node.
func (r *Room) inUse() (*core, bool) {
	c, ok := r.hub.rooms.get(r.id)
	if !ok {
		return nil, false
	}
	select {
	case <-c.opened:
		return c, c.openErr == nil
	default:
		return nil, false
	}
}

// decideHeld answers "held.pass" and "held.drop".
func (s *Session) decideHeld(ctx context.Context, req *wire.Request) error {
	if err := s.mayAct(ctx, req.Room); err != nil {
		return err
	}
	if u := s.User(); !s.hub.opts.Staff.Allow(&u) {
		return errorf(CodeForbidden, "only moderators decide what is shown")
	}
	var b struct {
		Event  string `json:"event"`
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(req.Body, &b); err != nil || b.Event == "" {
		return errorf(CodeBadRequest, `the body of %s is {"event":"…"}, with the id of a held message`, req.Op)
	}
	decide := func(id string) error { return s.hub.Room(req.Room).PassHeld(id) }
	if req.Op == wire.OpHeldDrop {
		decide = func(id string) error { return s.hub.Room(req.Room).DropHeld(id, b.Reason) }
	}
	if err := decide(b.Event); err != nil {
		return err
	}
	s.outlet.Send(wire.AppendAck(nil, req.ID, string(StatusOK), b.Event, nil))
	return nil
}

// message shows a held message to the staff.
func (d *heldDraft) message(now time.Time) []byte {
	e := &d.event
	return encode(&wire.Message{
		Op: wire.OpHeld, Room: d.draft.room, Until: max(d.due.Sub(now).Milliseconds(), 1),
		Held: &wire.Event{ID: e.ID, Kind: string(e.Kind), At: e.At.UnixMilli(), From: &wire.Author{ID: e.From.ID, Name: e.From.Name}, Body: e.Body},
	})
}

// showHeld shows a session of the staff that has entered the room what waits.
func (c *core) showHeld(s *Session) {
	u := s.User()
	if c.held.empty() || !c.hub.opts.Staff.Allow(&u) {
		return
	}
	now := time.Now()
	for _, d := range c.held.pending() {
		s.outlet.Offer(d.message(now))
	}
}

// tellStaff sends a message to the sessions of the staff that are in the room.
func (c *core) tellStaff(message []byte) {
	c.mu.Lock()
	staff := make([]*Session, 0, len(c.staff))
	for m := range c.staff {
		staff = append(staff, m.session)
	}
	c.mu.Unlock()
	for _, s := range staff {
		if u := s.User(); c.hub.opts.Staff.Allow(&u) { // still
			s.outlet.Offer(message)
		}
	}
}

// noteStaffLocked keeps count of who of the members is staff, since a room may
// have a hundred thousand others.
func (c *core) noteStaffLocked(m *member) {
	if u := m.session.User(); m.slot < 0 || !c.hub.opts.Staff.Allow(&u) {
		delete(c.staff, m)
		return
	}
	if c.staff == nil {
		c.staff = map[*member]struct{}{}
	}
	c.staff[m] = struct{}{}
}

// renote does so in all rooms of a session whose user has other roles now.
func (s *Session) renote() {
	for _, m := range s.members() {
		m.core.mu.Lock()
		m.core.noteStaffLocked(m)
		m.core.mu.Unlock()
	}
}
