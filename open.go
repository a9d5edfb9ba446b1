package im

import (
	"iter"
	"math"
	"net/http"
	"slices"

	"github.com/liveim/im/internal/fanout"
	"github.com/liveim/im/internal/httpquery"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport"
	"github.com/liveim/im/transport/longpoll"
)

// open makes a session of a connection for which connect has succeeded. r is the request
// that opened it, nil if there was none; u is nil if the client still has to say who it is.
func (h *Hub) open(conn transport.Conn, r *http.Request, u *User) *Session {
	s := h.prepare(conn, r, u, nil, nil)
	s.start()
	return s
}

// prepare is open up to where the client is told that it is in. first is what goes over the wire before
// anything else, the welcome behind it, which names the rooms that the caller joins: hosts may send as soon as
// they hear of the session. Nothing is sent before start.
func (h *Hub) prepare(conn transport.Conn, r *http.Request, u *User, first []byte, rooms []httpquery.Room) *Session {
	s := &Session{hub: h, id: newSessionID(), nameless: u == nil, conn: conn, opened: h.clock()}
	if r != nil {
		s.request, s.addr = keep(r), h.clientAddr(r)
		if _, polls := conn.(*longpoll.Conn); polls || r.TLS != nil {
			s.rare = &rare{tls: r.TLS}
		}
	}
	s.outlet = fanout.NewOutlet(conn, &h.delivery)
	s.outlet.Hold()
	s.asked.Store(math.MaxInt64) // nobody asks whether it is there, nor waits for its answer, before start
	if u != nil {
		s.user.Store(u)
		buf := messages.Get().(*[]byte)
		*buf = appendJoining(s.appendWelcome((*buf)[:0], 0), rooms)
		first = conn.Private().Append(first, *buf)
		freeMessage(buf)
	}
	if len(first) > 0 {
		s.outlet.QueueWire(first)
	}
	h.sessions.update(s.id, func(*Session, bool) (*Session, bool) { return s, true })
	if u != nil {
		h.enroll(s, u)
	}
	return s
}

// appendJoining adds the rooms to a welcome that are being joined without a request, so that the client
// knows which it need not ask for.
func appendJoining(welcome []byte, rooms []httpquery.Room) []byte {
	if len(rooms) == 0 {
		return welcome
	}
	welcome = append(welcome[:len(welcome)-1], `,"joining":[`...)
	for i := range rooms {
		if i > 0 {
			welcome = append(welcome, ',')
		}
		welcome = wire.AppendString(welcome, rooms[i].Name)
	}
	return append(welcome, `]}`...)
}

// start has the connection begin.
func (s *Session) start() {
	h := s.hub
	s.hear()
	s.conn.Start(sessionEnd{s})
	s.outlet.Release()
	if h.draining() { // it came between the check and the farewell to all
		s.end(&Error{Code: CodeShutdown, RetryAfter: h.returnTime()})
	}
	if h.life.Err() != nil {
		s.abort()
	}
}

// bringBack lets a session enter again whose cursor fell out of the feed.
func (h *Hub) bringBack(c *fanout.Cursor) {
	s := c.Owner.(*member).session
	err := h.protect("bringing back a slow session", func() error { return h.resync(c) })
	if err != nil {
		h.opts.Logger.Warn("a slow session cannot be brought back into its room", "user", s.User().ID, "error", err)
		s.end(&Error{Code: CodeSlowConsumer, cause: err})
	}
}

// devices are the sessions of one user, of whom most have one. What stands in others is
// replaced, never changed.
type devices struct {
	first  *Session
	others *[]*Session // nil: none
}

// all yields the sessions.
func (d devices) all() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		if d.first == nil || !yield(d.first) || d.others == nil {
			return
		}
		for _, s := range *d.others {
			if !yield(s) {
				return
			}
		}
	}
}

// with returns the sessions and one more.
func (d devices) with(s *Session) devices {
	if d.first == nil {
		return devices{first: s}
	}
	var others []*Session
	if d.others != nil {
		others = slices.Clip(*d.others)
	}
	others = append(others, s)
	return devices{d.first, &others}
}

// without returns the sessions but one.
func (d devices) without(s *Session) (kept devices) {
	left := slices.DeleteFunc(slices.Collect(d.all()), func(o *Session) bool { return o == s })
	if len(left) > 0 {
		kept.first = left[0]
	}
	if len(left) > 1 {
		others := left[1:]
		kept.others = &others
	}
	return kept
}

// enroll makes the session one of its user.
func (h *Hub) enroll(s *Session, u *User) {
	s.user.Store(u)
	h.users.update(u.ID, func(old devices, _ bool) (devices, bool) { return old.with(s), true })
	h.observe(Signal{Type: SignalSessionOpened, Session: s})
}

// forget takes an ended session out of the registries.
func (h *Hub) forget(s *Session) {
	h.sessions.removeIf(s.id, s)
	u := s.user.Load()
	if u == nil {
		return
	}
	h.users.update(u.ID, func(old devices, _ bool) (devices, bool) {
		kept := old.without(s)
		return kept, kept.first != nil
	})
}
