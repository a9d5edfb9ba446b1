package im

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/liveim/im/internal/fanout"
	"github.com/liveim/im/internal/wire"
)

// Explanation says why a user sees, or may send, less in a room than others, as one node knows it: for a
// moderator or the support of a site, who hear "I cannot see anything".
type Explanation struct {
	User string `json:"user"`
	Room string `json:"room"`
	// Sees and Sends say what stands in the way of seeing and of sending, the gravest first. Empty means that nothing
	// is known which does.
	Sees  []Hindrance `json:"sees"`
	Sends []Hindrance `json:"sends"`
	// Sessions are the user's connections to this node, in the order in which they came.
	Sessions []SessionReport `json:"sessions"`
	// Fates are the user's last sends to the room by this node that were not simply shown, the newest first: 8
	// at most. A node remembers those of some 16,000 users and rooms.
	Fates []FateReport `json:"fates"`
}

// Hindrance is one reason why a user does not see or may not send.
type Hindrance struct {
	// Code is one word for programs: not_here, not_joined, room_closed, tier, lagging, room_mode, rate_limited,
	// crowded, or one of a package, such as "muted".
	Code string `json:"code"`
	// Reason is a sentence for people.
	Reason string `json:"reason"`
	// Until is when it ends by itself, zero if that is not known.
	Until time.Time `json:"until,omitzero"`
}

// SessionReport is one connection of a user.
type SessionReport struct {
	Opened time.Time `json:"opened"`
	Joined bool      `json:"joined"`           // it is in the room
	Tier   string    `json:"tier,omitempty"`   // that the client has chosen
	Lags   bool      `json:"lags,omitempty"`   // it gets no volatile events, because it does not keep up
	Behind uint64    `json:"behind,omitempty"` // how far its position is behind the room's; positions have holes
}

// FateReport is what became of a send.
type FateReport struct {
	At     time.Time     `json:"at"`
	Kind   Kind          `json:"kind"`
	Status Status        `json:"status,omitempty"` // of one that was taken: merged, shed, held or unknown
	Code   Code          `json:"code,omitempty"`   // of one that was refused
	Reason string        `json:"reason,omitempty"`
	Retry  time.Duration `json:"-"` // after which it would have been taken
}

// ExplainFunc says what a package knows to stand in the way of a user in a room. user has only an ID if the user
// has no session on this node.
type ExplainFunc func(ctx context.Context, user User, room string) (sees, sends []Hindrance)

// OnExplain adds somebody whom [Hub.Explain] asks. See [Hub.Use].
func (h *Hub) OnExplain(explain ExplainFunc) {
	mustBeThere(explain == nil, "OnExplain")
	h.plug("OnExplain", func(p *plugs) { p.explains = append(p.explains, explain) })
}

// Explain says why a user does not see, or could not send, messages in a room, as this node knows it: not
// there, not in the room, on a lower tier, lagging, against the room's modes, too fast, in a crowd, and what
// packages know besides. It asks Options.Admit nothing. Clients of the staff ask with the operation
// "explain".
func (h *Hub) Explain(ctx context.Context, userID, room string) (Explanation, error) {
	if !validID(userID, maxID) {
		return Explanation{}, errorf(CodeBadRequest, "a user id is 1 to %d bytes of UTF-8 without control characters", maxID)
	}
	if err := checkRoomID(room); err != nil {
		return Explanation{}, err
	}
	x := &Explanation{User: userID, Room: room, Sees: []Hindrance{}, Sends: []Hindrance{}, Sessions: []SessionReport{}, Fates: []FateReport{}}
	u := x.sessions(h)
	if c, ok := h.Room(room).inUse(); ok {
		x.room(c, &u)
	}
	x.limits(h, &u)
	for _, n := range h.fates.of(userID, room) {
		x.Fates = append(x.Fates, FateReport{At: n.at, Kind: n.kind, Status: n.status, Code: n.code, Reason: n.reason, Retry: n.retry})
	}
	err := h.guard.run(ctx, h.opts.Timeouts.Hook, "Hub.OnExplain", func(ctx context.Context) error {
		for _, explain := range h.plugs.explains {
			sees, sends := explain(ctx, u, room)
			x.Sees, x.Sends = append(sees, x.Sees...), append(sends, x.Sends...)
		}
		return nil
	})
	return *x, err
}

// sessions reports the user's sessions, and returns who the user is as far as they tell.
func (x *Explanation) sessions(h *Hub) User {
	u := User{ID: x.User}
	joined := false
	for s := range h.sessionsOf(x.User).all() {
		u = s.User()
		r := SessionReport{Opened: h.opts.Now().Add(time.Duration(s.opened - h.clock()))}
		if m := s.member(x.Room); m != nil {
			r.Joined, joined = true, true
			x.member(m, &r)
		}
		x.Sessions = append(x.Sessions, r)
	}
	slices.SortFunc(x.Sessions, func(a, b SessionReport) int { return a.Opened.Compare(b.Opened) })
	switch {
	case len(x.Sessions) == 0:
		x.Sees = append(x.Sees, Hindrance{Code: "not_here", Reason: "the user has no connection to this server"})
	case !joined:
		x.Sees = append(x.Sees, Hindrance{Code: string(CodeNotJoined), Reason: "the user is connected, and not in this room"})
	}
	return u
}

// member reports a membership.
func (x *Explanation) member(m *member, r *SessionReport) {
	c := m.core
	c.mu.Lock()
	tier, head, seq := m.tier, c.feed.Seq(), uint64(0)
	if m.slot >= 0 {
		seq = c.cursors[m.slot].Seq()
	}
	c.mu.Unlock()
	r.Tier, r.Lags, r.Behind = tierNames[tier], m.session.outlet.Lowered(), head-min(seq, head)
	if tier < fanout.TierFull {
		x.Sees = append(x.Sees, Hindrance{Code: "tier", Reason: fmt.Sprintf("the client has asked for the tier %q, which leaves out danmaku and other messages that may be left out", r.Tier)})
	}
	if r.Lags {
		x.Sees = append(x.Sees, Hindrance{Code: "lagging", Reason: "the connection does not keep up, so that danmaku are left out until it does"})
	}
}

// room reports what the room does not let the user do.
func (x *Explanation) room(c *core, u *User) {
	h := c.hub
	if c.isClosed() {
		closed := Hindrance{Code: string(CodeRoomClosed), Reason: "the room is closed"}
		x.Sees, x.Sends = append(x.Sees, closed), append(x.Sends, closed)
	}
	if m := c.inForce(); m != nil && !h.opts.Staff.Allow(u) {
		mode := func(reason string) {
			x.Sends = append(x.Sends, Hindrance{Code: string(CodeRoomMode), Reason: reason, Until: m.Until})
		}
		if err := asError(m.admit(u)); err != nil {
			mode(err.Reason)
		}
		if m.EmojiOnly {
			mode("the room takes emoji only")
		}
		if m.Slow > 0 {
			mode(fmt.Sprintf("slow mode: one message every %v", m.Slow))
		}
		if m.Delay > 0 {
			mode(fmt.Sprintf("messages are held for %v, for a moderator to drop them", m.Delay))
		}
	}
	if f := h.Room(x.Room).Flow(); f.Busy {
		x.Sends = append(x.Sends, Hindrance{Code: "crowded", Reason: fmt.Sprintf("the room is over its budget of %d danmaku a second, so that some are left out", f.Budget)})
	}
}

// limits reports which kinds the user may not send now for having sent too many.
func (x *Explanation) limits(h *Hub, u *User) {
	for _, kind := range slices.Sorted(maps.Keys(h.kinds)) {
		limit := h.limits.ofUser(u, kind)
		if limit == Unlimited || !h.kinds[kind].From.Allow(u) && kind != State {
			continue
		}
		if wait := h.limits.waitUser(u, kind, limit, 1, h.steady()); wait > 0 {
			x.Sends = append(x.Sends, Hindrance{
				Code: string(CodeRateLimited), Until: h.opts.Now().Add(wait),
				Reason: fmt.Sprintf("the user has sent too many %s events: %v are allowed", kind, limit),
			})
		}
	}
}

// explain answers "explain", which the staff may ask.
func (s *Session) explain(ctx context.Context, req *wire.Request) error {
	if err := s.mayAct(ctx, req.Room); err != nil {
		return err
	}
	if u := s.User(); !s.hub.opts.Staff.Allow(&u) {
		return errorf(CodeForbidden, "only moderators are told why somebody does not see or may not send")
	}
	var b struct {
		User string `json:"user"`
	}
	if err := json.Unmarshal(req.Body, &b); err != nil || b.User == "" {
		return errorf(CodeBadRequest, `the body of explain is {"user":"…"}, with the id of a user`)
	}
	x, err := s.hub.Explain(ctx, b.User, req.Room)
	if err != nil {
		return err
	}
	body, err := json.Marshal(x)
	if err != nil {
		return errors.Join(errors.New("im: the explanation does not encode"), err)
	}
	s.outlet.Send(wire.AppendAck(nil, req.ID, string(StatusOK), "", body))
	return nil
}
