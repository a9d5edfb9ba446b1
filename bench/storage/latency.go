//go:build linux

package storage

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/bench/load"
	"golang.org/x/sys/unix"
)

// behind is how many events may wait for their acknowledgement before a store is said not to keep up.
const behind = 20_000

// measureFsync writes one event n times, each time with an fdatasync, and returns the median and what one in a hundred exceeds.
func measureFsync(dir string, n int) (p50, p99 time.Duration, err error) {
	s, err := openRaw(false)(dir)
	if err != nil {
		return 0, 0, err
	}
	var h load.Histogram
	m := newMaker(0)
	for range n {
		e, began := m.event(), time.Now()
		if err := s.Append(context.Background(), "", e); err != nil {
			return 0, 0, errors.Join(err, s.Close())
		}
		h.Record(time.Since(began))
	}
	return h.Quantile(0.5), h.Quantile(0.99), s.Close()
}

// measureLatency has events come at a rate, whatever becomes of those before, and returns how long they waited from the
// moment at which they were due until they were acknowledged. What comes in the first part, warm, is not counted.
func measureLatency(p Peer, dir string, rate int, warm, lasts time.Duration) (*load.Histogram, error) {
	s, err := p.Open(dir)
	if err != nil {
		return nil, err
	}
	l := &openLoop{store: s, rooms: roomNames(p.Rooms), gap: time.Second / time.Duration(rate), warm: warm}
	err = l.run(int((warm + lasts) / l.gap))
	if err := errors.Join(err, s.Close()); err != nil {
		return nil, err
	}
	if p.Raw {
		return &l.waited, nil
	}
	return &l.waited, verify(p, dir, l.acknowledged.Load())
}

// openLoop sends events when they are due.
type openLoop struct {
	store Store
	rooms []string
	gap   time.Duration
	warm  time.Duration
	began time.Time

	acknowledged atomic.Int64

	mu     sync.Mutex // protects the fields below
	waited load.Histogram
	failed error
}

func (l *openLoop) run(n int) error {
	runtime.LockOSThread() // the timers of the runtime have a grain of a millisecond
	defer runtime.UnlockOSThread()
	m := newMaker(0)
	events := m.events(n)
	var all sync.WaitGroup
	defer all.Wait()
	l.began = time.Now()
	for i := 0; i < n; {
		sleepUntil(l.began.Add(time.Duration(i) * l.gap))
		for now := time.Since(l.began); i < n && time.Duration(i)*l.gap <= now; i++ {
			number := i
			all.Go(func() { l.send(number, events[number]) })
		}
		if int64(i)-l.acknowledged.Load() > behind {
			return fmt.Errorf("it does not keep up: %d events wait after %v", behind, time.Since(l.began).Round(time.Millisecond))
		}
	}
	all.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

func (l *openLoop) send(i int, e *im.Event) {
	err := l.store.Append(context.Background(), l.rooms[i%len(l.rooms)], e)
	due := time.Duration(i) * l.gap
	took := time.Since(l.began) - due
	l.acknowledged.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.failed = err
	case due >= l.warm:
		l.waited.Record(took)
	}
}

func sleepUntil(t time.Time) {
	if d := time.Until(t); d > 0 {
		spec := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&spec, nil) // cut short by a signal, the loop comes back
	}
}
