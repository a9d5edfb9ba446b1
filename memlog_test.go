package im_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest/logtest"
)

func TestMemoryLogConformance(t *testing.T) {
	logtest.Harness{
		Open: func(t *testing.T) im.Log { return openMemoryLog(t, nil) },
		Lose: func(_ *testing.T, l im.Log, room string) { l.(*im.MemoryLog).Reset(room) },
		Retention: &logtest.Retention{
			Open: func(t *testing.T) (im.Log, func(time.Duration)) {
				c := newTestClock()
				l := openMemoryLog(t, &im.MemoryLogOptions{KeepEvents: 40, KeepVolatile: 10, DedupEvents: 50, Now: c.Now})
				return l, func(d time.Duration) { c.trimAfter(t, l, d) }
			},
			Events: 40, Volatile: 10, Age: 10 * time.Minute,
		},
	}.Run(t)
}

// TestExampleLogConformance shows that the doc comment of Log is enough to
// write one.
func TestExampleLogConformance(t *testing.T) {
	logtest.Run(t, func(*testing.T) im.Log { return newMapLog() })
}

// testClock is a wall clock that tests move.
type testClock struct {
	mu  sync.Mutex // protects now
	now time.Time
}

func newTestClock() *testClock { return &testClock{now: time.Date(2026, 7, 1, 20, 0, 0, 0, time.UTC)} }

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *testClock) trimAfter(t testing.TB, l *im.MemoryLog, d time.Duration) {
	t.Helper()
	c.advance(d)
	if err := l.Trim(t.Context(), c.Now()); err != nil {
		t.Fatalf("Trim: %v", err)
	}
}

func openMemoryLog(t testing.TB, o *im.MemoryLogOptions) *im.MemoryLog {
	t.Helper()
	l, err := im.NewMemoryLog(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustAppend(t testing.TB, l im.Log, room string, events ...*im.Event) []im.Appended {
	t.Helper()
	out, err := l.Append(t.Context(), room, events)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return out
}

// keptOf returns how many durable and volatile events a room keeps.
func keptOf(t testing.TB, l im.Log, room string) (durable, volatile int) {
	t.Helper()
	p, err := l.Read(t.Context(), room, im.Range{Max: 1 << 20})
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	for _, e := range p.Events {
		if e.Class == im.Volatile {
			volatile++
		} else {
			durable++
		}
	}
	return durable, volatile
}

func TestMemoryLogOptionsNameTheFieldAndItsBound(t *testing.T) {
	for field, o := range map[string]im.MemoryLogOptions{
		"KeepAge": {KeepAge: -1}, "KeepEvents": {KeepEvents: -1}, "KeepVolatile": {KeepVolatile: -1},
		"DedupAge": {DedupAge: -1}, "DedupEvents": {DedupEvents: -1},
	} {
		_, err := im.NewMemoryLog(&o)
		if err == nil || !strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), "want a positive") {
			t.Errorf("negative %s: error %v, want one that names the field and its bound", field, err)
		}
	}
}

func TestMemoryLogResetTellsFollowers(t *testing.T) {
	l := openMemoryLog(t, nil)
	var got []string
	follow := func(room string, after im.Position) {
		stop, err := l.Follow(t.Context(), room, after, func(events []*im.Event, err error) {
			for _, e := range events {
				got = append(got, room+" "+e.ID)
			}
			if errors.Is(err, im.ErrGap) {
				got = append(got, room+" gap")
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
	}
	follow("a", im.Position{})
	follow("b", im.Position{})
	mustAppend(t, l, "a", logtest.Events(im.Normal, "1")...)
	head, err := l.Head(t.Context(), "never written")
	if err != nil {
		t.Fatal(err)
	}
	l.Reset("a")
	l.Reset("never written")
	mustAppend(t, l, "a", logtest.Events(im.Normal, "2")...)
	mustAppend(t, l, "b", logtest.Events(im.Normal, "3")...)
	if want := []string{"a 1", "a gap", "b 3"}; !slices.Equal(got, want) {
		t.Errorf("followers got %q, want %q", got, want)
	}
	if now, _ := l.Head(t.Context(), "never written"); now.Epoch == head.Epoch {
		t.Errorf("Reset of a room that is empty leaves epoch %s: it begins a new one", now.Epoch)
	}
}

func TestMemoryLogFollowerPanics(t *testing.T) {
	for _, when := range []string{"stored", "new", "told"} {
		t.Run(when, func(t *testing.T) {
			l := openMemoryLog(t, nil)
			if when == "stored" {
				mustAppend(t, l, "42", logtest.Events(im.Normal, "0")...)
			}
			var told []error
			var got []string
			follow := func(deliver func([]*im.Event, error)) {
				stop, err := l.Follow(t.Context(), "42", im.Position{}, deliver)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(stop)
			}
			follow(func(_ []*im.Event, err error) {
				if err == nil || when == "told" {
					told = append(told, err)
					panic("bad follower")
				}
				told = append(told, err)
			})
			follow(func(events []*im.Event, err error) {
				for _, e := range events {
					got = append(got, e.ID)
				}
			})
			mustAppend(t, l, "42", logtest.Events(im.Normal, "1")...)
			mustAppend(t, l, "42", logtest.Events(im.Normal, "2")...)
			if want := []string{"0", "1", "2"}; !slices.Equal(got, want[len(want)-len(got):]) || len(got) < 2 {
				t.Errorf("the other follower got %q", got)
			}
			if len(told) != 2 || told[1] == nil || !strings.Contains(told[1].Error(), "bad follower") {
				t.Errorf("the follower that panicked was told %v, want nil and then an error with the panic", told)
			}
		})
	}
}

// Append, Read, Follow, Trim and Reset of the same rooms at once, for -race.
func TestMemoryLogConcurrency(t *testing.T) {
	l := openMemoryLog(t, &im.MemoryLogOptions{KeepEvents: 20, KeepVolatile: 5, KeepAge: time.Nanosecond, DedupAge: time.Nanosecond})
	ctx := context.Background()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 0))
			for i := range 3000 {
				room := fmt.Sprint(rng.IntN(3))
				switch rng.IntN(12) {
				case 0:
					if err := l.Trim(ctx, time.Now()); err != nil {
						t.Errorf("Trim: %v", err)
					}
				case 1:
					l.Reset(room)
				case 2, 3, 4:
					followBriefly(t, l, room)
				case 5:
					if _, err := l.Read(ctx, room, im.Range{Newest: true}); err != nil {
						t.Errorf("Read: %v", err)
					}
				default:
					class := []im.Class{im.Normal, im.Volatile}[i%2]
					if _, err := l.Append(ctx, room, logtest.Events(class, fmt.Sprint(g, "-", i))); err != nil {
						t.Errorf("Append: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
}

// followBriefly checks the order of what it is given.
func followBriefly(t *testing.T, l *im.MemoryLog, room string) {
	var last im.Position
	ended := false
	stop, err := l.Follow(context.Background(), room, im.Position{}, func(events []*im.Event, err error) {
		if ended {
			t.Errorf("delivery after the end")
		}
		ended = err != nil
		for _, e := range events {
			if !last.IsZero() && (e.Pos.Epoch != last.Epoch || e.Pos.Seq <= last.Seq) {
				t.Errorf("%s was delivered after %s", e.Pos, last)
			}
			last = e.Pos
		}
	})
	if err != nil {
		t.Errorf("Follow: %v", err)
		return
	}
	if _, err := l.Append(context.Background(), room, logtest.Events(im.Normal, "mine")); err != nil {
		t.Errorf("Append: %v", err)
	}
	stop()
}
