package filelog

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest/logtest"
)

// tick is a wall clock that tests move.
type tick struct {
	mu  sync.Mutex // protects now
	now time.Time
}

func newTick() *tick { return &tick{now: time.Now()} }

func (c *tick) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *tick) advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// quiet drops what the log says.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// openDir opens a log in a directory on the machine's disk, and has the test close it.
func openDir(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	if o.Logger == nil {
		o.Logger = quiet()
	}
	l, err := Open(dir, &o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// crash ends a log as the end of its process does: what waits is not written, and nothing says that it was closed.
func (l *Log) crash() {
	l.crashing.Store(true)
	l.Close()
}

func TestConformance(t *testing.T) {
	for _, size := range []struct {
		name  string
		bytes int64 // of a segment
	}{{"OneSegment", 0}, {"ManySegments", 2 << 10}} {
		t.Run(size.name, func(t *testing.T) {
			logtest.Harness{
				Open: func(t *testing.T) im.Log { return openDir(t, t.TempDir(), Options{SegmentBytes: size.bytes}) },
				Reopen: func(t *testing.T, old im.Log) im.Log {
					l := old.(*Log)
					if err := l.Close(); err != nil {
						t.Fatalf("Close: %v", err)
					}
					return openDir(t, l.dir, Options{SegmentBytes: size.bytes})
				},
				Crash: func(t *testing.T, old im.Log) im.Log {
					l := old.(*Log)
					l.crash()
					return openDir(t, l.dir, Options{SegmentBytes: size.bytes})
				},
				Retention: retention(size.bytes),
			}.Run(t)
		})
	}
}

func retention(segmentBytes int64) *logtest.Retention {
	const age = 10 * time.Minute
	return &logtest.Retention{
		Open: func(t *testing.T) (im.Log, func(time.Duration)) {
			c := newTick()
			l := openDir(t, t.TempDir(), Options{KeepAge: age, KeepEvents: 15, KeepVolatile: 10, SegmentBytes: segmentBytes, Now: c.Now})
			return l, func(d time.Duration) {
				if err := l.Trim(context.Background(), c.advance(d)); err != nil {
					t.Errorf("Trim: %v", err)
				}
			}
		},
		Events: 15, Volatile: 10, Age: age,
	}
}
