package reaction

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im"
)

// Kinds declares reactions that everybody in a room may send, for im.Options.Kinds. Names are those of kinds: 1 to 32 of
// a-z, 0-9, '.', '_' and '-'. Likes need no declaration.
func Kinds(names ...string) []im.KindSpec {
	specs := make([]im.KindSpec, len(names))
	for i, name := range names {
		specs[i] = im.KindSpec{Kind: im.Kind(name), Class: im.Merged, From: im.Everyone()}
	}
	return specs
}

// Limits gives reactions the limit that likes have, 20 in 1 s for each user, for im.Options.Limits.User. Add what else the host
// limits.
func Limits(names ...string) map[im.Kind]im.Limit {
	limits := make(map[im.Kind]im.Limit, len(names))
	for _, name := range names {
		limits[im.Kind(name)] = im.Limit{N: 20, Per: time.Second}
	}
	return limits
}

// Options are what a host may choose. The zero value is usable, and has no milestones. New copies them.
type Options struct {
	// Kinds are the reactions that have milestones. Nil means im.Like alone.
	Kinds []im.Kind
	// At are milestones, and every multiple of Every is one. Both may be left out.
	At    []uint64
	Every uint64
	// Event is the kind of the event that a room gets, one of the class Critical or Normal. Defaults to im.Notice.
	Event im.Kind
	// Body makes the body of that event. It must be the same for the same milestone, on all nodes. Nil means the Milestone, as
	// {"reaction":"like","milestone":1000}.
	Body func(room string, m Milestone) any
	// OnMilestone is called once for each milestone of a room, by the node that has noted it first, after the event is stored; it is not
	// called again if the process dies before. It may take HookTimeout, 10 s by default and 1 ms to 1 h; a panic is logged.
	// Several calls may run at once.
	OnMilestone func(ctx context.Context, room string, m Milestone)
	HookTimeout time.Duration
	// Logger gets panics of the host's functions, and milestones that could not be stored. Nil means that of the hub.
	Logger *slog.Logger
}

// Milestone is a total that was passed.
type Milestone struct {
	Kind im.Kind `json:"reaction"`
	N    uint64  `json:"milestone"`
}

func (o *Options) complete(hub *im.Hub) error {
	o.Kinds, o.At = slices.Clone(o.Kinds), slices.Clone(o.At)
	if o.Kinds == nil {
		o.Kinds = []im.Kind{im.Like}
	}
	slices.Sort(o.At)
	if len(o.At) > 0 && (o.At[0] == 0 || o.At[len(o.At)-1] > im.MaxSeq) || o.Every > im.MaxSeq {
		return errors.New("reaction: Options.At and Options.Every: want numbers from 1 to 2^53-1")
	}
	for i, k := range o.Kinds {
		switch spec, ok := hub.Kind(k); {
		case !ok:
			return fmt.Errorf("reaction: Options.Kinds[%d] is %q, which the hub does not know: declare it with Kinds in im.Options.Kinds", i, k)
		case spec.Class != im.Merged || k == im.Presence:
			return fmt.Errorf("reaction: Options.Kinds[%d] is %q, which is not added up: its class is %s, want %s", i, k, spec.Class, im.Merged)
		}
	}
	if o.Event == "" {
		o.Event = im.Notice
	}
	if spec, ok := hub.Kind(o.Event); !ok || spec.Class > im.Normal || o.Event == im.State || o.Event == im.System {
		return fmt.Errorf("reaction: Options.Event is %q: want a kind of the hub of the class critical or normal that the host may send", o.Event)
	}
	if o.HookTimeout == 0 {
		o.HookTimeout = 10 * time.Second
	}
	if o.HookTimeout < time.Millisecond || o.HookTimeout > time.Hour {
		return fmt.Errorf("reaction: Options.HookTimeout is %v: want 1ms to 1h, or 0 for 10s", o.HookTimeout)
	}
	if o.Body == nil {
		o.Body = func(_ string, m Milestone) any { return m }
	}
	if o.Logger == nil {
		o.Logger = hub.Logger()
	}
	return nil
}

const (
	maxAtOnce  = 16 // milestones that a total passes at once and that get an event
	maxWorkers = 4
	maxTries   = 5
	tryAgain   = 2 * time.Second
	maxWaiting = 1 << 16 // totals that wait to be looked at
	maxHanging = 64      // calls of the host that are left behind, before further ones are left out
)

// Reactions watches the totals of one hub. Make it with [New]; all methods are safe for use by many
// goroutines. End it with [Reactions.Close].
type Reactions struct {
	hub     *im.Hub
	opts    Options
	life    context.Context
	endLife context.CancelFunc
	tasks   sync.WaitGroup
	hanging atomic.Int64

	mu      sync.Mutex     // guards the fields below
	waiting map[total]bool // totals to look at; true: at work on it, and it has grown since
	busy    map[total]bool // totals that a worker has
	queue   []total        // of waiting, in order
	workers int
	over    bool
}

// total is one reaction in one room.
type total struct {
	room string
	kind im.Kind
}

// New watches the totals of a hub, which must not serve yet: it panics then, as Hub.OnSignal does. Other reactions of the same hub may be
// watched by another one, with other milestones. opts may be nil.
func New(hub *im.Hub, opts *Options) (*Reactions, error) {
	if hub == nil {
		return nil, errors.New("reaction: New needs a hub")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if err := o.complete(hub); err != nil {
		return nil, err
	}
	r := &Reactions{hub: hub, opts: o, waiting: map[total]bool{}, busy: map[total]bool{}}
	r.life, r.endLife = context.WithCancel(context.Background())
	if len(o.At) > 0 || o.Every > 0 {
		hub.OnSignal(r.observe)
	}
	return r, nil
}

// Close ends it and waits for its goroutines, but not for functions of the host that hang. Close it after the hub was shut
// down, so that the last totals are looked at; what it has not looked at by then waits for the next reaction in the
// room. It may be called more than once.
func (r *Reactions) Close() error {
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	r.endLife()
	r.tasks.Wait()
	return nil
}

// Total returns how often a room got a reaction, as this node knows it.
func (r *Reactions) Total(ctx context.Context, room string, kind im.Kind) (uint64, error) {
	return r.hub.Room(room).Total(ctx, kind)
}

// observe is told by the hub that a total has grown.
func (r *Reactions) observe(s im.Signal) {
	if s.Type == im.SignalTotal && slices.Contains(r.opts.Kinds, s.Kind) {
		r.look(total{s.Room, s.Kind})
	}
}

// look has a total looked at soon, and once more if somebody is at it.
func (r *Reactions) look(t total) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.waiting[t] || len(r.waiting) >= maxWaiting {
		return
	}
	r.waiting[t] = true
	if r.busy[t] {
		return // it is looked at again
	}
	r.queue = append(r.queue, t)
	if r.workers < maxWorkers {
		r.workers++
		r.tasks.Go(r.work)
	}
}

// work looks at totals until none waits.
func (r *Reactions) work() {
	for {
		t, ok := r.take()
		if !ok {
			return
		}
		err := r.pass(t)
		r.give(t)
		if err != nil && r.life.Err() == nil && !errors.Is(err, im.ErrClosed) {
			r.opts.Logger.Warn("a milestone is not stored; the next reaction in the room tries again", "room", t.room, "reaction", t.kind, "error", err)
		}
	}
}

func (r *Reactions) take() (t total, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 || r.over {
		r.workers--
		return t, false
	}
	t, r.queue = r.queue[0], r.queue[1:]
	delete(r.waiting, t)
	r.busy[t] = true
	return t, true
}

func (r *Reactions) give(t total) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, t)
	if r.waiting[t] {
		r.queue = append(r.queue, t) // this worker goes on
	}
}
