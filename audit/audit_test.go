package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

func TestRecordIsReadBack(t *testing.T) {
	k, dir := newKeys(t), filepath.Join(t.TempDir(), "a", "b")
	o := k.options()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	o.Now = func() time.Time { at = at.Add(time.Second); return at }
	l := mustOpen(t, dir, o)
	fill(t, l, 600)
	mustClose(t, l)
	l = mustOpen(t, dir, o)
	defer mustClose(t, l)
	for _, tt := range []struct {
		name  string
		q     Query
		first int64
		n     int
	}{
		{"all", Query{}, 0, 600},
		{"newest first", Query{Newest: true}, 599, 600},
		{"a page back", Query{Newest: true, To: 300}, 299, 300},
		{"one action", Query{Action: "test.1"}, 1, 200},
		{"actions below", Query{Action: "test."}, 0, 600},
		{"no actions", Query{Action: "test"}, 0, 0},
		{"from", Query{From: 590}, 590, 10},
		{"from and to", Query{From: 10, To: 20, Newest: true}, 19, 10},
		{"beyond", Query{From: 700}, 0, 0},
		{"since", Query{Since: at.Add(-time.Second)}, 598, 2},
		{"until", Query{Until: at.Add(-598 * time.Second)}, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, before := 0, int64(-1)
			for e, err := range l.Entries(t.Context(), tt.q) {
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 && e.Index != tt.first {
					t.Errorf("the first is %d, not %d", e.Index, tt.first)
				}
				if want := fmt.Sprint("test.", e.Index%3); e.Action != want || e.Text("user") != fmt.Sprint("u", e.Index%5) {
					t.Errorf("entry %d is %s %s", e.Index, e.Action, e.Detail)
				}
				if n > 0 && (e.Index < before) != tt.q.Newest {
					t.Errorf("entry %d comes after %d", e.Index, before)
				}
				n, before = n+1, e.Index
			}
			if n != tt.n {
				t.Errorf("%d entries, not %d", n, tt.n)
			}
		})
	}
}

func TestText(t *testing.T) {
	for detail, want := range map[string]string{`{"user":"u7"}`: "u7", `{"user":7}`: "", `null`: "", `[1]`: "", ``: "", `{"by":"x"}`: ""} {
		if got := (Entry{Detail: []byte(detail)}).Text("user"); got != want {
			t.Errorf("%s: %q", detail, got)
		}
	}
}

func TestRecordRefuses(t *testing.T) {
	k, dir := newKeys(t), t.TempDir()
	l := mustOpen(t, dir, k.options())
	for _, tt := range []struct {
		action string
		detail any
		want   string
	}{
		{"", 1, "1 to 62"},
		{strings.Repeat("x", 63), 1, "1 to 62"},
		{"audit.erase", 1, "for the log itself"},
		{"a\n", 1, "printable"},
		{"a", func() {}, "JSON"},
		{"a", strings.Repeat("x", MaxDetail-1), "at most 65536"},
	} {
		if err := l.Record(t.Context(), tt.action, tt.detail); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v", tt.action, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Record(ended, "a", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	if err := l.Record(t.Context(), strings.Repeat("x", MaxAction), strings.Repeat("x", MaxDetail-2)); err != nil {
		t.Errorf("at the limits: %v", err)
	}
	mustClose(t, l)
	mustClose(t, l)
	if n := mustVerify(t, k, dir).Entries; n != 1 {
		t.Errorf("%d entries", n)
	}
	if err := l.Record(t.Context(), "a", 1); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	for _, err := range l.Entries(t.Context(), Query{}) {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("reading after Close: %v", err)
		}
	}
	if _, err := l.ProveRecord(1, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("proof after Close: %v", err)
	}
	if _, err := l.Checkpoint(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("checkpoint after Close: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	k, dir := newKeys(t), t.TempDir()
	for _, tt := range []struct {
		o    *Options
		want string
	}{
		{nil, "Signer"},
		{&Options{Signer: k.signer, CheckpointEvery: -1}, "CheckpointEvery"},
		{&Options{Signer: k.signer, CheckpointAfter: -1}, "CheckpointAfter"},
		{&Options{Signer: k.signer, Origin: "a\nb"}, "Origin"},
	} {
		if _, err := Open(dir, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.want, err)
		}
	}
	l := mustOpen(t, dir, k.options())
	if _, err := Open(dir, k.options()); !errors.Is(err, ErrLocked) {
		t.Errorf("a second log: %v", err)
	}
	fill(t, l, 1)
	mustClose(t, l)
	o := k.options()
	o.Origin = "another"
	if _, err := Open(dir, o); err == nil || !strings.Contains(err.Error(), "Origin") {
		t.Errorf("another origin: %v", err)
	}
	if _, err := Verify(t.Context(), filepath.Join(dir, "none"), k.known); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("verify nothing: %v", err)
	}
}

// TestConcurrent records from many goroutines at once, while others read, sign, erase and verify.
func TestConcurrent(t *testing.T) {
	k, dir := newKeys(t), t.TempDir()
	o := k.options()
	o.CheckpointEvery = 100
	l := mustOpen(t, dir, o)
	const writers, each = 64, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := l.Record(t.Context(), "test", map[string]string{"user": fmt.Sprint(w), "key": fmt.Sprint(w, " ", i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range 5 {
				if _, err := l.Erase(t.Context(), func(e Entry) bool { return e.Text("user") == "7" }); err != nil {
					t.Error(err)
				}
				if _, err := l.Checkpoint(t.Context()); err != nil {
					t.Error(err)
				}
				if _, err := Verify(t.Context(), dir, k.known); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := l.Erase(t.Context(), func(e Entry) bool { return e.Text("user") == "7" }); err != nil {
		t.Error(err)
	}
	seen := map[string]bool{}
	for e, err := range l.Entries(t.Context(), Query{Action: "test"}) {
		if err != nil {
			t.Fatal(err)
		}
		if !e.Erased {
			seen[e.Text("key")] = true
		}
	}
	if len(seen) != (writers-1)*each {
		t.Errorf("%d entries are read, not %d", len(seen), (writers-1)*each)
	}
	mustClose(t, l)
	if r := mustVerify(t, k, dir); r.Erased != each || r.Newest.Size != r.Entries || r.Torn {
		t.Errorf("%+v", r)
	}
}

// failing is a signer that can be told to fail.
type failing struct {
	note.Signer
	err error
}

func (f *failing) Sign(msg []byte) ([]byte, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Signer.Sign(msg)
}

func TestSignerFails(t *testing.T) {
	k, dir := newKeys(t), t.TempDir()
	f := &failing{k.signer, errors.New("no key today")}
	o := k.options()
	o.Signer, o.CheckpointEvery = f, 2
	l := mustOpen(t, dir, o)
	fill(t, l, 5)
	if _, err := l.Checkpoint(t.Context()); !errors.Is(err, f.err) {
		t.Errorf("a checkpoint without a signer: %v", err)
	}
	if r := mustVerify(t, k, dir); r.Entries != 5 || r.Checkpoints != 0 {
		t.Errorf("%+v", r)
	}
	if err := l.Close(); !errors.Is(err, f.err) {
		t.Errorf("close: %v", err)
	}
	f.err = nil
	l = mustOpen(t, dir, o)
	mustClose(t, l)
	if r := mustVerify(t, k, dir); r.Newest.Size != 5 {
		t.Errorf("%+v", r)
	}
}

// TestSyncFails: after a sync that failed nobody may be told that anything is stored.
func TestSyncFails(t *testing.T) {
	k, dir := newKeys(t), t.TempDir()
	l := mustOpen(t, dir, k.options())
	fill(t, l, 3)
	broken := errors.New("broken disk")
	l.files.sync = func(*os.File) error { return broken } // the writer is idle until the next request
	for range 2 {
		if err := l.Record(t.Context(), "a", 1); !errors.Is(err, ErrBroken) || !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
	}
	if err := l.Close(); !errors.Is(err, ErrBroken) {
		t.Errorf("close: %v", err)
	}
	l = mustOpen(t, dir, k.options())
	defer mustClose(t, l)
	if n := l.Len(); n != 3 && n != 4 {
		t.Errorf("%d entries", n)
	}
	mustVerify(t, k, dir)
}

// TestWriteFails: a disk that is full loses nothing, and the log goes on when there is room. If what was written in part
// cannot be taken back either, the log does not go on.
func TestWriteFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		flag   int
		broken bool
	}{
		{"and is undone", os.O_RDWR | os.O_APPEND, false}, // WriteAt refuses such a file, Truncate does not
		{"and is not", os.O_RDONLY, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, dir := newKeys(t), t.TempDir()
			l := mustOpen(t, dir, k.options())
			fill(t, l, 3)
			good := l.files.entries // the writer is idle until the next request
			bad, err := os.OpenFile(filepath.Join(dir, entriesName), tt.flag, 0)
			if err != nil {
				t.Fatal(err)
			}
			l.files.entries = bad
			if err := l.Record(t.Context(), "a", 1); err == nil || errors.Is(err, ErrBroken) != tt.broken {
				t.Errorf("%v", err)
			}
			l.files.entries = good
			if err := bad.Close(); err != nil {
				t.Fatal(err)
			}
			want := int64(4)
			if tt.broken {
				want = 3
			}
			if err := l.Record(t.Context(), "a", 2); errors.Is(err, ErrBroken) != tt.broken {
				t.Errorf("afterwards: %v", err)
			}
			if err := l.Close(); errors.Is(err, ErrBroken) != tt.broken {
				t.Errorf("close: %v", err)
			}
			l = mustOpen(t, dir, k.options())
			mustClose(t, l)
			if r := mustVerify(t, k, dir); r.Entries != want {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestCheckpointAfter: entries that stay few are signed in the end.
func TestCheckpointAfter(t *testing.T) {
	k, dir := newKeys(t), t.TempDir()
	signed := make(chan struct{}, 10)
	o := k.options()
	o.Signer, o.CheckpointAfter = &telling{k.signer, signed}, time.Millisecond
	l := mustOpen(t, dir, o)
	fill(t, l, 1)
	<-signed
	fill(t, l, 1)
	<-signed
	mustClose(t, l)
	mustVerify(t, k, dir)
}

// telling is a signer that says that it was asked.
type telling struct {
	note.Signer
	signed chan struct{}
}

func (s *telling) Sign(msg []byte) ([]byte, error) {
	s.signed <- struct{}{}
	return s.Signer.Sign(msg)
}
