package bolt

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/liveim/im/imtest/ledgertest"
	"github.com/liveim/im/ledger"
)

// mustOpen opens a ledger that the cleanup closes, unless the test has.
func mustOpen(t testing.TB, path string, o *Options) *Ledger {
	t.Helper()
	l, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "ledger.db") }

func entry(key, state string) ledger.Change {
	return ledger.Change{Entry: ledger.Entry{Key: key, State: state}}
}

// copyFile copies a file as it is while somebody has it open, which is what a crash leaves.
func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	stop := func(t *testing.T, l ledger.Ledger) string {
		path := l.(*Ledger).db.Path()
		if err := l.(*Ledger).Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		return path
	}
	harness := func(o *Options) ledgertest.Harness {
		return ledgertest.Harness{
			Open:   func(t *testing.T) ledger.Ledger { return mustOpen(t, newPath(t), o) },
			Second: func(_ *testing.T, l ledger.Ledger) ledger.Ledger { return l },
			Reopen: func(t *testing.T, old ledger.Ledger) ledger.Ledger { return mustOpen(t, stop(t, old), o) },
			Close:  func(t *testing.T, l ledger.Ledger) { stop(t, l) },
		}
	}
	t.Run("Durable", func(t *testing.T) {
		t.Parallel() // it waits for the disk
		h := harness(nil)
		h.Crash = func(t *testing.T, old ledger.Ledger) ledger.Ledger {
			path := newPath(t)
			copyFile(t, old.(*Ledger).db.Path(), path)
			return mustOpen(t, path, nil)
		}
		h.Run(t)
	})
	t.Run("NoSync", func(t *testing.T) {
		t.Parallel()
		harness(&Options{NoSync: true}).Run(t)
	})
}

func TestDurable(t *testing.T) {
	if !mustOpen(t, newPath(t), nil).Durable() {
		t.Error("a ledger that syncs says that it is not durable")
	}
	if mustOpen(t, newPath(t), &Options{NoSync: true}).Durable() {
		t.Error("a ledger that does not sync says that it is durable")
	}
}

func TestLockedFile(t *testing.T) {
	path := newPath(t)
	first := mustOpen(t, path, nil)
	for _, o := range []*Options{nil, {LockWait: 60 * time.Millisecond}} {
		if _, err := Open(path, o); !errors.Is(err, ErrLocked) {
			t.Fatalf("Open of a file that is open returned error %v, want ErrLocked", err)
		}
	}
	opened := make(chan error)
	go func() {
		l, err := Open(path, &Options{LockWait: 10 * time.Second})
		if err == nil {
			err = l.Close()
		}
		opened <- err
	}()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Fatalf("Open with LockWait, of a file that was closed meanwhile: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, edit func(tx *bbolt.Tx) error) string {
		path := filepath.Join(dir, name)
		db, err := bbolt.Open(path, 0o600, nil)
		if err == nil {
			err = errors.Join(db.Update(edit), db.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, make([]byte, 1<<15), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"no database": text,
		"another program's database": write("other.db", func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("theirs"))
			return err
		}),
		"a later format": write("later.db", func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket(metaBucket)
			return errors.Join(err, b.Put(formatKey, []byte("2")))
		}),
	} {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, nil); !errors.Is(err, ErrFormat) {
			t.Errorf("Open of %s returned error %v, want ErrFormat", name, err)
		}
		if after, _ := os.ReadFile(path); string(after) != string(before) {
			t.Errorf("Open of %s has changed it", name)
		}
	}
	if _, err := Open(filepath.Join(dir, "no such directory", "ledger.db"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open in a directory that is not there returned error %v, want one that wraps os.ErrNotExist", err)
	}
	if _, err := Open(filepath.Join(dir, "new.db"), &Options{LockWait: -1}); err == nil {
		t.Error("Open took a negative LockWait")
	}
}

func TestOptionsAreCopied(t *testing.T) {
	o := &Options{}
	l := mustOpen(t, newPath(t), o)
	o.NoSync = true
	if !l.Durable() {
		t.Error("the ledger changed with the caller's options")
	}
}

// TestClose closes from several goroutines while commits and reads run: each call either succeeds or says so.
func TestClose(t *testing.T) {
	path := newPath(t)
	l := mustOpen(t, path, &Options{NoSync: true})
	results := make(chan map[string]bool)
	started := make(chan struct{}, 8)
	for g := range 8 {
		go func() {
			acked := map[string]bool{}
			for i := 0; ; i++ {
				key := string(rune('a'+g)) + time.Duration(i).String()
				_, err := l.Commit(t.Context(), entry(key, ""))
				if err == nil {
					acked[key] = true
					_, err = l.Get(t.Context(), key)
				}
				if i == 5 {
					started <- struct{}{}
				}
				if err != nil {
					if !errors.Is(err, ledger.ErrClosed) {
						t.Errorf("a call while the ledger is closed: %v", err)
					}
					results <- acked
					return
				}
			}
		}()
	}
	for range 8 {
		<-started
	}
	closed := make(chan error)
	for range 3 {
		go func() { closed <- l.Close() }()
	}
	for range 3 {
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	again := mustOpen(t, path, nil)
	for range 8 {
		for key := range <-results {
			if _, err := again.Get(t.Context(), key); err != nil {
				t.Errorf("entry %q, whose commit was acknowledged before Close: %v", key, err)
			}
		}
	}
	checkIndexes(t, again)
}

// TestContextEndsBeforeItsTurn has a commit wait behind a slow one, and give up.
func TestContextEndsBeforeItsTurn(t *testing.T) {
	l := mustOpen(t, newPath(t), nil)
	hold, err := l.db.Begin(true) // the writer waits for it
	if err != nil {
		t.Fatal(err)
	}
	first := &request{changes: []ledger.Change{entry("first", "")}, done: make(chan struct{})}
	if err := l.enqueue(first); err != nil {
		t.Fatal(err)
	}
	for !first.taken.Load() {
		runtime.Gosched()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := l.Commit(ctx, entry("second", "")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a commit that had to wait longer than its context returned error %v", err)
	}
	if err := hold.Rollback(); err != nil {
		t.Fatal(err)
	}
	if <-first.done; first.err != nil {
		t.Errorf("the commit that only had to wait: %v", first.err)
	}
	if _, err := l.Commit(t.Context(), entry("third", "")); err != nil {
		t.Error(err)
	}
	if _, err := l.Get(t.Context(), "second"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("a commit that had not begun when its context ended has happened (error %v)", err)
	}
}
