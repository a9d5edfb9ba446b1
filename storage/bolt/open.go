package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bberrors "go.etcd.io/bbolt/errors"

	"github.com/liveim/im/ledger"
)

// The buckets of a file.
var (
	metaBucket  = []byte("meta")
	entryBucket = []byte("entry")
	dueBucket   = []byte("due")
	roomBucket  = []byte("room")
	userBucket  = []byte("user")

	formatKey = []byte("format")
)

// Ledger is a [ledger.Ledger] in a file. Use [Open]; it may be used by many goroutines,
// and must be closed.
type Ledger struct {
	db     *bbolt.DB
	noSync bool
	finish func(*bbolt.Tx) error // (*bbolt.Tx).Commit; tests have it fail or take long

	mu      sync.Mutex // protects the fields of this block
	arrived sync.Cond  // signals queue and closed to the writer
	queue   []*request
	closed  bool
	stopped chan struct{} // is closed when the writer has returned

	// Readers see a transaction as soon as it is in the file, which may be before it is on the disk. They
	// wait until it is: what was read must not be lost afterwards.
	durable atomic.Int64  // the last transaction that is on the disk
	syncing chan struct{} // is closed when the transaction that is being written has ended; protected by mu
	broken  atomic.Pointer[brokenError]
}

// Open opens the ledger in the file at path, or makes an empty one. Its errors may wrap
// ErrLocked, ErrFormat, and those of the file system. The directory must exist.
func Open(path string, o *Options) (*Ledger, error) {
	var options Options
	if o != nil {
		options = *o
	}
	if err := options.validate(); err != nil {
		return nil, err
	}
	return open(path, options, &bbolt.Options{
		Timeout:      max(options.LockWait, time.Nanosecond), // 0 would wait for ever
		FreelistType: bbolt.FreelistMapType,
		NoSync:       options.NoSync,
		NoStatistics: true,
	})
}

func open(path string, options Options, bo *bbolt.Options) (*Ledger, error) {
	_, err := os.Stat(path)
	isNew := errors.Is(err, os.ErrNotExist)
	db, err := bbolt.Open(path, 0o600, bo)
	switch {
	case errors.Is(err, bberrors.ErrTimeout):
		return nil, fmt.Errorf("%w (%s)", ErrLocked, path)
	case errors.Is(err, bberrors.ErrInvalid), errors.Is(err, bberrors.ErrVersionMismatch), errors.Is(err, bberrors.ErrChecksum):
		return nil, fmt.Errorf("%w: %s: %w", ErrFormat, path, err)
	case err != nil:
		return nil, fmt.Errorf("bolt: opening the ledger's file: %w", err)
	}
	l := &Ledger{db: db, noSync: options.NoSync, finish: (*bbolt.Tx).Commit, stopped: make(chan struct{})}
	l.arrived.L = &l.mu
	if err = l.prepare(); err == nil && isNew && !options.NoSync {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bolt: opening %s: %w", path, err), db.Close())
	}
	go l.write()
	return l, nil
}

// prepare checks the format, and makes the buckets in an empty file.
func (l *Ledger) prepare() error {
	tx, err := l.db.Begin(true)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	if meta := tx.Bucket(metaBucket); meta != nil {
		have := string(meta.Get(formatKey))
		if have != format {
			return fmt.Errorf("%w: it has format %q, and this version knows %q; use the version of this package that wrote it, or a later one", ErrFormat, have, format)
		}
	} else if name, _ := tx.Cursor().First(); name != nil {
		return fmt.Errorf("%w: it has a bucket %.80q, and none that says what it is; it belongs to another program", ErrFormat, name)
	}
	for _, name := range [][]byte{metaBucket, entryBucket, dueBucket, roomBucket, userBucket} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	if err := tx.Bucket(metaBucket).Put(formatKey, []byte(format)); err != nil {
		return err
	}
	id := tx.ID()
	if err := tx.Commit(); err != nil {
		return err
	}
	l.durable.Store(int64(id))
	return nil
}

// syncDir makes the name of a new file durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // which has no such call, and keeps the name with the file
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Durable returns true unless Options.NoSync is set.
func (l *Ledger) Durable() bool { return !l.noSync }

// Close carries out the commits that wait, waits for reads to end, and closes the file.
// Calls that come later return [ledger.ErrClosed]. To close again does nothing.
func (l *Ledger) Close() error {
	l.mu.Lock()
	l.closed = true
	l.arrived.Signal()
	l.mu.Unlock()
	<-l.stopped
	return l.db.Close()
}

// brokenError is why a ledger does not go on.
type brokenError struct{ cause error }

func (e *brokenError) Error() string {
	return fmt.Sprintf("bolt: writing the ledger failed so late that the file may hold the commit or not; close it, check the disk, open it again: %v", e.cause)
}

func (e *brokenError) Unwrap() error { return e.cause }

// usable returns an error if a call cannot begin.
func (l *Ledger) usable(ctx context.Context) error {
	if err := ended(ctx); err != nil {
		return err
	}
	if b := l.broken.Load(); b != nil {
		return b
	}
	return nil
}

// ended returns an error that wraps ctx.Err() if ctx has ended.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("bolt: the context of the call has ended: %w", err)
	}
	return nil
}

var _ ledger.Ledger = (*Ledger)(nil)
