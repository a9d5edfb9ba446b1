package im

import (
	"container/heap"
	"sync"
	"time"
)

// agenda is when the hub has to look after which rooms: their modes or keys expire, or the owner of a
// key has been away for long enough. There is one timer for all of them. The zero value is ready once run
// is set.
type agenda struct {
	run func(c *core) // looks after a room; it must not block

	mu    sync.Mutex // guards the fields below, and core.due and core.place
	rooms appointments
	timer *time.Timer
}

// set makes at the time for the room, in place of the one that it had. The zero time means never.
func (a *agenda) set(c *core, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := c.place > 0
	c.due = at
	switch {
	case at.IsZero() && was:
		heap.Remove(&a.rooms, c.place-1)
	case at.IsZero():
	case was:
		heap.Fix(&a.rooms, c.place-1)
	default:
		heap.Push(&a.rooms, c)
	}
	a.windLocked()
}

// windLocked sets the timer for the first room.
func (a *agenda) windLocked() {
	if len(a.rooms) == 0 {
		if a.timer != nil {
			a.timer.Stop()
		}
		return
	}
	wait := max(0, time.Until(a.rooms[0].due))
	if a.timer == nil {
		a.timer = time.AfterFunc(wait, a.ring)
	} else {
		a.timer.Reset(wait)
	}
}

// ring looks after the rooms whose time has come.
func (a *agenda) ring() {
	now := time.Now()
	var due []*core
	a.mu.Lock()
	for len(a.rooms) > 0 && !a.rooms[0].due.After(now) {
		due = append(due, heap.Pop(&a.rooms).(*core))
	}
	a.windLocked()
	a.mu.Unlock()
	for _, c := range due {
		a.run(c)
	}
}

// appointments is a heap of rooms with the earliest on top.
type appointments []*core

func (r appointments) Len() int           { return len(r) }
func (r appointments) Less(i, j int) bool { return r[i].due.Before(r[j].due) }
func (r appointments) Swap(i, j int) {
	r[i], r[j] = r[j], r[i]
	r[i].place, r[j].place = i+1, j+1
}

func (r *appointments) Push(x any) {
	c := x.(*core)
	*r = append(*r, c)
	c.place = len(*r)
}

func (r *appointments) Pop() any {
	last := len(*r) - 1
	c := (*r)[last]
	(*r)[last] = nil
	*r = (*r)[:last]
	c.place, c.due = 0, time.Time{}
	return c
}
