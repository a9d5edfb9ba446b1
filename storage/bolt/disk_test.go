package bolt

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/liveim/im/ledger"
)

// TestReadsWaitForTheDisk stops a commit when others can see it in the file but the disk has not confirmed it.
func TestReadsWaitForTheDisk(t *testing.T) {
	l := mustOpen(t, newPath(t), nil)
	written, synced := make(chan struct{}), make(chan struct{})
	l.finish = func(tx *bbolt.Tx) error {
		err := tx.Commit()
		close(written)
		<-synced
		return err
	}
	committed := make(chan error, 1)
	go func() {
		_, err := l.Commit(t.Context(), entry("key", ""))
		committed <- err
	}()
	<-written
	read := make(chan error, 1)
	go func() {
		_, err := l.Get(t.Context(), "key")
		read <- err
	}()
	select {
	case err := <-read:
		t.Fatalf("Get returned (error %v) before the disk had what it read", err)
	case err := <-committed:
		t.Fatalf("Commit returned (error %v) before the disk had it", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(synced)
	if err := errors.Join(<-committed, <-read); err != nil {
		t.Fatal(err)
	}
}

// TestDiskFails has writing fail before and after the point from which readers see the commit.
func TestDiskFails(t *testing.T) {
	failed := errors.New("the disk is gone")
	t.Run("Early", func(t *testing.T) {
		l := mustOpen(t, newPath(t), nil)
		l.finish = func(tx *bbolt.Tx) error { return errors.Join(failed, tx.Rollback()) }
		if _, err := l.Commit(t.Context(), entry("key", "")); !errors.Is(err, failed) {
			t.Fatalf("Commit returned error %v, want that of the disk", err)
		}
		l.finish = (*bbolt.Tx).Commit
		if _, err := l.Get(t.Context(), "key"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("a commit that failed early has happened (error %v)", err)
		}
		if _, err := l.Commit(t.Context(), entry("key", "")); err != nil {
			t.Errorf("Commit when the disk is back: %v", err)
		}
	})
	t.Run("Late", func(t *testing.T) {
		path := newPath(t)
		l := mustOpen(t, path, nil)
		l.finish = func(tx *bbolt.Tx) error { return errors.Join(failed, tx.Commit()) }
		if _, err := l.Commit(t.Context(), entry("key", "")); !errors.Is(err, failed) {
			t.Fatalf("Commit returned error %v, want that of the disk", err)
		}
		l.finish = (*bbolt.Tx).Commit
		_, getErr := l.Get(t.Context(), "key")
		_, commitErr := l.Commit(t.Context(), entry("other", ""))
		for _, err := range []error{getErr, commitErr} {
			if !errors.Is(err, failed) || !strings.Contains(err.Error(), "open it again") {
				t.Errorf("a call after a failure of which the outcome is not known returned error %v, want one that says to open the file again", err)
			}
		}
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if _, err := mustOpen(t, path, nil).Get(t.Context(), "key"); err != nil && !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("Get after the file was opened again: %v", err)
		}
	})
}

// TestFileIsTakenAway closes the file under the ledger: what was acknowledged stays, and nothing more is.
func TestFileIsTakenAway(t *testing.T) {
	path := newPath(t)
	var file *os.File
	l, err := open(path, Options{}, &bbolt.Options{OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), entry("before", "")); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), entry("after", "")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a commit that cannot be written returned error %v", err)
	}
	_ = l.Close() // which says that the file is closed already
	l = mustOpen(t, path, nil)
	if _, err := l.Get(t.Context(), "before"); err != nil {
		t.Errorf("Get of what was acknowledged: %v", err)
	}
	if _, err := l.Get(t.Context(), "after"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("Get of what was refused returned error %v, want ErrNotFound", err)
	}
}

// TestNoSpace fills a file that may not grow, and goes on when there is space.
func TestNoSpace(t *testing.T) {
	path := newPath(t)
	l, err := open(path, Options{}, &bbolt.Options{MaxSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	large := ledger.Change{Entry: ledger.Entry{Data: []byte(`"` + strings.Repeat("x", 100_000) + `"`)}}
	var stored []ledger.Entry
	for n := 0; ; n++ {
		large.Entry.Key = strings.Repeat("k", n+1)
		out, err := l.Commit(t.Context(), large)
		if err != nil {
			break
		}
		if stored = append(stored, out...); n > 100 {
			t.Fatal("the file takes more than its limit")
		}
	}
	if len(stored) == 0 {
		t.Fatal("the file takes nothing")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, path, nil)
	got, err := l.List(t.Context(), ledger.Query{})
	if err != nil || len(got) != len(stored) {
		t.Errorf("%d entries are there after the file was full (error %v), want the %d that were acknowledged", len(got), err, len(stored))
	}
	checkIndexes(t, l)
	if _, err := l.Commit(t.Context(), large); err != nil {
		t.Errorf("Commit when there is space: %v", err)
	}
}

// TestGroup has commits wait for each other, good, stale and broken ones, and be written as one.
func TestGroup(t *testing.T) {
	l := mustOpen(t, newPath(t), nil)
	if _, err := l.Commit(t.Context(), entry("taken", "")); err != nil {
		t.Fatal(err)
	}
	writes := 0
	l.finish = func(tx *bbolt.Tx) error {
		writes++
		return tx.Commit()
	}
	var requests []*request
	add := func(changes ...ledger.Change) {
		requests = append(requests, &request{changes: changes, done: make(chan struct{})})
	}
	add(entry("a", ""), entry("b", ""))
	add(entry("c", ""), entry("taken", "")) // stale, and so is c not written
	add(entry("a", ""))                     // stale within the group
	second := entry("a", "second")
	second.Entry.Version = 1
	add(second) // goes on from an earlier one of the group
	add(entry("c", ""))

	l.mu.Lock() // so that the writer finds all of them
	l.queue = append(l.queue, requests...)
	l.arrived.Signal()
	l.mu.Unlock()
	for i, r := range requests {
		<-r.done
		if stale := i == 1 || i == 2; errors.Is(r.err, ledger.ErrStale) != stale || !stale && r.err != nil {
			t.Errorf("request %d of the group was answered %v", i, r.err)
		}
	}
	if writes != 1 {
		t.Errorf("the group was written in %d transactions, want 1", writes)
	}
	for key, version := range map[string]uint64{"a": 2, "b": 1, "c": 1, "taken": 1} {
		if e, err := l.Get(t.Context(), key); err != nil || e.Version != version {
			t.Errorf("entry %q is at version %d (error %v), want %d", key, e.Version, err, version)
		}
	}
	checkIndexes(t, l)
}
