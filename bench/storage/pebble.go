//go:build linux

package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/liveim/im"
)

// pebbleStore keeps an event under its room's name, a zero and its place. Appending gives the place from a counter in memory,
// without a lookup of the id, and does not see to it that readers see places in order: it does less than a Log.
type pebbleStore struct {
	db    *pebble.DB
	rooms sync.Map // *atomic.Uint64 by name: the last place given
}

// openPebble opens with default options, or with those for many small writes.
func openPebble(tuned bool) func(string) (Store, error) {
	return func(dir string) (Store, error) {
		o := &pebble.Options{Logger: quiet{}}
		if tuned {
			o.MemTableSize = 64 << 20 // so that no flush falls into a short measurement
			o.MemTableStopWritesThreshold = 4
			o.L0CompactionThreshold = 8
			o.CacheSize = 64 << 20
		}
		db, err := pebble.Open(dir, o)
		if err != nil {
			return nil, err
		}
		return &pebbleStore{db: db}, nil
	}
}

// quiet is a logger that says nothing.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(f string, _ ...any) {
	panic("pebble: " + f)
}

func key(room string, seq uint64) []byte {
	k := make([]byte, 0, len(room)+9)
	return binary.BigEndian.AppendUint64(append(append(k, room...), 0), seq)
}

func seqOf(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-8:]) }

// counter is that of a room, which goes on where the store stopped.
func (s *pebbleStore) counter(room string) (*atomic.Uint64, error) {
	if c, ok := s.rooms.Load(room); ok {
		return c.(*atomic.Uint64), nil
	}
	_, last, err := s.Bounds(room)
	if err != nil {
		return nil, err
	}
	fresh := &atomic.Uint64{}
	fresh.Store(last)
	c, _ := s.rooms.LoadOrStore(room, fresh)
	return c.(*atomic.Uint64), nil
}

func (s *pebbleStore) Append(_ context.Context, room string, e *im.Event) error {
	return s.append(room, []*im.Event{e}, pebble.Sync)
}

func (s *pebbleStore) Fill(room string, events []*im.Event) error {
	return s.append(room, events, pebble.NoSync)
}

func (s *pebbleStore) append(room string, events []*im.Event, how *pebble.WriteOptions) error {
	c, err := s.counter(room)
	if err != nil {
		return err
	}
	batch := s.db.NewBatch()
	defer func() { _ = batch.Close() }()
	var buf [512]byte
	for _, e := range events {
		if err := batch.Set(key(room, c.Add(1)), encode(buf[:0], e), nil); err != nil {
			return err
		}
	}
	return batch.Commit(how)
}

func (s *pebbleStore) Bounds(room string) (first, last uint64, err error) {
	it, err := s.iterator(room)
	if err != nil {
		return 0, 0, err
	}
	if it.First() {
		first = seqOf(it.Key())
	}
	if it.Last() {
		last = seqOf(it.Key())
	}
	return first, last, errors.Join(it.Error(), it.Close())
}

func (s *pebbleStore) iterator(room string) (*pebble.Iterator, error) {
	return s.db.NewIter(&pebble.IterOptions{LowerBound: key(room, 0), UpperBound: append([]byte(room), 1)})
}

func (s *pebbleStore) Page(room string, place uint64, n int, newest bool) (page []*im.Event, err error) {
	it, err := s.iterator(room)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Error(), it.Close()) }()
	more, next := it.SeekGE, it.Next
	from := key(room, place+1)
	if newest {
		more, next, from = it.SeekLT, it.Prev, key(room, place)
	}
	for ok := more(from); ok && len(page) < n; ok = next() {
		e, err := decode(it.Value(), seqOf(it.Key()))
		if err != nil {
			return nil, err
		}
		page = append(page, e)
	}
	if newest {
		reverse(page)
	}
	return page, nil
}

// Close flushes what Fill left, and closes.
func (s *pebbleStore) Close() error { return errors.Join(s.db.LogData(nil, pebble.Sync), s.db.Close()) }
