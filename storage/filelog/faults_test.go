package filelog

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/disk/disktest"
)

// faulty is a way in which a disk fails, until mend is called.
type faulty struct {
	name  string
	begin func(f *disktest.FS) (mend func())
	want  error
}

func failing(name string, rules ...disktest.Rule) faulty {
	return faulty{name, func(f *disktest.FS) func() {
		var mend []func()
		for _, r := range rules {
			mend = append(mend, f.Fail(r))
		}
		return func() {
			for _, m := range mend {
				m()
			}
		}
	}, rules[0].Err}
}

var faults = []faulty{
	failing("EIO on write", disktest.Rule{Op: disktest.Write, Err: syscall.EIO}),
	failing("EIO after half a write", disktest.Rule{Op: disktest.Write, Err: syscall.EIO, Short: 100}),
	failing("EIO on fsync", disktest.Rule{Op: disktest.Sync, Err: syscall.EIO}),
	failing("EIO on fsync once", disktest.Rule{Op: disktest.Sync, Err: syscall.EIO, Times: 1}),
	failing("EIO on write, fsync and truncate", disktest.Rule{Op: disktest.Write, Err: syscall.EIO, Short: 70},
		disktest.Rule{Op: disktest.Sync, Err: syscall.EIO}, disktest.Rule{Op: disktest.Truncate, Err: syscall.EIO}),
	failing("read-only", disktest.Rule{Op: disktest.Write, Err: syscall.EROFS}, disktest.Rule{Op: disktest.Sync, Err: syscall.EROFS},
		disktest.Rule{Op: disktest.Truncate, Err: syscall.EROFS}, disktest.Rule{Op: disktest.Create, Err: syscall.EROFS}),
	// Not by a capacity: into space that was filled before, a write fits on a full disk.
	failing("ENOSPC", disktest.Rule{Op: disktest.Write, Err: syscall.ENOSPC, Short: 30}),
}

// TestFaults has the disk fail, and work again. What was acknowledged is there and nothing else, volatile events stay
// alive, and the log is well again within 5 s.
func TestFaults(t *testing.T) {
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testFault(t, fault) })
		})
	}
}

func testFault(t *testing.T, fault faulty) {
	ctx := context.Background()
	fsys := disktest.New()
	l := openFS(t, fsys, Options{})
	must(t, l, "room", gift("before"))
	w := follow(t, l, "room", im.Position{})

	mend := fault.begin(fsys)
	_, err := l.Append(ctx, "room", []*im.Event{gift("during")})
	if err == nil {
		t.Fatal("Append says that an event is stored which is not on disk")
	}
	if !errors.Is(err, fault.want) {
		t.Errorf("Append returned error %v, want one that wraps %v", err, fault.want)
	}
	unknown := !errors.Is(err, im.ErrNotStored)
	lasting := fault.name != "EIO on fsync once"
	if lasting {
		for i := range 20 { // refused at once, and alive
			_, err := l.Append(ctx, "room", []*im.Event{gift(fmt.Sprint("refused-", i))})
			refused(t, err)
			must(t, l, "room", danmaku(fmt.Sprint("danmaku-", i)))
			pass(100 * time.Millisecond)
		}
		if err := l.Health(); !errors.Is(err, fault.want) {
			t.Errorf("Health is %v while the disk fails, want an error that wraps %v", err, fault.want)
		}
		if got := len(w.got()); got != 21 {
			t.Errorf("a follower was given %d events while the disk failed, want the 1 before and 20 danmaku", got)
		}
	}
	mend()
	pass(5 * time.Second)
	if err := l.Health(); err != nil {
		t.Errorf("Health is %v 5 s after the disk works again", err)
	}
	must(t, l, "room", gift("after"))
	checkAfterFault(t, l, fsys, unknown)
}

// checkAfterFault checks what is in memory, and what is found on disk.
func checkAfterFault(t *testing.T, l *Log, fsys *disktest.FS, unknown bool) {
	live := all(t, l, "room")
	if err := l.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	again := openFS(t, fsys, Options{})
	found := all(t, again, "room")
	if ids(live) != ids(found) {
		t.Errorf("on disk are %s, and in memory were %s", ids(found), ids(live))
	}
	seen := map[string]bool{}
	for i, e := range found {
		if e.Pos != live[i].Pos {
			t.Errorf("event %q was at %s and is at %s", e.ID, live[i].Pos, e.Pos)
		}
		seen[e.ID] = true
	}
	if !seen["before"] || !seen["after"] || seen["refused-1"] || seen["during"] {
		t.Errorf("found are %s: want what was acknowledged, and nothing that failed (outcome not known: %v)", ids(found), unknown)
	}
	if d := again.Damage(); len(d) > 0 {
		t.Errorf("the fault left damage: %v", d)
	}
	again.Close()
	r, err := verify(context.Background(), fsys, "log")
	if err != nil || len(r.Damage) > 0 || r.Torn != nil || !r.Clean {
		t.Errorf("Verify finds %+v, %v after a fault", r, err)
	}
}

// TestStall has one fsync take 5 s. Only who waits for the disk waits.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		fsys := disktest.New()
		l := openFS(t, fsys, Options{QueueEvents: 10})
		must(t, l, "room", gift("before"))
		w := follow(t, l, "room", im.Position{})
		waiting, release := fsys.Stall(disktest.Sync, "")
		began := time.Now()
		answers := make(chan error, 100)
		for i := range 12 {
			go func() {
				_, err := l.Append(ctx, "room", []*im.Event{gift(fmt.Sprint("gift-", i))})
				answers <- err
			}()
			if i == 0 {
				<-waiting
			}
			synctest.Wait()
		}
		refused(t, <-answers) // the queue holds 10 beside the one that is being synced
		for i := range 100 {
			must(t, l, "room", danmaku(fmt.Sprint("danmaku-", i)))
			must(t, l, "another", danmaku(fmt.Sprint("danmaku-", i)))
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("200 danmaku took %v while an fsync stalls: they wait for nothing", d)
		}
		if n := len(w.got()); n != 101 {
			t.Errorf("a follower was given %d events while an fsync stalls, want the one before and 100 danmaku", n)
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := l.Append(short, "another", []*im.Event{gift("late")}); !errors.Is(err, im.ErrNotStored) {
			t.Errorf("Append returned %v while the queue is full", err)
		}
		pass(5 * time.Second)
		release()
		for range 11 {
			if err := <-answers; err != nil {
				t.Errorf("a gift that waited for the stalled fsync: %v", err)
			}
		}
		if n := len(w.got()); n != 112 {
			t.Errorf("a follower was given %d events after the stall, want 112", n)
		}
		checkOrder(t, w.got())
	})
}

// TestStallIsBounded has more danmaku pass a stalled fsync than there is headroom.
func TestStallIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := disktest.New()
		l := openFS(t, fsys, Options{VolatileBytes: 64 << 10, CacheBytes: 256 << 10})
		must(t, l, "room", gift("before"))
		waiting, release := fsys.Stall(disktest.Sync, "")
		done := make(chan error)
		go func() {
			_, err := l.Append(context.Background(), "room", []*im.Event{gift("stalled")})
			done <- err
		}()
		<-waiting
		n := 0
		for ; ; n++ {
			_, err := l.Append(context.Background(), "room", []*im.Event{danmaku(fmt.Sprint("danmaku-", n))})
			if err != nil {
				refused(t, err)
				break
			}
		}
		if n != headroom {
			t.Errorf("%d danmaku passed the stalled fsync, want %d", n, headroom)
		}
		release()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		must(t, l, "room", danmaku("after"))
		s := l.Stats()
		if s.Unwritten == 0 {
			t.Errorf("no volatile event went unwritten with %d bytes of room for them", l.opts.VolatileBytes)
		}
		before := all(t, l, "room")
		checkOrder(t, before)
		p, err := l.Read(context.Background(), "room", im.Range{After: before[0].Pos, Max: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if p.Missed != int(s.Unwritten) {
			t.Errorf("Missed is %d, but %d were never written", p.Missed, s.Unwritten)
		}
	})
}

// checkOrder checks that positions rise.
func checkOrder(t testing.TB, events []*im.Event) {
	t.Helper()
	for i := 1; i < len(events); i++ {
		if events[i].Pos.Seq <= events[i-1].Pos.Seq {
			t.Fatalf("%s comes after %s", events[i].Pos, events[i-1].Pos)
		}
	}
}
