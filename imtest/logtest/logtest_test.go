package logtest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest/logtest"
)

// clock is a wall clock that tests move.
type clock struct {
	mu  sync.Mutex // protects now
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

func open(t *testing.T, o *im.MemoryLogOptions) *im.MemoryLog {
	l, err := im.NewMemoryLog(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestMemoryLog runs every part of the suite, the harness's options included.
func TestMemoryLog(t *testing.T) {
	const age = 10 * time.Minute
	same := func(_ *testing.T, l im.Log) im.Log { return l }
	logtest.Harness{
		Open:   func(t *testing.T) im.Log { return open(t, nil) },
		Reopen: same, // a memory log has no restarts; the events are there all the same
		Crash:  same,
		Lose:   func(_ *testing.T, l im.Log, room string) { l.(*im.MemoryLog).Reset(room) },
		Retention: &logtest.Retention{
			Open: func(t *testing.T) (im.Log, func(time.Duration)) {
				c := &clock{now: time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)}
				l := open(t, &im.MemoryLogOptions{KeepAge: age, KeepEvents: 15, KeepVolatile: 10, DedupEvents: 20, Now: c.Now})
				return l, func(d time.Duration) {
					if err := l.Trim(context.Background(), c.advance(d)); err != nil {
						t.Errorf("Trim: %v", err)
					}
				}
			},
			Events: 15, Volatile: 10, Age: age,
		},
	}.Run(t)
}
