package im

import (
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"net/http"
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
	opts       Options
	auth       Authenticator
	kinds      kindTable
	engine     *fanout.Engine
	batching   *fanout.Batching
	feedLimits fanout.FeedLimits
	delivery   fanout.Common
	plugs      plugs
	guard      guard
	limits     *limiter
	fates      *fates
	unnamed    atomic.Bool  // a proxy that Options.Proxies does not name was seen
	seed       maphash.Seed // of keys of texts
	started    time.Time
	webSocket  websocket.Options
	stream     sse.Options
	poll       longpoll.Options

	rooms    registry[string, *core]
	sessions registry[sessionID, *Session]
	users    registry[string, devices] // by user id
	tags     sync.Pool                 // of *tagger

	stats    counters
	pressure pressure
	sent     fanout.Counters
	resyncs  pool
	agenda   agenda
	overdue  pool // looks after rooms that the agenda names
	erasures pool // has the log erase what was deleted

	opsMu sync.RWMutex // guards ops
	ops   map[string]operation

	calls       calls        // of operations about no room
	answerBytes atomic.Int64 // of the answers of calls, over all rooms

	// life ends when the hub is closed.
	life context.Context
	lifecycle
}

func newHub(auth Authenticator, o Options, kinds kindTable) *Hub {
	h := &Hub{
		opts: o, auth: auth, kinds: kinds,
		feedLimits: fanout.FeedLimits{Batches: o.Bounds.RingBatches, Bytes: o.Bounds.RingBytes, BatchBytes: 32 << 10},
		delivery: fanout.Common{
			Limits:   fanout.Limits{Queue: 64 << 10, Send: 64 << 10, VolatileAge: time.Second},
			Panicked: func(p any) { o.Logger.Error("a connection panicked", "panic", p) },
		},
		limits:   newLimiter(o.Limits, o.Proxies),
		fates:    newFates(),
		seed:     maphash.MakeSeed(),
		started:  time.Now(),
		rooms:    newRegistry[string, *core](),
		sessions: newRegistry[sessionID, *Session](),
		users:    newRegistry[string, devices](),
		ops:      map[string]operation{},
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
	h.plugs.take(&h.opts, h.innermost)
	h.resyncs = pool{max: 8, start: h.background, protect: h.protect}
	h.overdue = pool{max: 8, start: h.background, protect: h.protect}
	h.erasures = pool{max: 1, start: h.background, protect: h.protect}
	h.agenda.run = func(c *core) { h.overdue.run(c.lookAfter) }
	h.delivery.Counters = &h.sent
	h.delivery.Lost = func(c *fanout.Cursor) { h.resyncs.run(func() { h.bringBack(c) }) }
	h.tags.New = h.newTagger
	h.calls.bytes, h.calls.max = &h.answerBytes, int64(o.Bounds.Answers)
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
	for s := range u.hub.sessionsOf(u.id).all() {
		if s.outlet.Offer(message) {
			n++
		}
	}
	return n, nil
}

// Sessions returns the user's sessions on this node.
func (u UserSessions) Sessions() []*Session { return slices.Collect(u.hub.sessionsOf(u.id).all()) }

func (h *Hub) sessionsOf(user string) devices {
	d, _ := h.users.get(user)
	return d
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
	return h.open(conn, nil, &u), nil
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
	h.plugs.serve()
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

// clock is the monotonic time since the hub was made.
func (h *Hub) clock() int64 { return int64(time.Since(h.started)) }
