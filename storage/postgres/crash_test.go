package postgres

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest/logtest"
)

// writer appends events one by one, each until it is acknowledged, and notes
// where they stand.
type writer struct {
	acked    map[string]im.Position
	failures int
	lies     []string // answers that contradict each other
}

func (w *writer) run(t *testing.T, l *Log, name string, stop <-chan struct{}) {
	w.acked = map[string]im.Position{}
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		id := fmt.Sprintf("%s-%d", name, i)
		unknown := false // whether an earlier try may have stored it
		for {
			out, err := l.Append(t.Context(), "room", logtest.Events(im.Critical, id))
			if err == nil {
				if out[0].Status == im.Conflict || out[0].Status == im.Duplicate && !unknown {
					w.lies = append(w.lies, fmt.Sprintf("%s is %s, though every failure said that nothing was stored", id, out[0].Status))
				}
				w.acked[id] = out[0].Pos
				break
			}
			w.failures++
			unknown = unknown || !errors.Is(err, im.ErrNotStored)
			select {
			case <-t.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

// The server is killed under load, again and again, in both ways: nothing that
// was acknowledged is lost, nothing is there twice, and followers on two nodes miss
// nothing.
func TestServerIsKilledUnderLoad(t *testing.T) {
	server.mustBeOurs(t)
	schema := newSchema(t)
	nodes := []*Log{openLog(t, LogOptions{Schema: schema, Poll: 200 * time.Millisecond}), openLog(t, LogOptions{Schema: schema, Poll: 200 * time.Millisecond})}
	tails := []*tail{follow(t, nodes[0], "room", im.Position{}), follow(t, nodes[1], "room", im.Position{})}
	writers := make([]writer, 8)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { writers[i].run(t, nodes[i%2], fmt.Sprint("w", i), stop) })
	}
	for i := range 4 {
		before := len(tails[0].places())
		if i%2 == 0 {
			server.crash(t)
		} else {
			killOne(t)
		}
		tails[0].await(t, 20*time.Second, "new events after a crash", func(events []*im.Event, _ error) bool { return len(events) > before+100 })
	}
	close(stop)
	wg.Wait()
	mustAppend(t, nodes[0], "room", logtest.Events(im.Critical, "last")...)

	acked, failures := map[string]im.Position{}, 0
	for _, w := range writers {
		maps.Copy(acked, w.acked)
		failures += w.failures
		for _, lie := range w.lies {
			t.Error(lie)
		}
	}
	for n, w := range tails {
		w.until(t, "last")
		checkOnce(t, fmt.Sprint("node ", n), w.events, acked)
	}
	t.Logf("%d acknowledged, %d failures on the way", len(acked), failures)
	if failures == 0 {
		t.Error("no append failed, so that nothing was tested")
	}
}

// checkOnce checks that all that was acknowledged was delivered where it was
// said to stand, in order, and nothing twice.
func checkOnce(t *testing.T, who string, events []*im.Event, acked map[string]im.Position) {
	t.Helper()
	seen := map[string]bool{}
	var last uint64
	for _, e := range events {
		if seen[e.ID] {
			t.Errorf("%s: %s was delivered twice", who, e.ID)
		}
		if e.Pos.Seq <= last {
			t.Errorf("%s: %s came after %d", who, e.Pos, last)
		}
		if at, ok := acked[e.ID]; ok && at != e.Pos {
			t.Errorf("%s: %s stands at %s, but was acknowledged at %s", who, e.ID, e.Pos, at)
		}
		seen[e.ID], last = true, e.Pos.Seq
	}
	lost := 0
	for id := range acked {
		if !seen[id] {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%s: %d of %d acknowledged events are lost", who, lost, len(acked))
	}
}

// killOne kills one process of the server as the kernel would when memory runs
// out. The server then throws out everybody and recovers.
func killOne(t *testing.T) {
	t.Helper()
	var pid int
	for { // the first connections may be of before the last crash
		err := database(t).QueryRow(t.Context(), "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' ORDER BY (state = 'active') DESC, random() LIMIT 1").Scan(&pid)
		if err == nil {
			break
		}
		select {
		case <-t.Context().Done():
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// With synchronous_commit off a crash may lose what was acknowledged: the log
// says so, and no position names two events, since each crash begins an epoch.
func TestLooseServerBeginsAnEpochPerCrash(t *testing.T) {
	server.mustBeOurs(t)
	schema := newSchema(t)
	c := database(t).Config()
	c.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
	pool := newPool(t, c)
	open := func() *Log {
		l, err := NewLog(t.Context(), pool, &LogOptions{Schema: schema})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		return l
	}
	l := open()
	if d := l.Durability(); d != im.DurabilityMemory {
		t.Errorf("Durability is %d with synchronous_commit off, want DurabilityMemory", d)
	}
	named := map[string]string{}
	for round := range 3 {
		for i := range 20 {
			for _, room := range []string{"old", fmt.Sprint("new in ", round)} {
				id := fmt.Sprint(round, "-", i)
				key := room + mustAppend(t, l, room, logtest.Events(im.Normal, id)...)[0].Pos.String()
				if other, ok := named[key]; ok {
					t.Fatalf("%s names %s and %s", key, other, id)
				}
				named[key] = id
			}
		}
		before, err := l.Head(t.Context(), "old")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		server.crashQuietly(t)
		pool.Reset()
		l = open()
		if at := mustAppend(t, l, "old", logtest.Events(im.Normal, fmt.Sprint("after ", round))...)[0].Pos; at.Epoch == before.Epoch {
			t.Errorf("the epoch is %s before and after the crash", at.Epoch)
		}
	}
}

// After a failover a room that is written to begins an epoch: its events, IDs
// and snapshot stay, and old positions are gaps.
func TestFailoverBeginsAnEpoch(t *testing.T) {
	l := openLog(t, LogOptions{Schema: newSchema(t)})
	old := mustAppend(t, l, "room", logtest.Events(im.Critical, "a", "b")...)
	if err := l.SaveSnapshot(t.Context(), "room", im.Snapshot{Pos: old[1].Pos, Data: []byte(`1`)}); err != nil {
		t.Fatal(err)
	}
	w := follow(t, l, "room", old[0].Pos)
	empty, err := l.Head(t.Context(), "empty")
	if err != nil {
		t.Fatal(err)
	}
	run(t, l.schema.sql("UPDATE @.room SET era = 'of the old server'"))
	run(t, l.schema.sql("UPDATE @.meta SET era = 'of the old server'"))

	out := mustAppend(t, l, "room", logtest.Events(im.Critical, "a", "c")...)
	if out[0].Status != im.Duplicate || out[1].Status != im.Stored || out[1].Pos.Epoch == old[0].Pos.Epoch {
		t.Errorf("after the failover a retry is %s, and a new event %s at %s; the epoch was %s", out[0].Status, out[1].Status, out[1].Pos, old[0].Pos.Epoch)
	}
	w.await(t, 10*time.Second, "the end with ErrGap", func(_ []*im.Event, err error) bool { return errors.Is(err, im.ErrGap) })
	if _, err := l.Read(t.Context(), "room", im.Range{After: old[0].Pos}); !errors.Is(err, im.ErrGap) {
		t.Errorf("Read after an old position: %v, want ErrGap", err)
	}
	if p, err := l.Read(t.Context(), "room", im.Range{}); err != nil || len(p.Events) != 3 {
		t.Errorf("%d events are kept, want 3; error %v", len(p.Events), err)
	}
	if s, ok, err := l.LoadSnapshot(t.Context(), "room"); !ok || s.Pos.Epoch != out[1].Pos.Epoch || string(s.Data) != "1" {
		t.Errorf("the snapshot is %v, there %v, error %v: want it in the new epoch", s, ok, err)
	}
	if at := mustAppend(t, l, "empty", logtest.Events(im.Critical, "a")...)[0].Pos; at.Epoch == empty.Epoch {
		t.Errorf("a room that may have been written to before the failover begins at %s, in the old epoch", at)
	}
}
