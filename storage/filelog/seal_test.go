package filelog

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/disk/disktest"
	"github.com/liveim/im/storage/filelog/internal/segment"
)

// TestSealedRoomIsTheSame reads a room while its segments are sealed, and after a restart.
func TestSealedRoomIsTheSame(t *testing.T) {
	fsys := disktest.New()
	l := openFS(t, fsys, Options{SegmentBytes: 4 << 10})
	var want []*im.Event
	for i, id := range numbered("e", 500) {
		e := gift(id)
		if i%3 == 0 {
			e = danmaku(id)
		}
		must(t, l, "room", e)
		want = append(want, e)
		if i%50 == 0 {
			if got := ids(all(t, l, "room")); got != ids(want) {
				t.Fatalf("the room holds %s after %d events", got, i+1)
			}
		}
	}
	waitSealed(t, l)
	before := all(t, l, "room")
	if len(l.files.list()) < 3 {
		t.Fatalf("%d segments are sealed: the test wants several", len(l.files.list()))
	}
	if n := len(l.rooms.shard("room").rooms["room"].tail.entries); n > 50 {
		t.Errorf("%d events of sealed segments are in memory still", n)
	}
	l.Close()
	l = openFS(t, fsys, Options{SegmentBytes: 4 << 10})
	after := all(t, l, "room")
	if ids(after) != ids(want) {
		t.Fatalf("the room holds %s after a restart", ids(after))
	}
	for i := range after {
		if after[i].Pos != before[i].Pos {
			t.Fatalf("%s was at %s and is at %s", after[i].ID, before[i].Pos, after[i].Pos)
		}
	}
	for i, e := range want {
		out, err := l.Append(context.Background(), "room", []*im.Event{e})
		if err != nil || out[0].Status != im.Duplicate || out[0].Pos != after[i].Pos {
			t.Fatalf("a retry of %s is answered %+v, %v, want duplicate at %s", e.ID, out, err, after[i].Pos)
		}
	}
}

// TestDropped drops segments by age and checks what must live on: the snapshot, the epoch, and where there is a gap.
func TestDropped(t *testing.T) {
	ctx := context.Background()
	fsys := disktest.New()
	c := newTick()
	o := Options{SegmentBytes: 2 << 10, KeepAge: time.Hour, Now: c.Now}
	l := openFS(t, fsys, o)
	at := must(t, l, "room", gift("old"))
	head, _ := l.Head(ctx, "room")
	if err := l.SaveSnapshot(ctx, "room", im.Snapshot{Pos: head, Data: []byte(`"state"`)}); err != nil {
		t.Fatal(err)
	}
	for _, id := range numbered("old", 30) {
		must(t, l, "room", gift(id))
		must(t, l, "quiet", gift(id))
	}
	quiet, _ := l.Head(ctx, "quiet")
	must(t, l, "filler", gift("y"+strings.Repeat("x", 4000))) // ends the segment
	c.advance(90 * time.Minute)
	young := logtestAt("young", c.Now())
	must(t, l, "room", young)
	must(t, l, "filler", logtestAt(strings.Repeat("x", 4000), c.Now()))
	must(t, l, "filler", logtestAt("last", c.Now()))
	waitSealed(t, l)
	if err := l.Trim(ctx, c.Now()); err != nil {
		t.Fatal(err)
	}
	if n := l.Stats().Segments; n > 3 {
		t.Errorf("%d segments are left", n)
	}
	check := func(l *Log) {
		t.Helper()
		if got := ids(all(t, l, "room")); got != "young " {
			t.Errorf("the room holds %s", got)
		}
		s, ok, err := l.LoadSnapshot(ctx, "room")
		if err != nil || !ok || string(s.Data) != `"state"` || s.Pos.Seq != at[0] {
			t.Errorf("the snapshot is %+v, %v, %v", s, ok, err)
		}
		if now, _ := l.Head(ctx, "room"); now.Epoch != head.Epoch {
			t.Errorf("the epoch was %s and is %s", head.Epoch, now.Epoch)
		}
		if _, err := l.Read(ctx, "room", im.Range{After: head}); !errors.Is(err, im.ErrGap) {
			t.Errorf("Read after an event that was dropped returned %v, want ErrGap", err)
		}
		if now, _ := l.Head(ctx, "quiet"); now.Epoch == quiet.Epoch {
			r := l.rooms.lockExisting("quiet")
			defer r.mu.Unlock()
			t.Errorf("a room of which nothing is left keeps its epoch: it was not forgotten: %+v", r)
		}
	}
	check(l)
	l.Close()
	l = openFS(t, fsys, o)
	check(l)
}

// logtestAt is a gift that was accepted at some time.
func logtestAt(id string, at time.Time) *im.Event {
	e := gift(id)
	e.At = at
	return e
}

// TestMissedOverRestart counts danmaku that passed a gift on its way to the disk, after a restart.
func TestMissedOverRestart(t *testing.T) {
	ctx := context.Background()
	fsys := disktest.New()
	o := Options{SegmentBytes: 1 << 10, KeepVolatile: 5}
	l := openFS(t, fsys, o)
	must(t, l, "room", danmaku("first"))
	waiting, release := fsys.Stall(disktest.Sync, "*.log")
	var gifts []im.Appended
	done := make(chan struct{})
	go func() {
		defer close(done)
		gifts, _ = l.Append(ctx, "room", []*im.Event{gift("stalled")})
	}()
	<-waiting
	for _, id := range numbered("passed", 3) {
		must(t, l, "room", danmaku(id))
	}
	release()
	<-done
	for _, id := range numbered("after", 20) {
		must(t, l, "room", danmaku(id))
	}
	must(t, l, "room", gift("end"))
	check := func() {
		t.Helper()
		p, err := l.Read(ctx, "room", im.Range{After: gifts[0].Pos})
		if err != nil || p.Missed != 15 || len(p.Events) != 6 {
			t.Errorf("Read returned %s, Missed %d, %v: want the newest 5 danmaku and a gift, and 15 missed", ids(p.Events), p.Missed, err)
		}
	}
	check()
	l.Close()
	l = openFS(t, fsys, o)
	check()
	fill := strings.Repeat("x", 1<<10)
	must(t, l, "other", gift(fill))
	must(t, l, "other", gift("x"))
	waitSealed(t, l)
	check()
	l.Close()
	l = openFS(t, fsys, o)
	check()
}

// TestRewritten rewrites a segment of which most is past the numbers that are kept.
func TestRewritten(t *testing.T) {
	ctx := context.Background()
	fsys := disktest.New()
	l := openFS(t, fsys, Options{SegmentBytes: 64 << 10, KeepEvents: 100})
	for _, id := range numbered("keep", 20) {
		must(t, l, "quiet", gift(id))
	}
	var events []*im.Event
	for _, id := range numbered("e", 400) {
		events = append(events, gift(id))
	}
	must(t, l, "busy", events...)
	must(t, l, "filler", gift(strings.Repeat("x", 60<<10)))
	must(t, l, "filler", gift("last"))
	waitSealed(t, l)
	must(t, l, "busy", logtestMany("more", 100)...)
	before := l.files.list()[0].Size()
	if err := l.Trim(ctx, l.opts.Now()); err != nil {
		t.Fatal(err)
	}
	if after := l.files.list()[0].Size(); after >= before {
		t.Errorf("the segment had %d bytes and has %d", before, after)
	}
	if got := len(all(t, l, "quiet")); got != 20 {
		t.Errorf("a quiet room has %d events, want 20", got)
	}
	if got := all(t, l, "busy"); len(got) != 100 || got[0].ID != "more-0" {
		t.Errorf("a busy room has %d events from %s on", len(got), got[0].ID)
	}
}

func logtestMany(prefix string, n int) []*im.Event {
	events := make([]*im.Event, n)
	for i, id := range numbered(prefix, n) {
		events[i] = gift(id)
	}
	return events
}

// TestDamagedBlock flips bytes of a sealed segment: what it held is a gap, and all else is there.
func TestDamagedBlock(t *testing.T) {
	ctx := context.Background()
	fsys := disktest.New()
	l := openFS(t, fsys, Options{SegmentBytes: 64 << 10})
	at := must(t, l, "first", logtestMany("e", 10)...)
	must(t, l, "second", gift(strings.Repeat("x", 64<<10)))
	head, _ := l.Head(ctx, "first")
	must(t, l, "second", gift("b"))
	waitSealed(t, l)
	l.Close()
	path := "log/" + segment.SealedName(1)
	data := fsys.Bytes(path)
	data[300]++ // in the first block, which is that of the first room
	fsys.SetBytes(path, data)
	l = openFS(t, fsys, Options{SegmentBytes: 64 << 10})
	must(t, l, "first", gift("later"))
	if got := all(t, l, "first"); len(got) == 11 {
		t.Fatal("the damaged byte was not in a block of the room: mend the test")
	}
	if len(l.Damage()) == 0 {
		t.Error("Damage names nothing")
	}
	if _, err := l.Read(ctx, "first", im.Range{After: im.Position{Epoch: head.Epoch, Seq: at[2]}}); !errors.Is(err, im.ErrGap) {
		t.Errorf("Read over the damage returned %v, want ErrGap", err)
	}
	p, err := l.Read(ctx, "first", im.Range{After: head})
	if err != nil || ids(p.Events) != "later " {
		t.Errorf("Read after the damage returned %s, %v", ids(p.Events), err)
	}
	if got := len(all(t, l, "second")); got != 2 {
		t.Errorf("another room has %d events, want 2", got)
	}
	r, err := verify(ctx, fsys, "log")
	if err != nil || len(r.Damage) == 0 {
		t.Errorf("Verify finds %v, %v", r.Damage, err)
	}
	found := false
	for _, d := range r.Damage {
		for _, s := range d.Rooms {
			found = found || s.Room == "first" && s.First <= at[0] && s.Last >= at[9]
		}
	}
	if !found {
		t.Errorf("Verify does not say what the damage held: %+v", r.Damage)
	}
}
