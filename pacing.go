package im

import (
	"errors"
	"net/netip"
	"time"

	"github.com/liveim/im/internal/gcra"
	"github.com/liveim/im/internal/wire"
)

// takeRequest counts a request against its connection and its address.
func (s *Session) takeRequest() error {
	h, now := s.hub, s.hub.steady()
	if c := s.connection(); c != nil {
		if err := h.limits.takeConnection(c, now); err != nil {
			return err
		}
	}
	if s.transient() && !s.counted {
		s.counted = true // with the HTTP request, before anybody asked who it is from
		return nil
	}
	return h.limits.takeAddress(s.addr, now)
}

// connection is the bucket of the connection that the session's requests belong to, nil
// if there is none.
func (s *Session) connection() *gcra.Cell {
	switch parent := s.parent(); {
	case parent != nil:
		return &parent.pace
	case s.transient():
		return nil
	}
	return &s.pace
}

// truthful raises the time of a refusal to that after which the request passes all limits: the
// one that refused it knows nothing of the others.
func (s *Session) truthful(req *wire.Request, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != CodeRateLimited || e.RetryAfter <= 0 {
		return err
	}
	wait := s.waitFor(req)
	if wait <= e.RetryAfter {
		return err
	}
	later := *e // it may be the host's
	later.RetryAfter = wait
	return &later
}

// waitFor returns how long the limits make a request wait, if it comes again.
func (s *Session) waitFor(req *wire.Request) (wait time.Duration) {
	l, now := s.hub.limits, s.hub.steady()
	if c := s.connection(); c != nil && l.Connection != Unlimited {
		wait = c.Wait(gcra.Limit(l.Connection), 1, now)
	}
	if limit := l.ofAddress(s.addr); limit != Unlimited {
		wait = max(wait, l.table.Wait(l.addressKey(s.addr), gcra.Limit(limit), 1, now))
	}
	u := s.user.Load()
	if u == nil {
		return wait
	}
	kind, n := Kind(req.Kind), 1
	switch req.Op {
	case wire.OpSend:
		if s.hub.kinds[kind].Class == Merged {
			n = int(l.clamp(u, kind, likes(req.Body)))
		}
	default:
		wait = max(wait, l.waitUser(u, "", l.Requests, 1, now))
		if req.Op != wire.OpStateSet && req.Op != wire.OpStateAdd && req.Op != wire.OpModesSet {
			return wait
		}
		kind = State
	}
	if _, ok := s.hub.kinds[kind]; !ok {
		return wait
	}
	wait = max(wait, l.waitUser(u, kind, l.ofUser(u, kind), n, now))
	if c, ok := s.hub.rooms.get(req.Room); ok && req.Op == wire.OpSend {
		wait = max(wait, c.waitRoom(kind))
	}
	return wait
}

func (l *limiter) waitUser(u *User, kind Kind, limit Limit, n int, now time.Duration) time.Duration {
	if limit == Unlimited {
		return 0
	}
	return l.table.Wait(l.userKey(u, kind), gcra.Limit(limit), n, now)
}

// waitRoom returns how long takeRoom would make wait.
func (c *core) waitRoom(kind Kind) time.Duration {
	limit, ok := c.hub.limits.Room[kind]
	if !ok || limit == Unlimited {
		return 0
	}
	return c.limits.of(kind, limit).wait(time.Now())
}

// warnOfProxy says once that requests come through a proxy that the host did not name.
func (h *Hub) warnOfProxy(proxy netip.Addr) {
	if h.unnamed.CompareAndSwap(false, true) {
		h.opts.Logger.Warn("requests come through a proxy that Options.Proxies does not name: its X-Forwarded-For is not believed, and nothing is limited by address", "proxy", proxy)
	}
}
