//go:build linux

package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// measureAppends has writers append one event after the other, each when the one before is acknowledged, and returns how
// many events a second became durable, and what the store tells of its fsyncs. Afterwards the store is opened again, and must have them all.
func measureAppends(p Peer, dir string, writers int, warm, lasts time.Duration) (values map[string]float64, err error) {
	s, err := p.Open(dir)
	if err != nil {
		return nil, err
	}
	var acknowledged, before int64
	var took time.Duration
	if p.Blocks {
		acknowledged, took, err = rawAppends(s, writers, lasts)
	} else {
		before, acknowledged, took, err = storeAppends(s, roomNames(p.Rooms), writers, warm, lasts)
	}
	column := writersColumn(writers)
	values = map[string]float64{column: float64(acknowledged) / took.Seconds()}
	if c, ok := s.(syncer); ok {
		n, took := c.Syncs()
		values[column+", events for an fsync"] = float64(before+acknowledged) / float64(n)
		values[column+", fsync, ms"] = millis(took) / float64(n)
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return nil, err
	}
	if !p.Raw {
		if err := verify(p, dir, before+acknowledged); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// rawAppends is one writer that has as many events in each write as there would be writers.
func rawAppends(s Store, events int, lasts time.Duration) (n int64, took time.Duration, err error) {
	batch := newMaker(0).events(events)
	began := time.Now()
	for time.Since(began) < lasts && err == nil {
		err = s.Fill("", batch)
		n += int64(events)
	}
	return n, time.Since(began), err
}

// storeAppends returns how many events were acknowledged before the measurement began, and how many in it.
func storeAppends(s Store, rooms []string, writers int, warm, lasts time.Duration) (before, counted int64, took time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var total atomic.Int64
	var stop atomic.Bool
	var all sync.WaitGroup
	events := newMaker(0).events(4096) // made before: otherwise that takes more than appending
	for w := range writers {
		all.Go(func() {
			prefix := "w" + strconv.Itoa(w) + "-" + events[w].Digest[:8] + "-"
			id := []byte(prefix)
			for i := w; !stop.Load(); i++ {
				e := *events[i%len(events)]
				id = strconv.AppendInt(id[:len(prefix)], int64(i), 10)
				e.ID, e.At = string(id), time.Now()
				if err := s.Append(ctx, rooms[i%len(rooms)], &e); err != nil {
					cancel(err)
					return
				}
				total.Add(1)
			}
		})
	}
	wait(ctx, warm)
	before, began := total.Load(), time.Now()
	wait(ctx, lasts)
	counted, took = total.Load()-before, time.Since(began)
	stop.Store(true)
	all.Wait()
	before = total.Load() - counted // what came in while the writers stopped is to be found as well
	return before, counted, took, context.Cause(ctx)
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// verify opens a store again and counts.
func verify(p Peer, dir string, want int64) error {
	s, err := p.Open(dir)
	if err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	n, err := count(s, roomNames(p.Rooms))
	if err := errors.Join(err, s.Close()); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if int64(n) != want {
		return fmt.Errorf("%d events were acknowledged, and %d are there", want, n)
	}
	return nil
}

// inDirectory calls f with a new directory below parent, which is removed afterwards.
func inDirectory(parent string, f func(dir string) error) error {
	dir, err := os.MkdirTemp(parent, "store-")
	if err != nil {
		return err
	}
	return errors.Join(f(dir), os.RemoveAll(dir))
}
