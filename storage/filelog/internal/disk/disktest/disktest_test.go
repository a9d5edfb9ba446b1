package disktest

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func createWith(t *testing.T, f *FS, name, text string) disk.File {
	t.Helper()
	file, err := f.Create(name)
	must(t, err)
	_, err = file.WriteAt([]byte(text), 0)
	must(t, err)
	return file
}

func TestCrashDropsWhatWasNotSynced(t *testing.T) {
	f := New()
	a := createWith(t, f, "d/a", "synced")
	must(t, a.Sync())
	createWith(t, f, "d/b", "nothing of it")
	must(t, f.SyncDir("d"))
	_, err := a.WriteAt([]byte("later"), 6)
	must(t, err)
	must(t, f.Rename("d/b", "d/c"))
	if got := string(f.Bytes("d/a")); got != "syncedlater" || f.Unsynced("d/a") != 1 {
		t.Errorf("before: %q", got)
	}
	after := f.Crash(nil)
	names, err := after.ReadDir("d")
	if want := []string{"a", "b"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("names %q, want %q", names, want)
	}
	if got := string(after.Bytes("d/a")); got != "synced" {
		t.Errorf("a holds %q", got)
	}
	if got := string(after.Bytes("d/b")); got != "" {
		t.Errorf("b holds %q", got)
	}
	if _, err := a.WriteAt([]byte("x"), 0); err == nil {
		t.Error("a file from before the crash still takes writes")
	}
}

func TestKillKeepsWhatWasWritten(t *testing.T) {
	f := New()
	createWith(t, f, "a", "text")
	if _, err := f.Lock("LOCK"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Lock("LOCK"); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	after := f.Kill()
	if got := string(after.Bytes("a")); got != "text" {
		t.Errorf("a holds %q", got)
	}
	l, err := after.Lock("LOCK")
	must(t, err)
	must(t, l.Close())
	if names, _ := after.Crash(nil).ReadDir("."); len(names) > 0 {
		t.Errorf("after a loss of power as well: %q", names)
	}
}

func TestFailedSyncLosesForGood(t *testing.T) {
	f := New()
	a := createWith(t, f, "a", "one")
	must(t, a.Sync())
	must(t, f.SyncDir("."))
	_, err := a.WriteAt([]byte("two"), 3)
	must(t, err)
	f.Fail(Rule{Op: Sync, Err: syscall.EIO, Times: 1})
	if err := a.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	must(t, a.Sync())
	if got := string(f.Bytes("a")); got != "onetwo" {
		t.Errorf("it reads %q", got)
	}
	if got := string(f.Crash(nil).Bytes("a")); got != "one" {
		t.Errorf("after a loss of power it holds %q", got)
	}
}

func TestRulesAndCapacity(t *testing.T) {
	f := New()
	a := createWith(t, f, "d/a.log", "12345")
	remove := f.Fail(Rule{Op: Write, Name: "*.log", Err: syscall.EIO, Skip: 1, Times: 1, Short: 2})
	_, err := a.WriteAt([]byte("ok"), 0)
	must(t, err)
	if n, err := a.WriteAt([]byte("fail"), 0); n != 2 || !errors.Is(err, syscall.EIO) {
		t.Errorf("%d, %v", n, err)
	}
	_, err = a.WriteAt([]byte("ok"), 0)
	must(t, err)
	remove()
	f.SetCapacity(8)
	if n, err := a.WriteAt([]byte("abcdef"), 5); n != 3 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("beyond the capacity: %d, %v", n, err)
	}
	if got := string(f.Bytes("d/a.log")); got != "ok345abc" {
		t.Errorf("it holds %q", got)
	}
	if n := f.Count(Write, "*.log"); n != 5 {
		t.Errorf("%d writes", n)
	}
	r, err := f.Open("d/a.log")
	must(t, err)
	if _, err := r.WriteAt([]byte("x"), 0); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a write to a file that was opened for reading: %v", err)
	}
	if n, err := r.ReadAt(make([]byte, 9), 4); n != 4 || err != io.EOF {
		t.Errorf("read at the end: %d, %v", n, err)
	}
	must(t, r.Close())
	if _, err := r.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read of a closed file: %v", err)
	}
}

func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New()
		a := createWith(t, f, "a", "text")
		waiting, release := f.Stall(Sync, "")
		done := make(chan error, 1)
		go func() { done <- a.Sync() }()
		<-waiting
		synctest.Wait()
		if _, err := a.ReadAt(make([]byte, 4), 0); err != nil || f.Unsynced("a") != 1 || len(done) > 0 {
			t.Errorf("during the stall: %v, %d unsynced", err, f.Unsynced("a"))
		}
		release()
		release()
		must(t, <-done)
		if f.Unsynced("a") != 0 {
			t.Error("it is not synced")
		}
	})
}

// With a source of chance, each unsynced write is there, is not, or is in part.
func TestCrashTears(t *testing.T) {
	seen := map[string]bool{}
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		f := New()
		a := createWith(t, f, "a", "")
		must(t, f.SyncDir("."))
		_, err := a.WriteAt([]byte(strings.Repeat("x", 2*sector)), 0)
		must(t, err)
		got := f.Crash(r).Bytes("a")
		for i := range got {
			if i%sector > 0 && got[i] != got[i-1] {
				t.Fatal("a sector is torn")
			}
		}
		switch {
		case len(got) == 0:
			seen["nothing"] = true
		case got[0] == 0:
			seen["second"] = true
		case len(got) == sector:
			seen["first"] = true
		default:
			seen["all"] = true
		}
	}
	if len(seen) != 4 {
		t.Errorf("seen: %v", seen)
	}
}
