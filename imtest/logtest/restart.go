package logtest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/liveim/im"
)

// testRestart checks what must hold over a restart, clean or not, of a log
// whose storage stays: what Append confirmed is there, and no position names
// two events.
func testRestart(f *fixture, restart func(t *testing.T, old im.Log) im.Log) {
	named := map[im.Position]string{} // which event a position names
	snapshots := false
	var want []*im.Event
	for round := range 4 {
		const kept = "events that Append confirmed survive a restart, with their positions"
		got := f.all(f.room)
		f.wantEvents(got, want, kept)
		for _, e := range got {
			if named[e.Pos] != e.ID {
				f.Fatalf("%s names event %q, and named %q before: %s", e.Pos, e.ID, named[e.Pos], kept)
			}
		}
		if len(want) > 0 {
			last := got[len(got)-1]
			f.wantAppended(f.append(f.room, want[len(want)-1])[0], im.Duplicate, last.Pos, "IDs are remembered over a restart as long as their events are kept")
			if head := f.head(f.room); head.Epoch != last.Pos.Epoch || head.Seq < last.Pos.Seq {
				f.Fatalf("Head is %s after a restart, but the newest event is at %s", head, last.Pos)
			}
			if snapshots {
				f.wantSnapshot(f.room, last.Pos, fmt.Sprint(round-1), "a snapshot survives a restart")
			}
			tail := f.follow(f.room, got[0].Pos)
			f.wantEvents(tail.until(last.ID), want[1:], "following goes on after a restart from an old position")
			tail.stop()
		}

		events := Events(im.Critical, names(fmt.Sprint("critical-", round), 20)...)
		events = append(events, Events(im.Normal, names(fmt.Sprint("normal-", round), 20)...)...)
		want = append(want, events...)
		for i, p := range f.store(f.room, events...) {
			if other, ok := named[p]; ok {
				f.Fatalf("%s named event %q before the restart, and now %q: no position ever names two events, not even after a crash", p, other, events[i].ID)
			}
			named[p] = events[i].ID
		}
		if _, snapshots = f.log.(im.SnapshotLog); snapshots {
			f.save(f.room, f.head(f.room), fmt.Sprint(round))
		}
		f.log = restart(f.t, f.log)
	}
}

// testLose checks that the loss of events begins a new epoch.
func testLose(f *fixture) {
	gone := "room that is lost"
	at := f.store(gone, Events(im.Critical, names("e", 5)...)...)
	snapshots, ok := f.log.(im.SnapshotLog)
	if ok {
		f.save(gone, at[4], `"state"`)
	}
	tail := f.follow(gone, at[1])
	tail.until("e-00004")

	f.h.Lose(f.t, f.log, gone)

	if err := tail.end(); !errors.Is(err, im.ErrGap) {
		f.Fatalf("following ended with error %v when the events were lost, want ErrGap", err)
	}
	const rule = "losing stored events means a new epoch"
	if head := f.head(gone); head.Epoch == at[4].Epoch {
		f.Fatalf("Head is %s after the events up to %s were lost: %s", head, at[4], rule)
	}
	for _, p := range at {
		f.wantGap(gone, p, rule)
	}
	if snapshots != nil {
		f.wantSnapshot(gone, im.Position{}, "", "the epoch of the snapshot is gone")
	}
	again := Events(im.Critical, "e-00004", "new")
	for _, p := range f.store(gone, again...) {
		if p.Epoch == at[0].Epoch {
			f.Fatalf("an event was stored at %s after that epoch's events were lost: %s", p, rule)
		}
	}
	f.wantEvents(f.all(gone), again, "a room whose events were lost starts empty, its IDs forgotten")
}
