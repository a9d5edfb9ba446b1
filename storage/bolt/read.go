package bolt

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"go.etcd.io/bbolt"
	bberrors "go.etcd.io/bbolt/errors"

	"github.com/liveim/im/ledger"
)

// Get implements [ledger.Ledger].
func (l *Ledger) Get(ctx context.Context, key string) (ledger.Entry, error) {
	var e ledger.Entry
	err := l.view(ctx, func(tx *bbolt.Tx) error {
		k := []byte(key)
		value := tx.Bucket(entryBucket).Get(k)
		if value == nil {
			return ledger.ErrNotFound
		}
		r, err := decode(k, value)
		if err != nil {
			return err
		}
		e = r.entry()
		return nil
	})
	if err != nil {
		return ledger.Entry{}, err
	}
	return e, nil
}

// Due implements [ledger.Ledger].
func (l *Ledger) Due(ctx context.Context, now time.Time, max int) ([]ledger.Entry, error) {
	if max < 1 {
		return nil, fmt.Errorf("%w: Due with max %d; ask for at least 1", ledger.ErrInvalid, max)
	}
	var out []ledger.Entry
	err := l.view(ctx, func(tx *bbolt.Tx) error {
		entries, at := tx.Bucket(entryBucket), int64(math.MaxInt64)
		if now.Year() <= 9999 { // later ones may have no UnixMicro
			at = now.UnixMicro()
		}
		c := tx.Bucket(dueBucket).Cursor()
		for k, _ := c.First(); k != nil && len(out) < max; k, _ = c.Next() {
			if len(k) < 8 {
				return fmt.Errorf("%w: the index of what is due has a key %.80q", ErrCorrupt, k)
			}
			if int64(binary.BigEndian.Uint64(k)) > at {
				break
			}
			key := k[8:]
			r, err := decode(key, entries.Get(key))
			if err != nil {
				return err
			}
			out = append(out, r.entry())
			if err := ended(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// List implements [ledger.Ledger]. A query that names a User goes through the entries of that user, one that names a
// Room and no User through those of the room, and others through all that have the prefix.
func (l *Ledger) List(ctx context.Context, q ledger.Query) ([]ledger.Entry, error) {
	if q.Max < 0 {
		return nil, fmt.Errorf("%w: List with Max %d; ask for at least 1, or 0 for %d", ledger.ErrInvalid, q.Max, ledger.DefaultPage)
	}
	q.Max = cmp.Or(q.Max, ledger.DefaultPage)
	var out []ledger.Entry
	err := l.view(ctx, func(tx *bbolt.Tx) error {
		bucket, name := entryBucket, ""
		switch {
		case q.User != "":
			bucket, name = userBucket, q.User
		case q.Room != "":
			bucket, name = roomBucket, q.Room
		}
		if len(name) > ledger.MaxField {
			return nil
		}
		var before []byte // what stands before the entry's key
		if name != "" {
			before = nameKey(name, "")
		}
		var err error
		out, err = scan(ctx, tx, tx.Bucket(bucket).Cursor(), before, &q)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// scan goes through a bucket whose keys are those of entries, behind before.
func scan(ctx context.Context, tx *bbolt.Tx, c *bbolt.Cursor, before []byte, q *ledger.Query) (out []ledger.Entry, err error) {
	entries := tx.Bucket(entryBucket)
	prefix := append(bytes.Clone(before), q.Prefix...)
	k, value := c.Seek(append(bytes.Clone(before), max(q.Prefix, q.After)...))
	for seen := 1; k != nil && bytes.HasPrefix(k, prefix) && len(out) < q.Max; k, value = c.Next() {
		if seen++; seen%256 == 0 {
			if err := ended(ctx); err != nil {
				return nil, err
			}
		}
		key := k[len(before):]
		if string(key) <= q.After {
			continue
		}
		if len(before) > 0 {
			value = entries.Get(key)
		}
		r, err := decode(key, value)
		if err != nil {
			return nil, err
		}
		if r.selects(q) {
			out = append(out, r.entry())
		}
	}
	return out, nil
}

// view reads in one transaction, and returns when what it has seen is on the disk.
func (l *Ledger) view(ctx context.Context, read func(*bbolt.Tx) error) error {
	if err := l.usable(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return ledger.ErrClosed
	}
	tx, err := l.db.Begin(false)
	switch {
	case errors.Is(err, bberrors.ErrDatabaseNotOpen):
		return ledger.ErrClosed
	case err != nil:
		return fmt.Errorf("bolt: beginning to read: %w", err)
	}
	id := int64(tx.ID())
	err = read(tx)
	if rollbackErr := tx.Rollback(); rollbackErr != nil {
		return fmt.Errorf("bolt: ending to read: %w", rollbackErr)
	}
	if id <= l.durable.Load() {
		return err
	}
	l.mu.Lock()
	syncing := l.syncing
	l.mu.Unlock()
	select {
	case <-syncing:
		if id <= l.durable.Load() {
			return err
		}
		return l.usable(ctx) // it did not get there
	case <-ctx.Done():
		return ended(ctx)
	}
}
