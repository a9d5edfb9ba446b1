package im

import (
	"context"
	"log/slog"
)

// What packages that plug into a hub ask it, beside what hosts ask.

// Kind returns how a kind was declared, and false if the hub does not know it. Do not change From.
func (h *Hub) Kind(kind Kind) (KindSpec, bool) {
	spec, ok := h.kinds[kind]
	return spec, ok
}

// Logger returns where the hub's warnings and errors go, for packages whose own belong there.
func (h *Hub) Logger() *slog.Logger { return h.opts.Logger }

// Total returns what has been added up of a kind of the class Merged in the room, as this node has folded it.
// Clients find it in the state; see [Room.Add].
func (r *Room) Total(ctx context.Context, kind Kind) (uint64, error) {
	c, err := r.hub.core(ctx, r.id)
	if err != nil {
		return 0, err
	}
	defer c.release()
	var n uint64
	c.folded(func(f *fold) { n = f.total(totalKey(kind)) })
	return n, nil
}

// Member returns a user who is in the room on this node, as one of the user's sessions in it has it, and false
// if none is. It is cheaper than to look through [Room.Members], and costs nothing for a room that is not in use.
//
// It agrees with what observers are told: once SignalJoined or SignalLeft has come, what it told of is
// seen here, and what has changed since is followed by a signal of its own.
func (r *Room) Member(userID string) (User, bool) {
	for s := range r.hub.sessionsOf(userID).all() {
		if m := s.member(r.id); m != nil && m.core.has(m) {
			return s.User(), true
		}
	}
	return User{}, false
}

// has reports whether the session is in.
func (c *core) has(m *member) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return m.slot >= 0
}
