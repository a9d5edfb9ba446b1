package logtest

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/liveim/im"
)

var appendCases = []testCase{
	{"EmptyRoom", testEmptyRoom},
	{"NothingDoesNothing", testAppendNothing},
	{"PositionsRise", testPositionsRise},
	{"LargeCall", testLargeCall},
	{"EventsComeBackAsTheyWere", testRoundTrip},
	{"SlicesStayTheCallers", testCallersSlices},
	{"ConcurrentCalls", testConcurrentAppend},
}

var allClasses = []im.Class{im.Critical, im.Normal, im.Volatile, im.Merged}

func testEmptyRoom(f *fixture) {
	head := f.head(f.room)
	if head.Seq != 0 {
		f.Fatalf("Head of a room that nobody wrote to is %s: want Seq 0", head)
	}
	if again := f.head(f.room); again != head {
		f.Fatalf("Head of an empty room was %s and is now %s: it may change only with the room", head, again)
	}
	for _, r := range []im.Range{{}, {After: head}, {Before: head}, {Newest: true}, {After: head, Max: 1}} {
		if p := f.read(f.room, r); len(p.Events) != 0 || p.More || p.Missed != 0 {
			f.Fatalf("Read of an empty room, range %+v, returned %+v: want an empty page", r, p)
		}
	}
	tail := f.follow(f.room, head)
	events := Events(im.Normal, "first")
	at := f.store(f.room, events...)
	if at[0].Epoch != head.Epoch {
		f.Fatalf("Head of the empty room promised epoch %q, but its first event is at %s", head.Epoch, at[0])
	}
	f.wantEvents(tail.until("first"), events, "following from the head of an empty room starts with its first event")
}

func testAppendNothing(f *fixture) {
	f.store(f.room, Events(im.Normal, "a")...)
	before := f.head(f.room)
	if out := f.append(f.room); len(out) != 0 {
		f.Fatalf("Append of an empty slice returned %d results", len(out))
	}
	if now := f.head(f.room); now != before {
		f.Fatalf("Append of an empty slice moved the head from %s to %s", before, now)
	}
}

func testPositionsRise(f *fixture) {
	var last im.Position
	for i := range 20 {
		class := allClasses[i%len(allClasses)]
		for _, p := range f.store(f.room, Events(class, names(fmt.Sprint("call", i), 1+i%5)...)...) {
			if !last.IsZero() && (p.Epoch != last.Epoch || p.Seq <= last.Seq) {
				f.Fatalf("an event was stored at %s, after %s: positions rise strictly over the classes and calls of a room", p, last)
			}
			last = p
		}
		if head := f.head(f.room); head != last {
			f.Fatalf("Head is %s after Append stored up to %s: an event counts when Append returns", head, last)
		}
	}
}

func testLargeCall(f *fixture) {
	events := Events(im.Normal, names("e", 600)...)
	at := f.store(f.room, events...)
	got := f.all(f.room)
	f.wantEvents(got, events, "a call may hold any number of events")
	for i, e := range got {
		if e.Pos != at[i] {
			f.Fatalf("event %q is at %s, but Append said %s", e.ID, e.Pos, at[i])
		}
	}
}

func testRoundTrip(f *fixture) {
	long := `"` + string(bytes.Repeat([]byte("弹幕"), 600)) + `"`
	var events []*im.Event
	for i, body := range []string{`{}`, `null`, `0`, `""`, `[1, 2,  3]`, `{"b":1, "a":2, "b":3}`, `1e400`, `"\u0000<&>\ud83d\ude00😀"`, long} {
		for _, class := range allClasses {
			e := Event("custom.kind-1", class, fmt.Sprintf("%d-%s", i, class), body)
			e.At = time.Date(2026, 7, 1, 12, 30, 59, i*987_654_321/10, time.FixedZone("", 8*3600))
			events = append(events, e)
		}
	}
	host := Event(im.Notice, im.Critical, "from the host", `{"text":"hi"}`)
	host.From = im.Author{}
	bare := Event(im.Notice, im.Critical, "no digest", `{"text":"hi"}`)
	bare.Digest = ""
	events = append(events, host, bare)

	tail := f.follow(f.room, f.head(f.room))
	f.store(f.room, events...)
	f.wantEvents(f.all(f.room), events, "Read returns what was appended, the body byte for byte, the time to the millisecond")
	f.wantEvents(tail.until("no digest"), events, "Follow delivers what was appended, the body byte for byte, the time to the millisecond")
}

// testCallersSlices checks both directions: what is passed in may be changed
// after the call, and what was handed out does not change with the log.
func testCallersSlices(f *fixture) {
	given := Events(im.Critical, "a", "b", "c")
	for _, e := range given {
		e.Pos = im.Position{Epoch: "callers", Seq: 99}
	}
	want := make([]*im.Event, len(given))
	for i, e := range given {
		c := *e
		want[i] = &c
	}
	tail := f.follow(f.room, im.Position{})
	f.store(f.room, given...)
	for i, e := range given {
		if e.Pos != want[i].Pos || differ(e, want[i]) != "" {
			f.Fatalf("Append changed an event that it was given: events belong to the caller, and its own copy carries Pos")
		}
		*e = im.Event{ID: "changed by the caller", Digest: "changed"}
		given[i] = nil
	}
	const rule = "the caller may change its slice and its events after Append returned"
	page := f.read(f.room, im.Range{})
	f.wantEvents(page.Events, want, rule)
	f.wantEvents(tail.until("c"), want, rule)
	if out := f.append(f.room, want...); out[0].Status != im.Duplicate || out[2].Status != im.Duplicate {
		f.Fatalf("a retry is answered %s and %s, want duplicate: %s", out[0].Status, out[2].Status, rule)
	}

	kept := slices.Clone(page.Events)
	f.store(f.room, Events(im.Normal, names("more", 300)...)...)
	if !slices.Equal(page.Events, kept) {
		f.Fatalf("the slice of a page changed with later events: what was handed out is never changed again")
	}
	f.wantEvents(page.Events, want, "events that were handed out are never changed again")
}

func testConcurrentAppend(f *fixture) {
	const calls, size = 20, 3
	seen := make([][]im.Position, f.h.Concurrency)
	f.concurrently(func(g int) {
		for i := range calls {
			ids := names(fmt.Sprintf("g%d-%d", g, i), size)
			out, err := f.tryAppend(f.room, Events(im.Normal, ids...)...)
			if err != nil {
				f.Errorf("Append: %v", err)
				return
			}
			for _, a := range out {
				seen[g] = append(seen[g], a.Pos)
			}
		}
	})
	owner := map[im.Position]int{}
	for g, at := range seen {
		for i, p := range at {
			if i > 0 && p.Seq <= at[i-1].Seq {
				f.Fatalf("a goroutine stored an event at %s after one at %s: its second call began after the first returned", p, at[i-1])
			}
			if other, ok := owner[p]; ok {
				f.Fatalf("%s was given to two events, of goroutines %d and %d", p, other, g)
			}
			owner[p] = g
		}
	}
	if n := len(f.all(f.room)); n != len(owner) {
		f.Fatalf("Read finds %d events, but %d were stored", n, len(owner))
	}
}

// concurrently runs one goroutine per unit of Concurrency and waits for them.
// They may call Errorf, but not Fatalf.
func (f *fixture) concurrently(do func(g int)) {
	f.Helper()
	var wg sync.WaitGroup
	start := make(chan struct{})
	for g := range f.h.Concurrency {
		wg.Go(func() {
			<-start
			do(g)
		})
	}
	close(start)
	wg.Wait()
	if f.t.Failed() {
		f.t.FailNow()
	}
}
