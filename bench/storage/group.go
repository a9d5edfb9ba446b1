//go:build linux

package storage

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im"
)

// groupStore is the least that a group commit can be: one goroutine writes all that waits, syncs once, and wakes those who wait.
// It has no order of rooms, no ids, no readers, and no checksums.
type groupStore struct {
	raw  *rawStore
	kick chan struct{}
	done chan struct{}

	syncs    atomic.Uint64
	syncTime atomic.Int64

	mu      sync.Mutex // protects waiting
	waiting []waiter
}

func (s *groupStore) Syncs() (n uint64, took time.Duration) {
	return s.syncs.Load(), time.Duration(s.syncTime.Load())
}

type waiter struct {
	event  *im.Event
	answer chan error
}

// openGroup has a file that grows, or one that was written before.
func openGroup(filled bool) func(string) (Store, error) {
	return func(dir string) (Store, error) {
		raw, err := openRaw(filled)(dir)
		if err != nil {
			return nil, err
		}
		s := &groupStore{raw: raw.(*rawStore), kick: make(chan struct{}, 1), done: make(chan struct{})}
		go s.commit()
		return s, nil
	}
}

func (s *groupStore) commit() {
	defer close(s.done)
	var taken []waiter
	var events []*im.Event
	for range s.kick {
		s.mu.Lock()
		taken, s.waiting = s.waiting, taken[:0]
		s.mu.Unlock()
		if len(taken) == 0 {
			continue
		}
		events = events[:0]
		for _, w := range taken {
			events = append(events, w.event)
		}
		began := time.Now()
		err := s.raw.Fill("", events)
		s.syncs.Add(1)
		s.syncTime.Add(int64(time.Since(began)))
		for _, w := range taken {
			w.answer <- err
		}
	}
}

func (s *groupStore) Append(_ context.Context, _ string, e *im.Event) error {
	w := waiter{e, make(chan error, 1)}
	s.mu.Lock()
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	select {
	case s.kick <- struct{}{}:
	default:
	}
	return <-w.answer
}

func (s *groupStore) Fill(room string, events []*im.Event) error { return s.raw.Fill(room, events) }

func (s *groupStore) Bounds(room string) (first, last uint64, err error) { return s.raw.Bounds(room) }

func (s *groupStore) Page(room string, place uint64, n int, newest bool) ([]*im.Event, error) {
	return s.raw.Page(room, place, n, newest)
}

// Close comes after the last Append has returned.
func (s *groupStore) Close() error {
	close(s.kick)
	<-s.done
	return s.raw.Close()
}
