package filelog

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest/logtest"
	"github.com/liveim/im/storage/filelog/internal/disk/disktest"
)

// openFS opens a log on a file system in memory, and has the test close it.
func openFS(t testing.TB, fsys *disktest.FS, o Options) *Log {
	t.Helper()
	o.fs = fsys
	return openDir(t, "log", o)
}

func gift(id string) *im.Event    { return logtest.Event(im.Gift, im.Critical, id, `{"n":1}`) }
func danmaku(id string) *im.Event { return logtest.Event(im.Danmaku, im.Volatile, id, `"hi"`) }

// must appends events of which none may be there yet, and returns their positions.
func must(t testing.TB, l *Log, room string, events ...*im.Event) []uint64 {
	t.Helper()
	out, err := l.Append(context.Background(), room, events)
	if err != nil {
		t.Fatalf("Append to room %q: %v", room, err)
	}
	seqs := make([]uint64, len(out))
	for i, a := range out {
		if a.Status != im.Stored {
			t.Fatalf("event %q is %s, want stored", events[i].ID, a.Status)
		}
		seqs[i] = a.Pos.Seq
	}
	return seqs
}

// all reads all that a room keeps.
func all(t testing.TB, l *Log, room string) []*im.Event {
	t.Helper()
	p, err := l.Read(context.Background(), room, im.Range{Max: 1 << 30})
	if err != nil {
		t.Fatalf("Read of room %q: %v", room, err)
	}
	return p.Events
}

// ids are the IDs of events, in their order.
func ids(events []*im.Event) string {
	s := ""
	for _, e := range events {
		s += e.ID + " "
	}
	return s
}

// numbered is n names that begin with prefix.
func numbered(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return names
}

// tailing collects what a follower is given.
type tailing struct {
	mu     sync.Mutex // protects the fields below
	events []*im.Event
	err    error
}

func (w *tailing) deliver(events []*im.Event, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, events...)
	if err != nil {
		w.err = err
	}
}

func (w *tailing) got() []*im.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*im.Event(nil), w.events...)
}

func follow(t testing.TB, l *Log, room string, after im.Position) *tailing {
	t.Helper()
	w := &tailing{}
	stop, err := l.Follow(context.Background(), room, after, w.deliver)
	if err != nil {
		t.Fatalf("Follow of room %q: %v", room, err)
	}
	t.Cleanup(stop)
	return w
}

// refused checks that an append was refused before any effect.
func refused(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, im.ErrNotStored) {
		t.Fatalf("Append returned error %v, want one that wraps ErrNotStored", err)
	}
}

// pass lets time go by, in a bubble.
func pass(d time.Duration) { <-time.After(d) }

// await waits until something is so.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("10 s passed and it is not so that %s", what)
		}
		runtime.Gosched()
	}
}
