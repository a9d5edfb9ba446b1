package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/liveim/im/ledger"
)

// maxGroup bounds one transaction: how many changes and bytes of Data it takes together. One commit
// is never split, and may be as large by itself.
const (
	maxGroup      = ledger.MaxChanges
	maxGroupBytes = ledger.MaxCommit
)

// request is a Commit on its way through the writer.
type request struct {
	changes []ledger.Change
	taken   atomic.Bool // by the writer, or by the caller whose context ended
	out     []ledger.Entry
	err     error
	done    chan struct{} // is closed when out and err are set
}

// Commit implements [ledger.Ledger]. Those that wait at the same time are written together,
// each by itself all or nothing.
func (l *Ledger) Commit(ctx context.Context, changes ...ledger.Change) ([]ledger.Entry, error) {
	if err := l.usable(ctx); err != nil {
		return nil, err
	}
	if err := ledger.Check(changes); err != nil {
		return nil, err
	}
	// The writer may still work on it when the caller has gone.
	r := &request{changes: slices.Clone(changes), done: make(chan struct{})}
	for i := range r.changes {
		e := &r.changes[i].Entry
		e.Data = slices.Clone(e.Data)
	}
	if err := l.enqueue(r); err != nil {
		return nil, err
	}
	select {
	case <-r.done:
		return r.out, r.err
	case <-ctx.Done():
		if r.taken.CompareAndSwap(false, true) {
			return nil, fmt.Errorf("bolt: the context ended before the commit began: %w", ctx.Err())
		}
		return nil, fmt.Errorf("bolt: the context ended while the commit was written, which may still happen: %w", ctx.Err())
	}
}

func (l *Ledger) enqueue(r *request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ledger.ErrClosed
	}
	if len(r.changes) == 0 {
		close(r.done)
		return nil
	}
	l.queue = append(l.queue, r)
	l.arrived.Signal()
	return nil
}

// write carries out requests until the ledger is closed and none is left.
func (l *Ledger) write() {
	defer close(l.stopped)
	for {
		group := l.next()
		if group == nil {
			return
		}
		err := l.usableByWriter()
		if err == nil {
			err = l.carryOut(group)
		}
		for _, r := range group {
			if err != nil {
				r.out, r.err = nil, err
			}
			close(r.done)
		}
	}
}

func (l *Ledger) usableByWriter() error {
	if b := l.broken.Load(); b != nil {
		return b
	}
	return nil
}

// next waits for requests and takes as many as go into one transaction, or returns nil after Close.
func (l *Ledger) next() []*request {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for len(l.queue) == 0 {
			if l.closed {
				return nil
			}
			l.arrived.Wait()
		}
		// Whoever was answered just now may be about to commit again.
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()

		var group []*request
		n, changes, bytes := 0, 0, 0
		for _, r := range l.queue {
			changes += len(r.changes)
			for i := range r.changes {
				bytes += len(r.changes[i].Entry.Data)
			}
			if n > 0 && (changes > maxGroup || bytes > maxGroupBytes) {
				break
			}
			n++
			if r.taken.CompareAndSwap(false, true) {
				group = append(group, r)
			}
		}
		l.queue = slices.Delete(l.queue, 0, n)
		if len(group) > 0 {
			return group
		}
	}
}

// carryOut writes a group in one transaction. What it returns is the error of all; one that
// concerns a single request it notes there.
func (l *Ledger) carryOut(group []*request) error {
	tx, err := l.db.Begin(true)
	if err != nil {
		return fmt.Errorf("bolt: beginning a commit: %w", err)
	}
	defer tx.Rollback() // after Commit it does nothing
	now, dirty := time.Now(), false
	for _, r := range group {
		old, err := r.decide(tx, now)
		if err != nil {
			r.out, r.err = nil, err
			continue
		}
		for i := range r.out {
			if err := put(tx, &old[i], &r.out[i]); err != nil {
				return fmt.Errorf("bolt: writing an entry; nothing has happened: %w", err)
			}
		}
		dirty = true
	}
	if !dirty {
		return nil
	}
	return l.commit(tx)
}

// decide sets out to what the changes make of the entries that are stored, and returns those. Nothing is
// written before all changes are found good, so that one request does not spoil the transaction for the others.
func (r *request) decide(tx *bbolt.Tx, now time.Time) (old []ledger.Entry, err error) {
	entries := tx.Bucket(entryBucket)
	old, r.out = make([]ledger.Entry, len(r.changes)), make([]ledger.Entry, len(r.changes))
	for i, c := range r.changes {
		if value := entries.Get([]byte(c.Entry.Key)); value != nil {
			stored, err := decode([]byte(c.Entry.Key), value)
			if err != nil {
				return nil, err
			}
			old[i] = stored.entry()
		}
		if r.out[i], err = c.Apply(old[i], now); err != nil {
			return nil, err
		}
	}
	return old, nil
}

// put replaces one entry by another of its key. Version 0 means none.
func put(tx *bbolt.Tx, old, e *ledger.Entry) error {
	var err error
	if e.Version == 0 {
		err = tx.Bucket(entryBucket).Delete([]byte(e.Key))
	} else {
		err = tx.Bucket(entryBucket).Put([]byte(e.Key), encode(e))
	}
	if !old.Due.Equal(e.Due) {
		if b := tx.Bucket(dueBucket); !old.Due.IsZero() {
			err = errors.Join(err, b.Delete(dueKey(old.Due, e.Key)))
		}
		if b := tx.Bucket(dueBucket); !e.Due.IsZero() {
			err = errors.Join(err, b.Put(dueKey(e.Due, e.Key), nil))
		}
	}
	return errors.Join(err,
		move(tx.Bucket(roomBucket), e.Key, old.Room, e.Room),
		move(tx.Bucket(userBucket), e.Key, old.User, e.User))
}

// move takes a key from one name of an index to another; "" has none.
func move(b *bbolt.Bucket, key, from, to string) error {
	var err error
	if from != to && from != "" {
		err = b.Delete(nameKey(from, key))
	}
	if from != to && to != "" {
		err = errors.Join(err, b.Put(nameKey(to, key), nil))
	}
	return err
}

// commit writes the transaction to the disk, and lets the readers know.
func (l *Ledger) commit(tx *bbolt.Tx) error {
	id := int64(tx.ID())
	syncing := make(chan struct{})
	l.mu.Lock()
	l.syncing = syncing
	l.mu.Unlock()
	defer close(syncing)

	err := l.finish(tx)
	if err == nil {
		l.durable.Store(id)
		return nil
	}
	// Its last step is a page that makes all the others count. If readers do not see that one, nothing has
	// happened; if they do, it may or may not reach the disk, and only opening the file anew tells.
	seen, viewErr := l.db.Begin(false)
	last := int64(-1)
	if viewErr == nil {
		last, viewErr = int64(seen.ID()), seen.Rollback()
	}
	if viewErr != nil || last != l.durable.Load() {
		b := &brokenError{errors.Join(err, viewErr)}
		l.broken.Store(b)
		return b
	}
	return fmt.Errorf("bolt: writing to the disk; nothing has happened: %w", err)
}
