package im

import (
	"context"
	"time"
)

// commentEvery is how often a client gets a heartbeat that asks for no answer, so
// that proxies keep the connection open. docs/protocol.md promises it.
const commentEvery = 15 * time.Second

// sweepEvery is how often the hub looks for sessions whose time is up: once a
// second, unless the times are short. There is no timer per session.
func (t *Timeouts) sweepEvery() time.Duration {
	shortest := min((t.Heartbeat+t.Answer)/40, t.Hello/8, t.Write/8)
	return min(max(shortest, 10*time.Millisecond), time.Second)
}

// sweepLoop keeps the times of sessions.
func (h *Hub) sweepLoop() {
	t := time.NewTicker(h.opts.Timeouts.sweepEvery())
	defer t.Stop()
	for {
		select {
		case <-h.life.Done():
			return
		case now := <-t.C:
			_ = h.protect("keeping the times of sessions", func() error {
				wall := h.opts.Now()
				for _, s := range h.sessions.all() {
					s.sweep(now, wall)
				}
				return nil
			})
		}
	}
}

// sweep ends the session if its time is up, and asks a silent client whether it
// is there.
func (s *Session) sweep(now, wall time.Time) {
	t := &s.hub.opts.Timeouts
	u := s.user.Load()
	switch {
	case s.outlet.BlockedFor(now) >= t.Write:
		s.hub.opts.Logger.Info("a client takes nothing and is cut off", "user", s.User().ID, "for", s.outlet.BlockedFor(now))
		s.abort()
		return
	case s.conn.Overdue(now):
		s.outlet.Finish(nil, 1008, "the message took too long to arrive")
		return
	case u == nil && time.Duration(s.hub.clock()-s.opened) >= t.Hello-t.sweepEvery():
		s.end(&Error{Code: CodeUnauthorized, Reason: "nobody said who this is in time"})
		return
	case u != nil && !u.Expires.IsZero() && !u.Expires.After(wall):
		s.end(&Error{Code: CodeExpired})
		return
	}
	s.outlet.Recheck(now)
	silent := time.Duration(s.hub.clock() - s.heard.Load())
	ask, answered := s.conn.Heartbeat()
	switch {
	case !answered:
		if ask != nil && silent >= min(t.Heartbeat, commentEvery-t.sweepEvery()) {
			s.heard.Store(s.hub.clock()) // of a client that never answers: when it was last sent one
			s.outlet.Control(ask)
		}
	case s.asked.Load() != 0:
		if time.Duration(s.hub.clock()-s.asked.Load()) >= t.Answer-t.sweepEvery() {
			s.abort()
		}
	case silent >= t.Heartbeat:
		s.asked.Store(s.hub.clock())
		s.outlet.Control(ask)
	}
}

// maintainLoop does what is not urgent: it saves snapshots, unloads rooms, and
// has the log and the limiters forget.
func (h *Hub) maintainLoop() {
	t := time.NewTicker(min(30*time.Second, h.opts.Timeouts.RoomIdle/2))
	defer t.Stop()
	for {
		select {
		case <-h.life.Done():
			return
		case <-t.C:
			_ = h.protect("maintenance", func() error {
				h.maintain()
				return nil
			})
		}
	}
}

func (h *Hub) maintain() {
	now := time.Now()
	h.limits.table.Sweep(h.steady())
	h.calls.expire(h.steady())
	idle := now.Add(-h.opts.Timeouts.RoomIdle)
	for c := range h.openRooms() {
		if h.life.Err() != nil {
			return
		}
		ctx, cancel := context.WithTimeout(h.life, h.opts.Timeouts.Hook)
		h.saveRoom(ctx, c)
		c.forgetEntries()
		c.calls.expire(h.steady())
		c.unload(idle)
		cancel()
	}
	if tl, ok := h.opts.Log.(TrimLog); ok {
		ctx, cancel := context.WithTimeout(h.life, h.opts.Timeouts.Hook)
		defer cancel()
		if err := tl.Trim(ctx, h.opts.Now()); err != nil {
			h.opts.Logger.Warn("the log could not be trimmed", "error", err)
		}
	}
}
