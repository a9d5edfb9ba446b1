// Package im is live rooms for Go servers: danmaku, chat, gifts, likes, shared
// state and presence for live streams, live shopping, classes and events.
//
// A host application mounts one [Hub] on its own http.ServeMux. Viewers reach
// it over WebSocket; the host plugs in who the user is, what is allowed, and
// where events are kept.
//
//	hub, err := im.New(auth, nil)
//	mux.Handle("/im/", http.StripPrefix("/im", hub))
//	room := hub.Room("42")
//	ev, err := room.Send(ctx, im.Notice, map[string]string{"text": "welcome"})
//
// # The idea
//
// A room is a log: every accepted [Event] gets one [Position] in one order. A
// viewer is a cursor into it: it costs no memory to be slow, and nobody is delayed by a
// slow one. Resume is join with a position: the server keeps nothing for a
// client that is away. What happens to an event under load depends on the
// [Class] of its [Kind].
//
// The zero [Options] run on memory alone, for one process. A [Log] that is
// shared by several processes makes them a cluster; two processes on the memory
// log split their rooms in silence.
package im

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/liveim/im/internal/fanout"
)

// Options are what a host may plug in or change. The zero value is a working
// hub; every field says what its zero value means. New copies them.
type Options struct {
	// Log orders and keeps events. Nil means a [MemoryLog] with its defaults.
	Log Log
	// Kinds declares kinds of the host, and who may send the built-in ones.
	Kinds []KindSpec
	// Limits says how fast clients may be.
	Limits Limits
	// Proxies are the networks of reverse proxies in front of the server whose
	// X-Forwarded-For is believed. Without them the header is ignored, and the
	// address of a client is that of its connection.
	Proxies []netip.Prefix
	// Flow says how much danmaku viewers are shown.
	Flow Flow

	// Admit decides whether a session may enter a room, and read its history.
	// Nil lets every user in. It is asked again for each join, also when a client resumes.
	Admit func(ctx context.Context, s *Session, room string) error
	// Intercept sees every event that a client sends, likes and changes of state
	// included, the first one outermost, and may accept, change, hold or refuse it.
	// Events that the host itself sends with Room.Send do not pass here.
	Intercept []Middleware
	// Staff are the roles whose users a room's [Modes] do not restrict, and who see held
	// messages and decide about them. Nil means "host" and "moderator"; empty means nobody.
	Staff Senders
	// State says which keys of a room's state clients may change.
	State StatePolicy
	// Text returns what a message says to people, for the modes that look at it; "" if it says
	// nothing. It must be quick and always return the same for the same body. Nil means
	// a body that is a string, and the field "text" of one that is an object.
	Text func(kind Kind, body json.RawMessage) string
	// Observe is told what happens, before it goes on. It must not block.
	Observe func(Signal)

	// Joins says what rooms tell of those who come in. The zero value tells it.
	Joins JoinPolicy
	// Pressure says how hard the process, or the machine, is pressed: 1 is its
	// limit. The hub asks twice a second and leaves out more for every second time in a
	// row that it is 1 or more, at once at 2 or more, and less again for every 5 s that it
	// stays below 0.7; see [BrownoutLevel]. One that always returns 0 switches that off.
	// One that panics or hangs is not asked again.
	//
	// Nil means that the hub measures its process: the memory in use against GOMEMLIMIT,
	// if that is set, what garbage collection takes near it, and how long goroutines wait for a processor.
	Pressure func() float64

	// Origins are the origins of foreign pages that may connect, such as
	// "https://www.example.com". Pages of the same host always may. Clients that
	// send no Origin, which are not browsers, are not affected.
	Origins []string
	// Secret signs session ids and digests, at least 16 bytes; nodes of one cluster share it.
	// Nil means that of the log if it is a [SecretLog], or else a random one, which is right
	// for the memory log only: with a durable log, a retry after a restart would look like a
	// conflict, and the hub says so in the Logger.
	Secret []byte
	// Logger gets warnings and errors. Nil means slog.Default().
	Logger *slog.Logger
	// Now is the wall clock, for event times, token expiry and retention by age.
	// Nil means time.Now. Everything else uses the monotonic clock.
	Now func() time.Time

	// FlushGap is the least time between two deliveries of a room: an event
	// after a quiet moment leaves at once, those that follow it within the gap
	// leave together. Zero lets the hub find it for each room, from 20 ms on and up to
	// 250 ms, so that delivering takes two thirds of the processors at most. Else 1 ms to 1 s.
	FlushGap time.Duration
	// IO is how plain TCP connections are read and written. Stats.IO says which way is
	// in use. Defaults to IOAuto.
	IO IO
	// NoCompression keeps WebSocket messages uncompressed.
	NoCompression bool

	Timeouts Timeouts
	Bounds   Bounds
}

// Timeouts are the times that a hub waits. Zero fields have their defaults.
type Timeouts struct {
	Hello     time.Duration // for a client to say who it is. Defaults to 10 s
	Heartbeat time.Duration // of silence before the hub asks whether the client is there. Defaults to 25 s
	Answer    time.Duration // for the client's answer to that. Defaults to 15 s
	Write     time.Duration // that a client may take nothing before it is closed. Defaults to 20 s
	Send      time.Duration // until the fate of a send is "unknown". Defaults to 1 s
	Hook      time.Duration // for a hook or an operation of the host. Defaults to 10 s
	RoomIdle  time.Duration // without sessions and events before a room is unloaded. Defaults to 5 min
}

// Bounds are sizes that a hub does not exceed. Zero fields have their defaults.
type Bounds struct {
	Body         int // bytes of an event's body. Defaults to 4 KiB
	Message      int // bytes of one message of a client, decompressed. Defaults to 64 KiB
	Sessions     int // sessions of the hub. Defaults to 1,000,000
	Rooms        int // rooms that one session may be in. Defaults to 16
	JoinEvents   int // newest events that a client gets when it joins. Defaults to 20
	ResumeEvents int // events that a client may have missed and still resume. Defaults to 1,000
	RingBatches  int // recent batches kept per room for slow viewers. Defaults to 256
	RingBytes    int // and their bytes. Defaults to 512 KiB
	Answers      int // bytes of answers of operations, over all rooms, that are remembered for retries. Defaults to 64 MiB
	Hooks        int // calls of hooks and operations that hang, before new ones are refused. Defaults to 1,000
}

// Middleware wraps the step that accepts an event; see [SendFunc].
type Middleware func(next SendFunc) SendFunc

// New returns a hub that asks auth who its clients are. It starts a few
// goroutines, which Shutdown or Close end. A wrong option is an error that names
// the field and its bound.
func New(auth Authenticator, opts *Options) (*Hub, error) {
	if auth == nil {
		return nil, errors.New("im: New needs an Authenticator: it says who a request is from")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	kinds, err := newKindTable(o.Kinds)
	if err != nil {
		return nil, err
	}
	if err := o.Limits.complete(kinds); err != nil {
		return nil, err
	}
	return newHub(auth, o, kinds), nil
}

// gaps are the bounds of what FlushGap fixes.
func (o *Options) gaps() fanout.Gaps {
	if o.FlushGap != 0 {
		return fanout.Gaps{Min: o.FlushGap, Max: o.FlushGap}
	}
	return fanout.Gaps{Min: 20 * time.Millisecond, Max: 250 * time.Millisecond}
}

// complete fills in defaults and checks bounds. It replaces what it would
// otherwise share with the caller.
func (o *Options) complete() error {
	o.Kinds = slices.Clone(o.Kinds)
	o.Intercept = slices.Clone(o.Intercept)
	o.Origins = slices.Clone(o.Origins)
	o.Staff = slices.Clone(o.Staff)
	if o.Staff == nil {
		o.Staff = Senders{"host", "moderator"}
	}
	if o.Text == nil {
		o.Text = textOf
	}
	var err error
	if o.Proxies, err = clonePrefixes(o.Proxies); err != nil {
		return err
	}
	o.Joins.Except = slices.Clone(o.Joins.Except)
	if o.Joins.MaxOnline < 0 {
		return fmt.Errorf("im: Options.Joins.MaxOnline is %d: want a number of sessions, or 0 for any", o.Joins.MaxOnline)
	}
	for i, m := range o.Intercept {
		if m == nil {
			return fmt.Errorf("im: Options.Intercept[%d] is nil", i)
		}
	}
	for i, origin := range o.Origins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("im: Options.Origins[%d] is %q: want scheme://host or scheme://host:port, nothing behind", i, origin)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return cmp.Or(o.completeSecret(), o.Flow.complete(), o.State.complete(), o.completeDurations(), o.Bounds.complete())
}

func (o *Options) completeDurations() error {
	if err := o.IO.validate(); err != nil {
		return err
	}
	if g := o.FlushGap; g != 0 && (g < time.Millisecond || g > time.Second) {
		return fmt.Errorf("im: Options.FlushGap is %v: want 1ms to 1s, or 0 to have it adapt to the load", g)
	}
	t := &o.Timeouts
	for _, d := range []struct {
		name     string
		field    *time.Duration
		standard time.Duration
		min, max time.Duration
	}{
		{"Timeouts.Hello", &t.Hello, 10 * time.Second, 10 * time.Millisecond, time.Minute},
		{"Timeouts.Heartbeat", &t.Heartbeat, 25 * time.Second, time.Second, time.Hour},
		{"Timeouts.Answer", &t.Answer, 15 * time.Second, time.Second, time.Hour},
		{"Timeouts.Write", &t.Write, 20 * time.Second, 10 * time.Millisecond, time.Hour},
		{"Timeouts.Send", &t.Send, time.Second, 10 * time.Millisecond, time.Minute},
		{"Timeouts.Hook", &t.Hook, 10 * time.Second, 10 * time.Millisecond, time.Hour},
		{"Timeouts.RoomIdle", &t.RoomIdle, 5 * time.Minute, time.Second, 24 * time.Hour},
	} {
		if *d.field == 0 {
			*d.field = d.standard
		}
		if *d.field < d.min || *d.field > d.max {
			return fmt.Errorf("im: Options.%s is %v: want %v to %v, or 0 for %v", d.name, *d.field, d.min, d.max, d.standard)
		}
	}
	return nil
}

func (b *Bounds) complete() error {
	for _, n := range []struct {
		name     string
		field    *int
		standard int
		min, max int
	}{
		{"Body", &b.Body, 4 << 10, 16, 1 << 20},
		{"Message", &b.Message, 64 << 10, 1 << 10, 4 << 20},
		{"Sessions", &b.Sessions, 1_000_000, 1, 100_000_000},
		{"Rooms", &b.Rooms, 16, 1, 1000},
		{"JoinEvents", &b.JoinEvents, 20, 1, 500},
		{"ResumeEvents", &b.ResumeEvents, 1000, 1, 100_000},
		{"RingBatches", &b.RingBatches, 256, 2, 1 << 16},
		{"RingBytes", &b.RingBytes, 512 << 10, 4 << 10, 1 << 30},
		{"Answers", &b.Answers, 64 << 20, 64 << 10, 1 << 30},
		{"Hooks", &b.Hooks, 1000, 1, 1_000_000},
	} {
		if *n.field == 0 {
			*n.field = n.standard
		}
		if *n.field < n.min || *n.field > n.max {
			return fmt.Errorf("im: Options.Bounds.%s is %d: want %d to %d, or 0 for %d", n.name, *n.field, n.min, n.max, n.standard)
		}
	}
	if b.Body > b.Message {
		return fmt.Errorf("im: Options.Bounds.Body is %d: want at most Bounds.Message, %d", b.Body, b.Message)
	}
	return nil
}
