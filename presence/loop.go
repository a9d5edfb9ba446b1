package presence

import (
	"container/heap"
	"time"

	"github.com/liveim/im"
)

// sweepEvery is how often what is known is compared with who is in the rooms. It mends what a signal that was lost has
// left: the hub leaves some out if too many hooks hang.
const sweepEvery = time.Minute

// agenda is a heap of rooms with something to do, the earliest on top. Its owner serialises all calls.
type agenda []*room

// set makes at the time for the room, in place of the one that it had. The zero time means never. It
// reports whether the first time has changed.
func (a *agenda) set(r *room, at time.Time) bool {
	was, first := r.place > 0, a.first()
	r.due = at
	switch {
	case at.IsZero() && was:
		heap.Remove(a, r.place-1)
	case at.IsZero():
	case was:
		heap.Fix(a, r.place-1)
	default:
		heap.Push(a, r)
	}
	return !a.first().Equal(first)
}

// first returns when there is something to do; zero: never.
func (a agenda) first() time.Time {
	if len(a) == 0 {
		return time.Time{}
	}
	return a[0].due
}

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].due.Before(a[j].due) }
func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].place, a[j].place = i+1, j+1
}

// Push is heap.Interface.
func (a *agenda) Push(x any) {
	r := x.(*room)
	*a = append(*a, r)
	r.place = len(*a)
}

// Pop is heap.Interface.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	r := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	r.place, r.due = 0, time.Time{}
	return r
}

// loop looks after the rooms whose time has come.
func (p *Presence) loop() {
	sweep := time.Now().Add(sweepEvery)
	timer := time.NewTimer(sweepEvery)
	defer timer.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-p.wake:
		case <-timer.C:
		}
		now := time.Now()
		for r := p.takeDue(now); r != nil; r = p.takeDue(now) {
			p.lookAfter(r, now)
		}
		if !now.Before(sweep) {
			p.sweep()
			sweep = time.Now().Add(sweepEvery)
		}
		p.mu.Lock()
		next := p.agenda.first()
		p.mu.Unlock()
		if next.IsZero() || sweep.Before(next) {
			next = sweep
		}
		timer.Reset(max(0, time.Until(next)))
	}
}

// takeDue takes a room whose time has come out of the agenda, nil if there is none.
func (p *Presence) takeDue(now time.Time) *room {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := p.agenda.first(); at.IsZero() || at.After(now) {
		return nil
	}
	return heap.Pop(&p.agenda).(*room)
}

// sweep looks again at whoever is not known as the rooms have it.
func (p *Presence) sweep() {
	p.mu.Lock()
	known := make(map[string]bool, len(p.rooms))
	for id := range p.rooms {
		known[id] = true
	}
	p.mu.Unlock()
	for r := range p.hub.Rooms() {
		if r.Len() > 0 {
			known[r.ID()] = true
		}
	}
	for id := range known {
		select {
		case <-p.quit:
			return
		default:
		}
		for _, user := range p.differences(p.hub.Room(id)) {
			p.reconcile(id, user, false)
		}
	}
}

// differences returns the users of a room of whom something else is known than is.
func (p *Presence) differences(hubRoom *im.Room) (users []string) {
	there := map[string]im.User{}
	for u := range hubRoom.Members() {
		if !p.hidden(&u) {
			there[u.ID] = u
		}
	}
	p.look(hubRoom.ID(), func(r *roster) {
		for id, e := range r.byID {
			u, ok := there[id]
			if ok == (e.gone != 0) || ok && !e.is(&u) {
				users = append(users, id)
			}
			delete(there, id)
		}
	})
	for id := range there {
		users = append(users, id)
	}
	return users
}
