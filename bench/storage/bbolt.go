//go:build linux

package storage

import (
	"context"
	"encoding/binary"
	"path/filepath"
	"slices"
	"time"

	"github.com/liveim/im"
	bolt "go.etcd.io/bbolt"
)

// boltStore has a bucket for each room, and the place as the key.
type boltStore struct{ db *bolt.DB }

// openBolt opens with default options, or with those for few writers that wait.
func openBolt(tuned bool) func(string) (Store, error) {
	return func(dir string) (Store, error) {
		db, err := bolt.Open(filepath.Join(dir, "rooms.db"), 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType})
		if err != nil {
			return nil, err
		}
		if tuned {
			db.MaxBatchDelay = 500 * time.Microsecond // of 10 ms
			db.AllocSize = 64 << 20                   // the file grows in steps of this
		}
		return &boltStore{db}, nil
	}
}

func (s *boltStore) Append(_ context.Context, room string, e *im.Event) error {
	return s.db.Batch(func(tx *bolt.Tx) error { return put(tx, room, e) })
}

func (s *boltStore) Fill(room string, events []*im.Event) error {
	return s.db.Update(func(tx *bolt.Tx) error { return put(tx, room, events...) })
}

func put(tx *bolt.Tx, room string, events ...*im.Event) error {
	b, err := tx.CreateBucketIfNotExists([]byte(room))
	if err != nil {
		return err
	}
	b.FillPercent = 1 // keys rise
	for _, e := range events {
		seq, err := b.NextSequence()
		if err != nil {
			return err
		}
		if err := b.Put(binary.BigEndian.AppendUint64(nil, seq), encode(nil, e)); err != nil {
			return err
		}
	}
	return nil
}

func (s *boltStore) Bounds(room string) (first, last uint64, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(room))
		if b == nil {
			return nil
		}
		if k, _ := b.Cursor().First(); k != nil {
			first = seqOf(k)
		}
		if k, _ := b.Cursor().Last(); k != nil {
			last = seqOf(k)
		}
		return nil
	})
	return first, last, err
}

func (s *boltStore) Page(room string, place uint64, n int, newest bool) (page []*im.Event, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(room))
		if b == nil {
			return nil
		}
		c := b.Cursor()
		k, v, next := from(c, place, newest)
		for ; k != nil && len(page) < n; k, v = next() {
			e, err := decode(v, seqOf(k))
			if err != nil {
				return err
			}
			page = append(page, e)
		}
		return nil
	})
	if newest {
		reverse(page)
	}
	return page, err
}

// from finds the first event of a page, and how to go on.
func from(c *bolt.Cursor, place uint64, newest bool) (k, v []byte, next func() (k, v []byte)) {
	if !newest {
		k, v = c.Seek(binary.BigEndian.AppendUint64(nil, place+1))
		return k, v, c.Next
	}
	if k, _ = c.Seek(binary.BigEndian.AppendUint64(nil, place)); k == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	return k, v, c.Prev
}

func (s *boltStore) Close() error { return s.db.Close() }

func reverse(page []*im.Event) { slices.Reverse(page) }
