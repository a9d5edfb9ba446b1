package presence

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im"
)

// Options are what a host may choose. The zero value is usable; every field says what its zero value
// means. New copies them.
type Options struct {
	// Limit is how many members a room has at most before it is large. 1 to 10,000; defaults to 1000.
	Limit int
	// LeaveAfter is for how long a user stays a member who has no session in the room any more. 1 ms to
	// 10 min; defaults to 5 s. It may be a twentieth of a second longer, so that many leave together.
	LeaveAfter time.Duration
	// Except are roles whose users are no members: bots, and staff that does not want to be seen.
	Except []string
	// Readers are the roles whose users may read the roster, if they are in the room. Nil means everybody. If it is set,
	// rooms are told the number of members only, since everybody hears what a room is told.
	Readers im.Senders
	// Rank says how high a user stands in a room, above 0 for those who may be in the top. It is asked when the user
	// comes in, when the user's name or roles change, and by Refresh. It must not block; a panic of it counts as 0. Nil
	// means that there is no top.
	Rank func(room string, u im.User) int
	// Top is how many of those of highest rank clients are told. 1 to 50; defaults to 10.
	Top int

	// OnJoin and OnLeave are told of users who become members, and who are members no more. Nil means that nobody is.
	OnJoin, OnLeave func(ctx context.Context, room string, m Member)
	// HookTimeout is how long OnJoin and OnLeave may take; then their context ends and the next call begins. 1 ms to
	// 1 h; defaults to 10 s.
	HookTimeout time.Duration
	// Logger gets panics of the host's functions. Nil means that of the hub.
	Logger *slog.Logger
}

func (o *Options) complete(hub *im.Hub) error {
	for _, n := range []struct {
		name               string
		field              *int
		standard, min, max int
	}{
		{"Limit", &o.Limit, 1000, 1, 10_000},
		{"Top", &o.Top, 10, 1, 50},
	} {
		if *n.field == 0 {
			*n.field = n.standard
		}
		if *n.field < n.min || *n.field > n.max {
			return fmt.Errorf("presence: Options.%s is %d: want %d to %d, or 0 for %d", n.name, *n.field, n.min, n.max, n.standard)
		}
	}
	for _, d := range []struct {
		name     string
		field    *time.Duration
		standard time.Duration
		max      time.Duration
	}{
		{"LeaveAfter", &o.LeaveAfter, 5 * time.Second, 10 * time.Minute},
		{"HookTimeout", &o.HookTimeout, 10 * time.Second, time.Hour},
	} {
		if *d.field == 0 {
			*d.field = d.standard
		}
		if *d.field < time.Millisecond || *d.field > d.max {
			return fmt.Errorf("presence: Options.%s is %v: want 1ms to %v, or 0 for %v", d.name, *d.field, d.max, d.standard)
		}
	}
	o.Except, o.Readers = slices.Clone(o.Except), slices.Clone(o.Readers)
	if o.Logger == nil {
		o.Logger = hub.Logger()
	}
	return nil
}

// Presence knows who is in the rooms of one hub. Make it with [New]; all methods are safe for use by many
// goroutines, and cost nothing for a room in which nobody is. End it with [Presence.Close].
type Presence struct {
	hub    *im.Hub
	opts   Options
	hooks  hooks
	closed atomic.Bool
	wake   chan struct{} // holds a value: the agenda has a new first room
	quit   chan struct{}
	ended  sync.WaitGroup

	mu     sync.Mutex // guards the fields below, and room.due and room.place; taken within room.mu, never around it
	rooms  map[string]*room
	agenda agenda
}

// New returns the Presence of a hub, which must not serve yet. There is one at most for each hub: it registers the operation
// "presence.list". A hub that serves already, or has a Presence, makes it panic, as Hub.OnSignal and Hub.HandleQuery do. opts may be nil.
func New(hub *im.Hub, opts *Options) (*Presence, error) {
	if hub == nil {
		return nil, errors.New("presence: New needs a hub")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if err := o.complete(hub); err != nil {
		return nil, err
	}
	p := &Presence{
		hub: hub, opts: o, rooms: map[string]*room{},
		wake: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	p.hooks.begin(&p.opts)
	hub.HandleQuery(opList, p.list)
	hub.OnSignal(p.observe)
	p.ended.Go(p.loop)
	return p, nil
}

// Close ends it and waits for its goroutines, but not for hooks that hang. Calls of hooks that have not
// begun are left out. What is known of rooms stays as it is. It may be called more than once, before or after the
// hub is closed.
func (p *Presence) Close() error {
	if !p.closed.Swap(true) {
		close(p.quit)
	}
	p.ended.Wait()
	p.hooks.end()
	return nil
}

// Member is a user who is in a room.
type Member struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Rank is what Options.Rank said last.
	Rank int `json:"rank,omitempty"`
	// Roles are those of one of the user's sessions. Clients do not see them. Do not change them.
	Roles []string `json:"-"`
	// Since is when the user came in, to the millisecond. Clients do not see it.
	Since time.Time `json:"-"`
}

// Page is a part of a room's roster.
type Page struct {
	// Of names the roster that Version belongs to: versions of two rosters tell nothing about each other.
	Of      string `json:"of"`
	Version uint64 `json:"v"`
	// Count is how many members there are.
	Count int `json:"count"`
	// Large says that the room is a large one: clients get no Members then.
	Large bool `json:"large,omitempty"`
	// Members are in the order in which they came in.
	Members []Member `json:"members"`
	// Top are those of highest rank, the highest first.
	Top []Member `json:"top,omitempty"`
	// Next is what to ask for as after to go on; 0: this was the last page.
	Next uint64 `json:"next,omitempty"`
}

// Count returns how many members the room has: users who are in it on this node, and those who left it less than
// Options.LeaveAfter ago.
func (p *Presence) Count(room string) (n int) {
	p.look(room, func(r *roster) { n = r.len() })
	return n
}

// Member returns a member of the room, and false if the user is none.
func (p *Presence) Member(room, userID string) (m Member, ok bool) {
	p.look(room, func(r *roster) {
		var e *entry
		if e, ok = r.byID[userID]; ok {
			m = e.member()
		}
	})
	return m, ok
}

// Members yields the members of the room in the order in which they came in, also of a large one. Who
// comes or leaves meanwhile may be left out.
func (p *Presence) Members(room string) iter.Seq[Member] {
	return func(yield func(Member) bool) {
		for after := uint64(0); ; {
			page := p.Page(room, after, 500)
			for _, m := range page.Members {
				if !yield(m) {
					return
				}
			}
			if after = page.Next; after == 0 {
				return
			}
		}
	}
}

// Page returns up to max members who came in after the place that an earlier page named as Next; 0 is the beginning. It
// has members of a large room as well.
func (p *Presence) Page(room string, after uint64, max int) (page Page) {
	p.look(room, func(r *roster) { page = r.page(after, max, p.opts.Top) })
	return page
}

// Top returns those of highest rank in the room, up to Options.Top, the highest first.
func (p *Presence) Top(room string) (top []Member) {
	p.look(room, func(r *roster) { top = slices.Clone(r.top(p.opts.Top)) })
	return top
}

// Refresh asks again what the rank of a user in a room is. The room is told if it is in its top. Names and roles
// need no Refresh: those of a new token are known at once.
func (p *Presence) Refresh(room, userID string) {
	if p.find(room) != nil {
		p.reconcile(room, userID, true)
	}
}

// Stats are counts since New.
type Stats struct {
	Rooms int // that have members now
	// Dropped is how many calls of hooks were left out because too many waited or hung.
	Dropped uint64
}

// Stats returns counts for monitoring.
func (p *Presence) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Rooms: len(p.rooms), Dropped: p.hooks.dropped.Load()}
}

// look calls f with the roster of a room, if there is one.
func (p *Presence) look(id string, f func(*roster)) {
	if r := p.find(id); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		f(&r.roster)
	}
}

func (p *Presence) find(id string) *room {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rooms[id]
}
