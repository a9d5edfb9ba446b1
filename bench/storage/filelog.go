//go:build linux

package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog"
)

// logStore is an im.Log as a Store.
type logStore struct {
	log   im.Log
	close func() error
	syncs func() (n uint64, took time.Duration)
}

// syncer is a Store that counts its fsyncs.
type syncer interface {
	Syncs() (n uint64, took time.Duration)
}

func (s *logStore) Syncs() (n uint64, took time.Duration) { return s.syncs() }

func openFileLog(dir string) (Store, error) {
	l, err := filelog.Open(dir, &filelog.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	syncs := func() (uint64, time.Duration) {
		stats := l.Stats()
		return stats.Syncs, stats.SyncTime
	}
	return &logStore{log: l, syncs: syncs, close: func() error {
		if err := l.Close(); err != nil {
			return err
		}
		if places := l.Damage(); len(places) > 0 {
			return fmt.Errorf("the log is damaged in %d places, first %+v", len(places), places[0])
		}
		return nil
	}}, nil
}

func (s *logStore) Append(ctx context.Context, room string, e *im.Event) error {
	events := [1]*im.Event{e}
	return s.append(ctx, room, events[:])
}

func (s *logStore) Fill(room string, events []*im.Event) error {
	return s.append(context.Background(), room, events)
}

func (s *logStore) append(ctx context.Context, room string, events []*im.Event) error {
	out, err := s.log.Append(ctx, room, events)
	for i := range out {
		if out[i].Status != im.Stored {
			return errors.New("an event that is new was not stored: " + out[i].Status.String())
		}
	}
	return err
}

func (s *logStore) Bounds(room string) (first, last uint64, err error) {
	ctx := context.Background()
	oldest, err := s.log.Read(ctx, room, im.Range{Max: 1})
	if err != nil || len(oldest.Events) == 0 {
		return 0, 0, err
	}
	newest, err := s.log.Read(ctx, room, im.Range{Max: 1, Newest: true})
	if err != nil || len(newest.Events) == 0 {
		return 0, 0, err
	}
	return oldest.Events[0].Pos.Seq, newest.Events[0].Pos.Seq, nil
}

func (s *logStore) Page(room string, place uint64, n int, newest bool) ([]*im.Event, error) {
	ctx := context.Background()
	head, err := s.log.Head(ctx, room) // for the epoch
	if err != nil {
		return nil, err
	}
	r, pos := im.Range{Max: n, Newest: newest}, im.Position{Epoch: head.Epoch, Seq: place}
	if newest {
		r.Before = pos
	} else {
		r.After = pos
	}
	page, err := s.log.Read(ctx, room, r)
	return page.Events, err
}

func (s *logStore) Close() error { return s.close() }
