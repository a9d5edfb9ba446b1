package im

import (
	"context"
	"sync"
	"time"

	"github.com/liveim/im/internal/danmaku"
)

// inForce returns the room's modes, nil if nothing is restricted. What it returns
// must not be changed.
func (c *core) inForce() *Modes {
	m := c.modes.Load()
	if m == nil || m.over(c.hub.opts.Now()) {
		return nil
	}
	return m
}

// unrestricted reports whether no mode of a room that the session is in concerns
// its user now, so that there is no need to ask underModes.
func (s *Session) unrestricted(room string, u *User) bool {
	m := s.member(room)
	return m != nil && (m.core.inForce() == nil && m.core.held.empty() && !m.core.held.remembers() || s.hub.opts.Staff.Allow(u))
}

// underModes submits a draft if the room's modes let its sender send it now.
func (s *Session) underModes(ctx context.Context, d *Draft, class Class, final SendFunc) (Receipt, error) {
	h, u := s.hub, d.From
	if class == Critical || h.opts.Staff.Allow(&u) {
		return h.submit(ctx, d, final)
	}
	c, err := s.coreOf(ctx, d.room)
	if err != nil {
		return unknownOr(err)
	}
	m := c.inForce()
	if class == Merged {
		if m != nil && m.Stopped {
			return Receipt{}, errStopped()
		}
		return h.submit(ctx, d, final)
	}
	if f, ok := c.held.decided(d); ok {
		return f.receipt, f.err
	}
	if m == nil {
		if c.held.empty() {
			return h.submit(ctx, d, final)
		}
		m = &Modes{} // what waits is not overtaken
	}
	if err := m.admit(&u); err != nil {
		return Receipt{}, err
	}
	var key uint64
	if m.EmojiOnly || m.Unique > 0 {
		text := h.textOf(d.kind, d.Body)
		if m.EmojiOnly && !danmaku.EmojiOnly(text) {
			return Receipt{}, errorf(CodeRoomMode, "this room takes emoji only for now")
		}
		key = danmaku.Key(h.seed, text)
	}
	if err := c.claims.take(m, u.ID, d.id, key, time.Now()); err != nil {
		return Receipt{}, err
	}
	receipt, err := h.submit(ctx, d, func(ctx context.Context, d *Draft) (Receipt, error) {
		if m.Delay == 0 && !c.held.has(d.from.ID) {
			return final(ctx, d)
		}
		return h.hold(ctx, d, m.Delay, decide(final))
	})
	if err != nil || receipt.Status == StatusShed {
		c.claims.giveBack(u.ID, d.id, key)
	}
	return receipt, err
}

// coreOf returns the room in use in which the session may act.
func (s *Session) coreOf(ctx context.Context, room string) (*core, error) {
	if m := s.member(room); m != nil {
		return m.core, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.hub.opts.Timeouts.Send)
	defer cancel()
	c, err := s.hub.core(ctx, room)
	if err != nil {
		return nil, err
	}
	c.release()
	return c, nil
}

// admit checks the modes that look at the sender alone.
func (m *Modes) admit(u *User) error {
	switch {
	case m.Stopped:
		return errStopped()
	case m.Shield && !m.allows(u):
		return errorf(CodeRoomMode, "everybody in this room is muted for now")
	case len(m.Only) > 0 && !Senders(m.Only).Allow(u):
		return errorf(CodeRoomMode, "only some may send in this room for now: %s", listed(m.Only))
	}
	return nil
}

func errStopped() *Error { return errorf(CodeRoomMode, "messages in this room are stopped for now") }

// listed writes roles for people.
func listed(roles []string) string {
	s := ""
	for i, role := range roles {
		switch {
		case i > 0 && i == len(roles)-1:
			s += " or "
		case i > 0:
			s += ", "
		}
		s += role
	}
	return s
}

// Bounds of what a node remembers of a room. What does not fit makes it forget
// the oldest, which would be forgotten next anyway.
const (
	maxSlowUsers   = 1 << 16
	maxUniqueTexts = 1 << 14
)

// claims are who has sent, and what was said, so lately that it counts. Safe for use by many
// goroutines; the zero value is ready.
type claims struct {
	mu    sync.Mutex // guards the fields below
	users window[string]
	texts window[uint64]
}

// take notes a message of a user, and its text unless key is 0. It returns why
// that is too early, if it is; then nothing is noted. The retry of a message, which has the same id,
// is never too early.
func (c *claims) take(m *Modes, user, id string, key uint64, now time.Time) error {
	if m.Slow == 0 && (m.Unique == 0 || key == 0) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.Slow > 0 {
		if wait := c.users.wait(user, id, m.Slow, now); wait > 0 {
			return &Error{Code: CodeRateLimited, Reason: "slow mode: one message every " + m.Slow.String(), RetryAfter: wait}
		}
	}
	if m.Unique > 0 && key != 0 {
		if c.texts.wait(key, id, m.Unique, now) > 0 {
			return errorf(CodeRoomMode, "somebody has just said this; say something else")
		}
		c.texts.put(key, id, now, maxUniqueTexts)
	}
	if m.Slow > 0 {
		c.users.put(user, id, now, maxSlowUsers)
	}
	return nil
}

// giveBack undoes take for a message that was not accepted.
func (c *claims) giveBack(user, id string, key uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users.drop(user, id)
	c.texts.drop(key, id)
}

// follow forgets what modes that have changed do not need any more.
func (c *claims) follow(m *Modes) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m == nil || m.Slow == 0 {
		c.users = window[string]{}
	}
	if m == nil || m.Unique == 0 {
		c.texts = window[uint64]{}
	}
}

// window remembers what came within a time that is the same for all: a map, and
// the order in which to forget.
type window[K comparable] struct {
	m     map[K]claim
	order []ordered[K] // from the oldest at head to the newest
	head  int
}

// claim is when something came, and with which message.
type claim struct {
	at time.Time
	id string
}

type ordered[K comparable] struct {
	key K
	at  time.Time
}

// wait returns how long it takes until key may come again, 0 if it may now, or
// if it is the message that came.
func (w *window[K]) wait(key K, id string, ttl time.Duration, now time.Time) time.Duration {
	for w.head < len(w.order) && now.Sub(w.order[w.head].at) >= ttl {
		w.forget()
	}
	c, ok := w.m[key]
	if !ok || c.id == id {
		return 0
	}
	return ttl - now.Sub(c.at)
}

// put notes that key came. The first message that brought it counts.
func (w *window[K]) put(key K, id string, now time.Time, max int) {
	if _, ok := w.m[key]; ok {
		return
	}
	for len(w.order)-w.head >= max {
		w.forget()
	}
	if w.m == nil {
		w.m = map[K]claim{}
	}
	w.m[key] = claim{now, id}
	w.order = append(w.order, ordered[K]{key, now})
}

// drop forgets key if it came with this message.
func (w *window[K]) drop(key K, id string) {
	c, ok := w.m[key]
	if !ok || c.id != id {
		return
	}
	delete(w.m, key)
	if last := len(w.order) - 1; last >= w.head && w.order[last].key == key {
		w.order = w.order[:last]
	}
}

// forget forgets the oldest.
func (w *window[K]) forget() {
	o := w.order[w.head]
	w.order[w.head] = ordered[K]{}
	w.head++
	if c, ok := w.m[o.key]; ok && c.at.Equal(o.at) {
		delete(w.m, o.key)
	}
	if w.head > len(w.order)/2 {
		w.order = append(w.order[:0:0], w.order[w.head:]...)
		w.head = 0
	}
}
