package presence

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/liveim/im"
)

// tellEvery is the least time between two deltas of a room. The hub tells them on less often than that.
const tellEvery = 500 * time.Millisecond

// room is a roster and when something is to be done with it.
type room struct {
	id string

	mu     sync.Mutex // guards the fields below
	roster roster
	gone   bool      // nobody is in it: whoever finds it looks for another
	told   uint64    // the version that the room was told
	toldAt time.Time // when

	due   time.Time // guarded by Presence.mu
	place int       // in the agenda, from 1 on; 0: none; guarded by Presence.mu
}

// observe is told by the hub what happens. What a signal says may be over by now, so it is only a hint to look.
func (p *Presence) observe(s im.Signal) {
	if p.closed.Load() {
		return
	}
	switch s.Type {
	case im.SignalJoined, im.SignalLeft:
		p.reconcile(s.Room, s.Session.User().ID, false)
	case im.SignalRefreshed:
		user := s.Session.User().ID
		for _, id := range s.Session.Rooms() {
			p.reconcile(id, user, false)
		}
	}
}

// hidden reports whether a user is no member wherever it is.
func (p *Presence) hidden(u *im.User) bool { return slices.ContainsFunc(p.opts.Except, u.HasRole) }

// reconcile makes what is known of a user in a room what is true. Truth is looked up under the room's lock: of
// two calls the one that comes later knows more, whatever the order of the signals that they were called for. rerank
// asks for the user's rank again.
func (p *Presence) reconcile(id, user string, rerank bool) {
	rank, known := 0, p.opts.Rank == nil
	for {
		r := p.find(id)
		if r == nil {
			if _, in := p.hub.Room(id).Member(user); !in {
				return
			}
			r = p.make(id)
		}
		r.mu.Lock()
		if r.gone {
			r.mu.Unlock()
			continue
		}
		u, in := p.hub.Room(id).Member(user)
		hidden := in && p.hidden(&u)
		e := r.roster.byID[user]
		asks := in && !hidden && !known && (e == nil || rerank || !e.is(&u))
		if !asks {
			if in && !hidden && !known {
				rank = e.rank
			}
			p.settle(r, user, &u, in && !hidden, hidden, rank)
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		rank, known = p.rankOf(id, u), true
	}
}

// settle notes what is true of a user in a room whose lock is held.
func (p *Presence) settle(r *room, user string, u *im.User, in, hidden bool, rank int) {
	now := time.Now()
	switch e := r.roster.byID[user]; {
	case in:
		if m, joined := r.roster.see(u, rank, now); joined {
			p.hooks.add(p.opts.OnJoin, r.id, m)
		}
	case hidden && e != nil:
		r.roster.remove(e, now)
		p.hooks.add(p.opts.OnLeave, r.id, e.member())
	default:
		r.roster.miss(user, now)
	}
	p.plan(r)
}

// rankOf asks the host.
func (p *Presence) rankOf(room string, u im.User) (rank int) {
	defer func() {
		if why := recover(); why != nil {
			rank = 0
			p.opts.Logger.Error("Options.Rank panicked", "room", room, "user", u.ID, "panic", why, "stack", string(debug.Stack()))
		}
	}()
	return p.opts.Rank(room, u)
}

// make returns the room, which is made if it is not there.
func (p *Presence) make(id string) *room {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rooms[id]
	if r == nil {
		r = &room{id: id, roster: roster{of: fmt.Sprintf("%08x", rand.Uint32()), limit: p.opts.Limit, grace: p.opts.LeaveAfter}}
		p.rooms[id] = r
	}
	return r
}

// plan puts a room whose lock is held into the agenda for what is to be done next, or forgets it.
func (p *Presence) plan(r *room) {
	due := r.roster.next()
	if r.roster.v != r.told {
		if tell := r.toldAt.Add(tellEvery); due.IsZero() || tell.Before(due) {
			due = tell
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if due.IsZero() && r.roster.len() == 0 {
		r.gone = true
		if p.rooms[r.id] == r {
			delete(p.rooms, r.id)
		}
	}
	if p.agenda.set(r, due) {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// lookAfter does what is due in a room.
func (p *Presence) lookAfter(r *room, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		return
	}
	for _, m := range r.roster.expire(now) {
		p.hooks.add(p.opts.OnLeave, r.id, m)
	}
	if r.roster.v != r.told && !now.Before(r.toldAt.Add(tellEvery)) {
		r.told, r.toldAt = r.roster.v, now
		d := r.roster.tell(p.opts.Readers == nil, p.opts.Top, now)
		if err := p.hub.Room(r.id).Tell(im.Presence, d); err != nil {
			p.opts.Logger.Error("a room could not be told who is in it", "room", r.id, "error", err)
		}
	}
	p.plan(r)
}
