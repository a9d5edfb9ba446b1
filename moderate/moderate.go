package moderate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/liveim/im"
)

// Options are what a host may plug in or change. The zero value moderates with the default rights and no checks.
type Options struct {
	// Role says which role a user has in a room. It must be quick, and not block. Of a user who has no session on this node
	// only the ID is known. Nil means [RoleOf].
	Role func(u im.User, room string) Role
	// Rights say what roles may do. Nil means [DefaultRights].
	Rights Rights
	// Device names what a session is used with, such as an installation id that the app sends; "" if that is not known.
	// Nil means that devices are not known.
	Device func(s *im.Session) string

	// Checks look at each message of a client of a kind of Kinds, in order, until one does not allow it. What roles
	// from Exempt on send is not looked at.
	Checks []Check
	// Kinds are the kinds that are checked, and that mutes and approval are about. Nil means danmaku and chat.
	Kinds []im.Kind
	// Exempt is the least role whose messages no check looks at and need no approval. 0 means Moderator.
	Exempt Role
	// BlockedReason is what senders are told whose message was blocked. "" means a standard sentence, which does not say
	// which word it was.
	BlockedReason string

	// Queue bounds how many messages wait for approval in one room on one node; beyond that messages are refused
	// with im.CodeOverloaded. 1 to 10,000; defaults to 200.
	Queue int
	// QueueFor is how long one waits at most. What nobody has passed then is refused. 1 s to 24 h; defaults to 10 min.
	QueueFor time.Duration
	// Decisions is how many decisions of a room a node remembers for "mod.why". 1 to 100,000; defaults to 1,000.
	Decisions int

	// HubRoom is the id of the room whose state keeps what concerns all rooms. Clients can neither join nor read
	// it. Defaults to "@moderation".
	HubRoom string
	// Audit is told of every decision, after it was carried out. An error is logged. Nil means nobody.
	Audit func(ctx context.Context, action string, detail any) error
	// OnReport is told of each report of a user. It must not block. Nil means nobody.
	OnReport func(room string, r Report)
	// Now is the wall clock. Nil means time.Now.
	Now func() time.Time
	// Logger gets warnings. Nil means slog.Default().
	Logger *slog.Logger
}

// Moderation moderates the rooms of a hub. All methods are safe for use by many goroutines. Make one with [New], end
// it with [Moderation.Close].
type Moderation struct {
	hub  *im.Hub
	opts Options

	staff     table[staff]
	queues    table[queue]
	decisions table[decisions]
	reports   table[reports]
	sweep     sweep

	stop context.CancelFunc
	life context.Context
	done sync.WaitGroup
}

// New has the rooms of a hub moderated. Nil options are the defaults. Call it before the hub serves, as it plugs into
// the hub; and Close it before the hub is shut down. It fails if an option is out of its bounds.
func New(hub *im.Hub, o *Options) (*Moderation, error) {
	if o == nil {
		o = &Options{}
	}
	m := &Moderation{hub: hub, opts: *o}
	if err := m.opts.complete(); err != nil {
		return nil, err
	}
	m.life, m.stop = context.WithCancel(context.Background())
	m.sweep.seen = map[string]uint64{}
	hub.OnAdmit(m.admit)
	hub.Use(m.intercept)
	hub.OnExplain(m.explain)
	hub.OnSignal(m.observe)
	m.register()
	m.done.Go(m.sweepLoop)
	return m, nil
}

// Close ends the moderation's goroutine, and refuses what waits for approval. The hub goes on without it: sanctions
// are still applied to whoever joins or sends.
func (m *Moderation) Close() {
	m.stop()
	m.done.Wait()
	for _, q := range m.queues.all() {
		q.refuseAll(m, "the server goes away; nobody has decided about this message")
	}
}

func (o *Options) complete() error {
	if o.Role == nil {
		o.Role = RoleOf
	}
	if o.Rights == nil {
		o.Rights = DefaultRights()
	}
	if err := o.Rights.check(); err != nil {
		return err
	}
	o.Rights = o.Rights.clone()
	o.Checks = slices.Clone(o.Checks)
	if slices.ContainsFunc(o.Checks, func(c Check) bool { return c == nil }) {
		return errors.New("moderate: Options.Checks holds a nil check")
	}
	if o.Kinds == nil {
		o.Kinds = []im.Kind{im.Danmaku, im.Chat}
	}
	o.Kinds = slices.Clone(o.Kinds)
	if o.Exempt == 0 {
		o.Exempt = Moderator
	}
	if o.BlockedReason == "" {
		o.BlockedReason = "this message is against the rules of the room"
	}
	if o.HubRoom == "" {
		o.HubRoom = "@moderation"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	for _, f := range []struct {
		name             string
		value            *int
		least, most, def int
	}{{"Queue", &o.Queue, 1, 10_000, 200}, {"Decisions", &o.Decisions, 1, 100_000, 1000}} {
		if *f.value == 0 {
			*f.value = f.def
		}
		if *f.value < f.least || *f.value > f.most {
			return fmt.Errorf("moderate: Options.%s is %d: want %d to %d, or 0 for %d", f.name, *f.value, f.least, f.most, f.def)
		}
	}
	if o.QueueFor == 0 {
		o.QueueFor = 10 * time.Minute
	}
	if o.QueueFor < time.Second || o.QueueFor > 24*time.Hour {
		return fmt.Errorf("moderate: Options.QueueFor is %v: want 1s to 24h, or 0 for 10m", o.QueueFor)
	}
	return nil
}

// table holds something for each room that has it.
type table[T any] struct {
	mu sync.Mutex // guards m
	m  map[string]*T
}

// of returns what a room has, made if need be.
func (t *table[T]) of(room string) *T {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = map[string]*T{}
	}
	v := t.m[room]
	if v == nil {
		v = new(T)
		t.m[room] = v
	}
	return v
}

// get returns what a room has, nil if nothing.
func (t *table[T]) get(room string) *T {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.m[room]
}

// all returns what the rooms have, by room.
func (t *table[T]) all() map[string]*T {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := make(map[string]*T, len(t.m))
	for room, v := range t.m {
		c[room] = v
	}
	return c
}

// drop forgets what a room has if that is empty by then. empty is called under the table's lock.
func (t *table[T]) drop(room string, empty func(*T) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v := t.m[room]; v != nil && empty(v) {
		delete(t.m, room)
	}
}

// staff are the sessions in a room that may have to do with its moderation. A session is one from when it joins or first
// asks for something of the staff's.
type staff struct {
	mu       sync.Mutex // guards the field below
	sessions map[*im.Session]struct{}
}

func (s *staff) add(session *im.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions == nil {
		s.sessions = map[*im.Session]struct{}{}
	}
	s.sessions[session] = struct{}{}
}

func (s *staff) list() []*im.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.sessions))
}

// observe keeps count of the staff, since a room may have a hundred thousand others.
func (m *Moderation) observe(s im.Signal) {
	switch s.Type {
	case im.SignalJoined:
		if u := s.Session.User(); m.May(u, s.Room, MayApprove) || m.May(u, s.Room, MayModerate) {
			m.staff.of(s.Room).add(s.Session)
		}
	case im.SignalLeft:
		if here := m.staff.get(s.Room); here != nil {
			here.mu.Lock()
			delete(here.sessions, s.Session)
			here.mu.Unlock()
			m.staff.drop(s.Room, func(x *staff) bool {
				x.mu.Lock()
				defer x.mu.Unlock()
				return len(x.sessions) == 0
			})
		}
	}
}

// tellStaff sends something to those in a room who have a right, and to nobody else: a direct message of the kind
// moderation.
func (m *Moderation) tellStaff(room string, right Right, what string, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		m.opts.Logger.Error("moderate: a message to the staff does not encode", "error", err)
		return
	}
	message := map[string]any{"type": what, "room": room, what: json.RawMessage(raw)}
	here := m.staff.get(room)
	if here == nil {
		return
	}
	for _, s := range here.list() {
		if !m.May(s.User(), room, right) {
			continue
		}
		_, _ = s.Send(im.Moderation, message) // a session that does not read looks at the list again
	}
}
