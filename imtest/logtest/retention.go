package logtest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/liveim/im"
)

type retentionCase struct {
	name string
	test func(f *fixture, r *Retention, advance func(time.Duration))
}

var retentionCases = []retentionCase{
	{"DroppedEventsAreAGap", testTrimDurable},
	{"DroppedVolatileEventsAreMissed", testTrimVolatile},
	{"VolatileEventsEvictNoOthers", testVolatileFlood},
	{"IDsOfKeptEventsAreRemembered", testTrimmedIDs},
	{"FollowersMissNothing", testFollowTrimmed},
}

// overfill stores so many events of the classes, in turn, that some must go,
// and returns them with their positions.
func (f *fixture) overfill(n int, advance func(time.Duration), classes ...im.Class) ([]*im.Event, []im.Position) {
	f.Helper()
	var events []*im.Event
	for i, id := range names("e", n) {
		events = append(events, Events(classes[i%len(classes)], id)...)
	}
	var at []im.Position
	for chunk := range slices.Chunk(events, 7) {
		at = append(at, f.store(f.room, chunk...)...)
	}
	advance(0)
	return events, at
}

// eventually tries until ok, for logs that drop what they may only after a
// while. Each try stores an event in a room that does not matter.
func (f *fixture) eventually(what string, ok func() bool) {
	f.Helper()
	deadline := time.Now().Add(patience)
	for i := 0; !ok(); i++ {
		if time.Now().After(deadline) {
			f.Fatalf("%v passed and it is not so that %s", patience, what)
		}
		f.store("does not matter", Events(im.Normal, fmt.Sprint("try-", i))...)
	}
}

func testTrimDurable(f *fixture, r *Retention, advance func(time.Duration)) {
	n := 2*r.Events + r.Slack + 10
	events, at := f.overfill(n, advance, im.Critical, im.Normal, im.Merged)
	first := n - r.Events - r.Slack // the first that may be kept
	sure := n - r.Events            // the first that must be
	f.eventually("the oldest events are dropped", func() bool {
		_, err := f.tryRead(f.room, im.Range{After: at[first-2]})
		return errors.Is(err, im.ErrGap)
	})

	kept := f.all(f.room)
	if len(kept) < r.Events || len(kept) > n-first {
		f.Fatalf("%d critical, normal and merged events are kept, want %d to %d", len(kept), r.Events, n-first)
	}
	f.wantEvents(kept, events[n-len(kept):], "the newest events are kept, and zero After is never a gap")
	for i := range first - 1 {
		f.wantGap(f.room, at[i], "the event after it is no longer kept")
	}
	for i := sure - 1; i < n; i++ {
		f.wantEvents(f.read(f.room, im.Range{After: at[i], Max: n}).Events, events[i+1:], "no event after that position was dropped, so there is no gap")
	}
	f.wantGap(f.room, im.Position{Epoch: at[0].Epoch}, "events after seq 0 are no longer kept")
	tail := f.follow(f.room, at[sure-1])
	f.wantEvents(tail.until(events[n-1].ID), events[sure:], "following goes on from a position after which nothing was dropped")
	if head := f.head(f.room); head != at[n-1] {
		f.Fatalf("Head is %s after old events were dropped, want %s", head, at[n-1])
	}
}

func testTrimVolatile(f *fixture, r *Retention, advance func(time.Duration)) {
	before := f.store(f.room, Events(im.Critical, "before")...)[0]
	n := 2*r.Volatile + r.Slack + 10
	events, at := f.overfill(n, advance, im.Volatile)
	after := Events(im.Critical, "after")
	f.store(f.room, after...)
	var p im.Page
	f.eventually("the oldest volatile events are dropped", func() bool {
		p = f.read(f.room, im.Range{After: before, Max: n + 10})
		return len(p.Events) <= r.Volatile+r.Slack+1
	})
	kept := len(p.Events) - 1
	if kept < r.Volatile {
		f.Fatalf("%d volatile events are kept, want at least %d", kept, r.Volatile)
	}
	f.wantEvents(p.Events, append(events[n-kept:], after...), "the newest volatile events are kept, and those that are gone are no gap")
	f.wantMissed(p, n-kept)
	for _, i := range []int{0, 1, (n - kept) / 2, n - kept - 2, n - kept - 1, n - kept, n - 2, n - 1} {
		p := f.read(f.room, im.Range{After: at[i], Max: n + 10})
		f.wantMissed(p, max(0, n-kept-1-i))
	}
	if p := f.read(f.room, im.Range{After: before, Before: at[n-kept-1]}); len(p.Events) != 0 {
		f.Fatalf("a range of events that are gone holds %q", idsOf(p.Events))
	} else {
		f.wantMissed(p, n-kept-1)
	}
	f.read(f.room, im.Range{})                            // read checks that Missed is 0
	f.read(f.room, im.Range{After: before, Newest: true}) // likewise
}

// wantMissed checks Page.Missed: at most as many as are gone, and not 0 if any.
func (f *fixture) wantMissed(p im.Page, gone int) {
	f.Helper()
	if p.Missed > gone || p.Missed == 0 && gone > 0 {
		f.Fatalf("Missed is %d with %d volatile events gone: it counts them, or as many as the log knows of, at least 1", p.Missed, gone)
	}
}

func testVolatileFlood(f *fixture, r *Retention, advance func(time.Duration)) {
	durable := Events(im.Critical, names("critical", r.Events)...)
	at := f.store(f.room, durable...)
	events, _ := f.overfill(r.Events+3*(r.Volatile+r.Slack), advance, im.Volatile)
	p := f.read(f.room, im.Range{After: at[0], Max: r.Events - 1})
	f.wantEvents(p.Events, durable[1:], "any number of volatile events evicts no event of another class")

	again := Events(im.Critical, names("more", 3*(r.Events+r.Slack))...)
	f.store(f.room, again...)
	advance(0)
	p = f.read(f.room, im.Range{Newest: true, Before: f.head(f.room), Max: 1 << 20})
	got := slices.DeleteFunc(slices.Clone(p.Events), func(e *im.Event) bool { return e.Class != im.Volatile })
	if len(got) < r.Volatile {
		f.Fatalf("%d volatile events are left after a flood of critical ones, want at least %d: classes are kept apart", len(got), r.Volatile)
	}
	f.wantEvents(got, events[len(events)-len(got):], "the newest volatile events are kept")
}

func testTrimmedIDs(f *fixture, r *Retention, advance func(time.Duration)) {
	for _, class := range []im.Class{im.Critical, im.Volatile} {
		f.room = "room of " + class.String()
		events, at := f.overfill(2*(r.Events+r.Volatile+r.Slack), advance, class)
		const rule = "an ID is remembered at least as long as its event is kept"
		n := r.Events
		if class == im.Volatile {
			n = r.Volatile
		}
		for i := len(events) - n; i < len(events); i++ {
			f.wantAppended(f.append(f.room, events[i])[0], im.Duplicate, at[i], rule)
		}
	}
}

func testFollowTrimmed(f *fixture, r *Retention, advance func(time.Duration)) {
	tail := f.follow(f.room, im.Position{})
	n := 3 * (r.Events + r.Slack)
	events, _ := f.overfill(n, advance, im.Critical, im.Normal)
	tail.await("all events or a gap", func() bool { return len(tail.events) == n || tail.err != nil })
	tail.mu.Lock()
	defer tail.mu.Unlock()
	f.wantEvents(tail.events, events[:len(tail.events)], "a follower gets every event, or ErrGap where some were dropped before they were delivered")
	if tail.err != nil && !errors.Is(tail.err, im.ErrGap) {
		f.Fatalf("following ended with %v, want ErrGap", tail.err)
	}
}

func testAge(f *fixture, r *Retention, advance func(time.Duration)) {
	old := f.store(f.room, Events(im.Critical, "old-1", "old-2")...)
	f.store(f.room, Events(im.Volatile, "old-3")...)
	advance(r.Age / 2)
	young := Events(im.Critical, "young-1", "young-2")
	at := f.store(f.room, young...)
	advance(r.Age/2 + r.Age/4)
	f.eventually("events past their age are dropped", func() bool {
		_, err := f.tryRead(f.room, im.Range{After: old[0]})
		return errors.Is(err, im.ErrGap)
	})
	got := slices.DeleteFunc(f.all(f.room), func(e *im.Event) bool { return e.Class == im.Volatile })
	f.wantEvents(got, young, "events that have not reached their age are kept")
	f.read(f.room, im.Range{After: old[1]}) // nothing but a volatile event after it was dropped: no gap

	advance(10 * r.Age)
	f.eventually("all events are past their age and dropped", func() bool { return len(f.all(f.room)) == 0 })
	next := Events(im.Critical, "next")
	p := f.store(f.room, next...)[0]
	if p.Epoch == at[1].Epoch && p.Seq <= at[1].Seq {
		f.Fatalf("%s was given to a second event after all events were dropped", p)
	}
	f.wantEvents(f.all(f.room), next, "a room goes on after all its events were dropped")
}
