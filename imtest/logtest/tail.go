package logtest

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im"
)

// tail is a follower that collects what it is given, and checks that it is
// called as the contract says.
type tail struct {
	f      *fixture
	stop   func()
	inside atomic.Bool
	more   chan struct{} // holds a token if something was delivered

	mu     sync.Mutex // protects the fields below
	events []*im.Event
	err    error
	faults []string
}

// follow follows a room. Unless rapid runs the test, its end stops the tail.
func (f *fixture) follow(room string, after im.Position) *tail {
	f.Helper()
	w := &tail{f: f, more: make(chan struct{}, 1)}
	ctx, cancel := background()
	stop, err := f.log.Follow(ctx, room, after, w.deliver)
	cancel() // ctx bounds the call alone: following must go on
	if err != nil {
		f.Fatalf("Follow of room %q after %s: %v", room, after, err)
	}
	if stop == nil {
		f.Fatalf("Follow returned neither stop nor an error")
	}
	w.stop = stop
	if f.t != nil {
		f.t.Cleanup(stop)
	}
	return w
}

func (w *tail) deliver(events []*im.Event, err error) {
	alone := w.inside.CompareAndSwap(false, true)
	w.mu.Lock()
	switch {
	case !alone:
		w.faults = append(w.faults, "deliver was called by two goroutines at once")
	case w.err != nil:
		w.faults = append(w.faults, "deliver was called again after it was called with an error")
	case err != nil && len(events) > 0:
		w.faults = append(w.faults, "deliver was called with events and an error at once")
	case err == nil && len(events) == 0:
		w.faults = append(w.faults, "deliver was called with neither events nor an error")
	}
	w.events = append(w.events, events...)
	w.err = err
	w.mu.Unlock()
	w.inside.Store(false)
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// await waits until done reports true, and checks what was delivered so far.
func (w *tail) await(what string, done func() bool) {
	w.f.Helper()
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		ok := done()
		n, faults := len(w.events), slices.Clone(w.faults)
		w.mu.Unlock()
		if len(faults) > 0 {
			w.f.Fatalf("%s", faults[0])
		}
		if ok {
			return
		}
		select {
		case <-w.more:
		case <-deadline:
			w.f.Fatalf("a follower waited %v for %s and was given %d events so far", patience, what, n)
		}
	}
}

// until waits for the event with the ID, and returns all that was delivered
// up to it. A case appends a last event and waits for it, so that whatever is
// delivered too often or too late is seen before it.
func (w *tail) until(id string) []*im.Event {
	w.f.Helper()
	n := -1
	w.await("event "+id, func() bool {
		n = slices.IndexFunc(w.events, func(e *im.Event) bool { return e.ID == id })
		return n >= 0 || w.err != nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if n < 0 {
		w.f.Fatalf("a follower waited for event %q, but following ended: %v", id, w.err)
	}
	got := slices.Clone(w.events[:n+1])
	w.f.checkOrder(got, im.Range{})
	return got
}

// end waits for the call with an error, and returns it.
func (w *tail) end() error {
	w.f.Helper()
	var err error
	w.await("the end with an error", func() bool {
		err = w.err
		return err != nil
	})
	return err
}

// count returns how many events were delivered so far.
func (w *tail) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events)
}
