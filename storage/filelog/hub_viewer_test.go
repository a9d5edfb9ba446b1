package filelog_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
)

// viewer keeps what one client was shown.
type viewer struct {
	name string
	news chan struct{} // holds a token when there is more

	mu      sync.Mutex // protects the fields below
	seen    []shown
	reached im.Position
	marked  int // how many of seen there were when the last kill was prepared
	resumes int
	resets  int
	missed  int
}

// shown is an update: without an event, that the client is back, and if it begins anew also where.
type shown struct {
	pos      im.Position
	event    *im.Event
	replayed bool
}

func viewerResumes(v *viewer) int { return v.resumes }
func viewerResets(v *viewer) int  { return v.resets }
func viewerMissed(v *viewer) int  { return v.missed }

// sum adds up what all viewers have counted.
func (k *killed) sum(of func(*viewer) int) (n int) {
	for _, v := range k.viewers {
		v.mu.Lock()
		n += of(v)
		v.mu.Unlock()
	}
	return n
}

// watch runs until the last event has come, or nothing comes any more.
func (v *viewer) watch(t *testing.T, r *client.Room) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	for u := range r.Updates(ctx) {
		if v.take(u) {
			return
		}
	}
	t.Errorf("%s was never shown the last event: %v", v.name, r.Err())
}

// take keeps an update, and reports whether it is the last event.
func (v *viewer) take(u client.Update) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch u := u.(type) {
	case client.Reset:
		v.resets++
		v.seen = append(v.seen, shown{pos: u.Position})
		v.reached = u.Position
	case client.Resumed:
		v.resumes++
		v.missed += u.Missed
		v.seen = append(v.seen, shown{})
	case client.Gap:
		v.missed += u.Missed
	case client.Event:
		v.seen = append(v.seen, shown{pos: u.Pos, event: u.Event, replayed: u.Replayed})
		if !u.Replayed {
			v.reached = u.Pos
		}
	default:
		return false
	}
	select {
	case v.news <- struct{}{}:
	default:
	}
	last := v.seen[len(v.seen)-1].event
	return last != nil && string(last.Body) == lastBody
}

// await waits until the viewer has come to a position. It reports whether that came about.
func (v *viewer) await(at im.Position, patience time.Duration) bool {
	over := time.NewTimer(patience)
	defer over.Stop()
	for {
		v.mu.Lock()
		there := v.reached.Epoch == at.Epoch && v.reached.Seq >= at.Seq
		v.mu.Unlock()
		if there {
			return true
		}
		select {
		case <-v.news:
		case <-over.C:
			return false
		}
	}
}

// mark notes what the viewer has seen before the next kill is prepared.
func (v *viewer) mark() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.marked = len(v.seen)
}

// all is what the viewer has seen by now.
func (v *viewer) all() []shown {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen[:len(v.seen):len(v.seen)]
}

// hadBeforeTheKill reports whether an event came over the connection that the last kill has ended.
func (v *viewer) hadBeforeTheKill(body string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.seen[v.marked:] {
		if s.event == nil {
			return false // it is back
		}
		if string(s.event.Body) == body {
			return true
		}
	}
	return false
}
