package im

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash/maphash"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/liveim/im/internal/fanout"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport"
	"github.com/liveim/im/transport/longpoll"
	"github.com/liveim/im/transport/sse"
	"github.com/liveim/im/transport/websocket"
)

// Hub owns rooms, sessions and every goroutine that serves them. It is an
// http.Handler: mount it with http.StripPrefix. Make one with [New]; all methods are
// safe for use by many goroutines. End it with [Hub.Shutdown] or [Hub.Close].
type Hub struct {
	opts        Options
	auth        Authenticator
	kinds       kindTable
	engine      *fanout.Engine
	batching    *fanout.Batching
	feedLimits  fanout.FeedLimits
	sendLimits  fanout.Limits
	intercepted SendFunc
	guard       guard
	limits      *limiter
	unnamed     atomic.Bool  // a proxy that Options.Proxies does not name was seen
	seed        maphash.Seed // of keys of texts
	started     time.Time
	webSocket   websocket.Options
	stream      sse.Options
	poll        longpoll.Options

	rooms    registry[*core]
	sessions registry[*Session] // by session id
	users    registry[*devices] // by user id

	stats    counters
	pressure pressure
	sent     fanout.Counters
	resyncs  pool

	opsMu sync.RWMutex // guards ops
	ops   map[string]OpFunc

	// life ends when the hub is closed.
	life context.Context
	lifecycle
}

// devices are the sessions of one user. The list is replaced, never changed.
type devices struct{ list []*Session }

func newHub(auth Authenticator, o Options, kinds kindTable) *Hub {
	h := &Hub{
		opts: o, auth: auth, kinds: kinds,
		feedLimits: fanout.FeedLimits{Batches: o.Bounds.RingBatches, Bytes: o.Bounds.RingBytes, BatchBytes: 32 << 10},
		sendLimits: fanout.Limits{Queue: 64 << 10, Send: 64 << 10, VolatileAge: time.Second, Panicked: func(p any) { o.Logger.Error("a connection panicked", "panic", p) }},
		limits:     newLimiter(o.Limits, o.Proxies),
		seed:       maphash.MakeSeed(),
		started:    time.Now(),
		rooms:      newRegistry[*core](),
		sessions:   newRegistry[*Session](),
		users:      newRegistry[*devices](),
		ops:        map[string]OpFunc{},
		webSocket: websocket.Options{
			Protocols: []string{wire.Subprotocol},
			Deflate:   !o.NoCompression,
			Limits:    websocket.Limits{MaxMessage: o.Bounds.Message},
			Portable:  o.IO == IOPortable,
		},
		stream:   sse.Options{Portable: o.IO == IOPortable},
		batching: o.IO.batching(),
	}
	if o.Log == nil {
		// The defaults of a memory log are within its bounds.
		h.opts.Log, _ = NewMemoryLog(&MemoryLogOptions{Now: o.Now})
	}
	h.guard = guard{max: int64(o.Bounds.Hooks), log: o.Logger.Error}
	h.life, h.endLife = context.WithCancel(context.Background())
	h.closed = make(chan struct{})
	h.intercepted = h.innermost
	for _, m := range slices.Backward(o.Intercept) {
		h.intercepted = m(h.intercepted)
	}
	h.resyncs = pool{max: 8, start: h.background, protect: h.protect}
	h.engine = fanout.NewEngine(0, o.gaps(), h.batching, func(p any) {
		o.Logger.Error("a delivery panicked", "panic", p)
	})
	h.background(h.sweepLoop)
	h.background(h.maintainLoop)
	h.background(h.brownoutLoop)
	return h
}

// Room returns a handle to the room with the given id, which need not exist.
// Ids are 1 to 128 bytes of UTF-8 without control characters; methods of the
// handle refuse others.
func (h *Hub) Room(id string) *Room { return &Room{h, id} }

// Rooms yields the rooms that are in use on this node, in no order: those with
// sessions, and those that were used lately.
func (h *Hub) Rooms() iter.Seq[*Room] {
	return func(yield func(*Room) bool) {
		for id := range h.rooms.all() {
			if !yield(h.Room(id)) {
				return
			}
		}
	}
}

// UserSessions is a handle to one user's sessions on this node.
type UserSessions struct {
	hub *Hub
	id  string
}

// User returns a handle to the sessions of a user, who need not be here.
func (h *Hub) User(id string) UserSessions { return UserSessions{h, id} }

// Send sends a message to all sessions of the user on this node, outside of any
// room, and returns how many took it. It is delivered at most once: sessions that
// do not read lose it.
func (u UserSessions) Send(ctx context.Context, kind Kind, body any) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	message, err := u.hub.direct(kind, body)
	if err != nil {
		return 0, err
	}
	if u.hub.life.Err() != nil {
		return 0, ErrClosed
	}
	n := 0
	for _, s := range u.hub.sessionsOf(u.id) {
		if s.outlet.Offer(message) {
			n++
		}
	}
	return n, nil
}

// Sessions returns the user's sessions on this node.
func (u UserSessions) Sessions() []*Session { return slices.Clone(u.hub.sessionsOf(u.id)) }

func (h *Hub) sessionsOf(user string) []*Session {
	if d, ok := h.users.get(user); ok {
		return d.list
	}
	return nil
}

// direct encodes a message that is for one user.
func (h *Hub) direct(kind Kind, body any) ([]byte, error) {
	if _, ok := h.kinds[kind]; !ok {
		return nil, errorf(CodeNotFound, "kind %q is neither built in nor in Options.Kinds", kind)
	}
	raw, err := h.encodeBody(body)
	if err != nil {
		return nil, err
	}
	return encode(&wire.Message{Op: wire.OpDirect, Kind: string(kind), Event: uuid.NewString(), At: h.opts.Now().UnixMilli(), Body: raw}), nil
}

// Attach serves a connection that did not come over HTTP: of a transport of the
// host's own, of a bot, of a test. The hub owns conn from then on, also if it
// returns an error. A hub at [BrownoutRefusing] refuses these as well.
func (h *Hub) Attach(conn transport.Conn, u User) (*Session, error) {
	err := h.admitUser(&u)
	if err == nil {
		err = h.count()
	}
	if err != nil {
		conn.Abort()
		return nil, err
	}
	return h.open(conn, &http.Request{Method: http.MethodGet, URL: &url.URL{}, Header: http.Header{}}, &u), nil
}

// open makes a session of a connection for which connect has succeeded. u is nil if the
// client still has to say who it is.
func (h *Hub) open(conn transport.Conn, r *http.Request, u *User) *Session {
	s := &Session{hub: h, id: h.sessionID(u), conn: conn, request: r, opened: time.Now(), addr: h.clientAddr(r)}
	s.outlet = fanout.NewOutlet(conn, &h.sendLimits, &h.sent, func(c *fanout.Cursor) {
		h.resyncs.run(func() {
			err := h.protect("bringing back a slow session", func() error { return h.resync(c) })
			if err != nil {
				h.opts.Logger.Warn("a slow session cannot be brought back into its room", "user", s.User().ID, "error", err)
				s.end(&Error{Code: CodeSlowConsumer, cause: err})
			}
		})
	})
	s.hear()
	h.sessions.update(s.id, func(*Session, bool) (*Session, bool) { return s, true })
	if u != nil {
		h.enroll(s, u)
		s.outlet.Queue(s.welcome(0)) // before the client can ask for anything
	}
	conn.Start(sessionEnd{s})
	s.outlet.Flush()
	if h.draining() { // it came between the check and the farewell to all
		s.end(&Error{Code: CodeShutdown, RetryAfter: h.returnTime()})
	}
	if h.life.Err() != nil {
		s.abort()
	}
	return s
}

// enroll makes the session one of its user.
func (h *Hub) enroll(s *Session, u *User) {
	s.user.Store(u)
	h.users.update(u.ID, func(old *devices, ok bool) (*devices, bool) {
		var list []*Session
		if ok {
			list = old.list
		}
		return &devices{append(slices.Clip(list), s)}, true
	})
	h.observe(Signal{Type: SignalSessionOpened, Session: s})
}

// forget takes an ended session out of the registries.
func (h *Hub) forget(s *Session) {
	h.sessions.removeIf(s.id, s)
	u := s.user.Load()
	if u == nil {
		return
	}
	h.users.update(u.ID, func(old *devices, ok bool) (*devices, bool) {
		if !ok {
			return nil, false
		}
		list := slices.DeleteFunc(slices.Clone(old.list), func(o *Session) bool { return o == s })
		return &devices{list}, len(list) > 0
	})
}

// authenticate asks the host who makes a request.
func (h *Hub) authenticate(r *http.Request) (*User, error) {
	var u User
	err := h.guard.run(r.Context(), h.opts.Timeouts.Hook, "the Authenticator", func(ctx context.Context) error {
		got, err := h.auth(r.WithContext(ctx))
		if err == nil {
			u = got
		}
		return err
	})
	var e *Error
	switch {
	case errors.Is(err, ErrNoCredentials) || errors.As(err, &e):
		return nil, err
	case err != nil:
		if e := asError(err); e.Code == CodeTimeout {
			return nil, e
		}
		return nil, &Error{Code: CodeUnauthorized, cause: err}
	}
	if err := h.admitUser(&u); err != nil {
		return nil, err
	}
	return &u, nil
}

// admitUser checks and completes a user whom the host has named.
func (h *Hub) admitUser(u *User) error {
	if err := u.check(); err != nil {
		return &Error{Code: CodeInternal, cause: err}
	}
	if u.Name == "" {
		u.Name = u.ID
	}
	if !u.Expires.IsZero() && !u.Expires.After(h.opts.Now()) {
		return &Error{Code: CodeExpired}
	}
	u.Roles = slices.Clone(u.Roles)
	return nil
}

// sessionID returns 128 random bits and a tag over them and the user that only
// this hub, or one with the same Secret, can make.
func (h *Hub) sessionID(u *User) string {
	id := make([]byte, 16, 32)
	rand.Read(id)
	user := ""
	if u != nil {
		user = u.ID
	}
	return base64.RawURLEncoding.EncodeToString(append(id, h.sessionTag(id, user)...))
}

func (h *Hub) sessionTag(id []byte, user string) []byte {
	mac := hmac.New(sha256.New, h.opts.Secret)
	writeField(mac.Write, "session")
	writeField(mac.Write, user)
	mac.Write(id)
	return mac.Sum(nil)[:16]
}

// validSessionID reports whether a hub with this Secret made the id for the user.
func (h *Hub) validSessionID(sid, user string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(sid)
	return err == nil && len(raw) == 32 && hmac.Equal(raw[16:], h.sessionTag(raw[:16], user))
}

// session returns the user's live session with the id. An id of somebody else is
// like one that nobody has.
func (h *Hub) session(sid, user string) *Session {
	if !h.validSessionID(sid, user) {
		return nil
	}
	s, ok := h.sessions.get(sid)
	if !ok || s.User().ID != user {
		return nil
	}
	return s
}

// clock is the monotonic time since the hub was made.
func (h *Hub) clock() int64 { return int64(time.Since(h.started)) }
