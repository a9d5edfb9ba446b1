package im

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/liveim/im/internal/fanout"
	"github.com/liveim/im/internal/gcra"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport"
)

// Session is one live connection of one user, whatever carries it. It is made
// by the hub and handed to hooks and operations. All methods are safe for use by
// many goroutines, also after the session has ended.
//
// A server has as many of them as it has viewers, so they are small: TestMemoryOfASession.
type Session struct {
	hub     *Hub
	conn    transport.Conn
	outlet  *fanout.Outlet
	user    atomic.Pointer[User] // nil until the client has said who it is
	rare    *rare                // nil for most sessions; see there
	request keptRequest          // what the Authenticator is asked with again
	id      sessionID            // zero: it has none
	addr    netip.Addr
	opened  int64        // when, as hub.clock
	pace    gcra.Cell    // of its requests
	heard   atomic.Int64 // when the client was last heard of, as hub.clock
	asked   atomic.Int64 // when it was asked whether it is there, as hub.clock; 0: it has answered

	mu      sync.Mutex  // guards rooms and ended
	rooms   *member     // the first of them; the others hang on it
	ended   bool        // nothing joins any more
	counted bool        // a request of it was counted as one of the address
	ending  atomic.Bool // no request is worked on any more
	// nameless says that the client had not said who it is when the id was made.
	nameless bool
}

// rare is what only some sessions have.
type rare struct {
	tls *tls.ConnectionState // of the request
	// transient sessions are for requests that belong to no connection; parent is
	// the session that they name, if they name one.
	transient bool
	parent    *Session

	pollMu sync.Mutex // held while a long-poll changes rooms; not by others
}

// parent returns the session that a transient one belongs to, nil if there is none.
func (s *Session) parent() *Session {
	if s.rare == nil {
		return nil
	}
	return s.rare.parent
}

// transient reports whether the session is for requests that belong to no connection.
func (s *Session) transient() bool { return s.rare != nil && s.rare.transient }

// ID returns the session's id: unguessable, and of no use to anybody but its user.
func (s *Session) ID() string {
	if s.id == (sessionID{}) {
		return ""
	}
	user := ""
	if !s.nameless {
		user = s.User().ID
	}
	tag := s.hub.sessionTag(s.id, user)
	return base64.RawURLEncoding.EncodeToString(append(s.id[:], tag[:]...))
}

// User returns who the session acts for. It is the zero User until the client
// has said so, which is before any hook sees the session.
func (s *Session) User() User {
	if u := s.user.Load(); u != nil {
		return *u
	}
	return User{}
}

// userID is User().ID.
func (s *Session) userID() string {
	if u := s.user.Load(); u != nil {
		return u.ID
	}
	return ""
}

// Addr returns the client's address, behind the proxies that Options.Proxies names.
// It is invalid for a session that came over no network.
func (s *Session) Addr() netip.Addr { return s.addr }

// RemoteAddr returns the network address of the peer, which may be a proxy.
func (s *Session) RemoteAddr() string { return s.request.remoteAddr() }

// Header returns the header of the request that opened the connection, without what is the
// transport's alone and without the Authorization. It is made anew by each call: hold on to it where
// more than one field is wanted.
func (s *Session) Header() http.Header { return s.request.header() }

// Rooms returns the ids of the rooms that the session is in, sorted.
func (s *Session) Rooms() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for m := s.rooms; m != nil; m = m.next {
		ids = append(ids, m.core.id)
	}
	slices.Sort(ids)
	return ids
}

// members returns the memberships of the session.
func (s *Session) members() []*member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.membersLocked()
}

func (s *Session) membersLocked() (all []*member) {
	for m := s.rooms; m != nil; m = m.next {
		all = append(all, m)
	}
	return all
}

// Send sends a message to this session alone, outside of any room. It is
// delivered at most once: a session that does not read loses it. It reports
// whether the message was taken.
func (s *Session) Send(kind Kind, body any) (bool, error) {
	message, err := s.hub.direct(kind, body)
	if err != nil {
		return false, err
	}
	return s.outlet.Offer(message), nil
}

// Close ends the session in order. The client is told the code, the reason and
// when to come back; nil means CodeKicked. What was queued for it is sent first.
// Close does not wait for that.
func (s *Session) Close(reason *Error) {
	if reason == nil {
		reason = &Error{Code: CodeKicked}
	}
	s.end(reason)
}

// end says goodbye.
func (s *Session) end(reason *Error) {
	s.ending.Store(true)
	bye := encode(&wire.Message{Op: wire.OpBye, Code: string(reason.Code), Reason: reason.reason(), Retry: reason.retryMillis()})
	s.outlet.Finish(bye, reason.Code.CloseCode(), reason.reason())
}

// abort cuts the connection.
func (s *Session) abort() {
	s.ending.Store(true)
	s.conn.Abort()
	s.outlet.Closed() // whoever waits for room in the queue waits no longer
}

// member returns the session's membership in a room, nil if it is not in.
func (s *Session) member(room string) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.memberLocked(room)
}

func (s *Session) memberLocked(room string) *member {
	for m := s.rooms; m != nil; m = m.next {
		if m.core.id == room {
			return m
		}
	}
	return nil
}

// leave ends a membership and tells the client, who may have asked for it under
// a request id. It does nothing if the membership has ended already.
func (s *Session) leave(m *member, id uint64, why *Error) {
	current := s.unnote(m)
	if cursor := m.core.remove(m); current && cursor != nil {
		s.left(m, cursor, id, why)
	}
}

// unnote forgets a membership, and reports whether it was the current one.
func (s *Session) unnote(m *member) (current bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at := &s.rooms; *at != nil; at = &(*at).next {
		if *at == m {
			*at, m.next = m.next, nil
			return true
		}
	}
	return false
}

// left tells the client, and the host, of a membership that has ended.
func (s *Session) left(m *member, cursor *fanout.Cursor, id uint64, why *Error) {
	s.unnote(m)
	left := &wire.Message{Op: wire.OpLeft, ID: id, Room: m.core.id}
	if why != nil {
		left.Code, left.Reason = string(why.Code), why.reason()
	}
	s.outlet.Leave(cursor, encode(left))
	m.core.planAnnouncement()
	s.hub.observe(Signal{Type: SignalLeft, Room: m.core.id, Session: s, Err: errorOrNil(why)})
}

// sessionEnd is the Session as its transport sees it.
type sessionEnd struct{ *Session }

// Receive is transport.Session.
func (s sessionEnd) Receive(msg []byte) error { return s.receive(msg) }

// Alive is transport.Session.
func (s sessionEnd) Alive() { s.hear() }

// Control is transport.Session.
func (s sessionEnd) Control(wire []byte) {
	s.hear()
	s.outlet.Control(wire)
}

// Fail is transport.Session.
func (s sessionEnd) Fail(code int, reason string) {
	s.ending.Store(true)
	s.outlet.Finish(nil, code, reason)
}

// Writable is transport.Session.
func (s sessionEnd) Writable() { s.outlet.Writable() }

// Closed is transport.Session.
func (s sessionEnd) Closed(err error) { s.closed(err) }

func (s *Session) hear() {
	s.heard.Store(s.hub.clock())
	s.asked.Store(0)
}

// closed takes the session out of everything. It is called once, when the
// connection is gone.
func (s *Session) closed(err error) {
	defer s.hub.disconnect()
	s.ending.Store(true)
	s.mu.Lock()
	s.ended = true
	members := s.membersLocked()
	s.rooms = nil
	s.mu.Unlock()
	s.outlet.Closed()
	for _, m := range members {
		m.core.remove(m)
		m.core.planAnnouncement()
	}
	s.hub.forget(s)
	for _, m := range members {
		s.hub.observe(Signal{Type: SignalLeft, Room: m.core.id, Session: s, Err: err})
	}
	if s.user.Load() != nil {
		s.hub.observe(Signal{Type: SignalSessionClosed, Session: s, Err: err})
	}
}

// reply sends the answer to a request.
func (s *Session) reply(m *wire.Message) { s.outlet.Send(encode(m)) }

// refuse sends the error that a request got. Faults of the server are logged;
// the client does not see what they were.
func (s *Session) refuse(req *wire.Request, err error) {
	e := asError(err)
	s.hub.stats.refused.Add(1)
	if e.Code == CodeInternal || e.Code == CodeTimeout {
		s.hub.opts.Logger.Error("a request failed", "op", req.Op, "room", req.Room, "user", s.User().ID, "error", err)
	}
	if req.Kind != "" && req.Room != "" {
		s.noteRefusal(req.Room, Kind(req.Kind), e)
	}
	s.hub.observe(Signal{Type: SignalRefused, Room: req.Room, Session: s, Kind: Kind(req.Kind), Op: req.Op, Err: err})
	s.outlet.Send(wire.AppendError(make([]byte, 0, 128), req.ID, string(e.Code), e.reason(), e.retryMillis()))
}

// encode writes a message that is not hot.
func encode(m *wire.Message) []byte {
	b, err := wire.AppendMessage(make([]byte, 0, 256), m)
	if err != nil { // a body of the host that is no JSON: refused before it gets here
		b = []byte(`{"op":"error","code":"internal"}`)
	}
	return b
}

// errorOrNil avoids the non-nil interface that holds a nil *Error.
func errorOrNil(e *Error) error {
	if e == nil {
		return nil
	}
	return e
}
