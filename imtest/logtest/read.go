package logtest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/liveim/im"
)

var readCases = []testCase{
	{"Ranges", testRanges},
	{"ZeroMaxIsDefaultPage", testDefaultPage},
	{"PagesForwardCoverEverythingOnce", testPagesForward},
	{"PagesBackwardCoverEverythingOnce", testPagesBackward},
	{"OtherRooms", testReadOtherRooms},
}

var gapCases = []testCase{
	{"OtherEpoch", testForeignEpoch},
	{"AfterTheHead", testAfterHead},
	{"NoGap", testNoGap},
}

// fill stores n events of all classes in turn, at most 80 of them volatile, and
// returns them with their positions.
func (f *fixture) fill(n int) ([]*im.Event, []im.Position) {
	f.Helper()
	var events []*im.Event
	for i, id := range names("e", n) {
		events = append(events, Events(allClasses[i%len(allClasses)], id)...)
	}
	var at []im.Position
	for chunk := range slices.Chunk(events, 50) {
		at = append(at, f.store(f.room, chunk...)...)
	}
	return events, at
}

func testRanges(f *fixture) {
	events, at := f.fill(40)
	const n = 40
	beyond := im.Position{Epoch: at[0].Epoch, Seq: at[n-1].Seq + 1000}
	start := im.Position{Epoch: at[0].Epoch}
	for _, c := range []struct {
		what     string
		r        im.Range
		from, to int // of events
		more     bool
	}{
		{"the zero Range", im.Range{}, 0, n, false},
		{"After seq 0", im.Range{After: start}, 0, n, false},
		{"After", im.Range{After: at[9]}, 10, n, false},
		{"After the head", im.Range{After: at[n-1]}, n, n, false},
		{"Before", im.Range{Before: at[10]}, 0, 10, false},
		{"Before the first", im.Range{Before: at[0]}, 0, 0, false},
		{"Before seq 0", im.Range{Before: start}, 0, 0, false},
		{"Before a place that is not reached yet", im.Range{Before: beyond}, 0, n, false},
		{"between", im.Range{After: at[4], Before: at[8]}, 5, 8, false},
		{"between neighbours", im.Range{After: at[4], Before: at[5]}, 0, 0, false},
		{"between the wrong way round", im.Range{After: at[8], Before: at[4]}, 0, 0, false},
		{"between a place and itself", im.Range{After: at[8], Before: at[8]}, 0, 0, false},
		{"Max", im.Range{Max: 7}, 0, 7, true},
		{"Max of exactly all", im.Range{Max: n}, 0, n, false},
		{"Max beyond all", im.Range{Max: 1 << 30}, 0, n, false},
		{"After with Max", im.Range{After: at[9], Max: 1}, 10, 11, true},
		{"After with Max up to the head", im.Range{After: at[n-3], Max: 2}, n - 2, n, false},
		{"Before with Max", im.Range{Before: at[10], Max: 4}, 0, 4, true},
		{"between with Max", im.Range{After: at[4], Before: at[20], Max: 3}, 5, 8, true},
		{"Newest", im.Range{Newest: true, Max: 5}, n - 5, n, true},
		{"Newest of all", im.Range{Newest: true}, 0, n, false},
		{"Newest Before", im.Range{Newest: true, Before: at[20], Max: 5}, 15, 20, true},
		{"Newest After", im.Range{Newest: true, After: at[9], Max: 5}, n - 5, n, true},
		{"Newest After, all of it", im.Range{Newest: true, After: at[34], Max: 5}, 35, n, false},
		{"Newest between", im.Range{Newest: true, After: at[4], Before: at[20], Max: 3}, 17, 20, true},
	} {
		p := f.read(f.room, c.r)
		f.wantEvents(p.Events, events[c.from:c.to], fmt.Sprintf("%s, range %+v", c.what, c.r))
		if p.More != c.more {
			f.Fatalf("%s, range %+v: More is %v, want %v: it says whether the range holds events beyond the page", c.what, c.r, p.More, c.more)
		}
		if p.Missed != 0 {
			f.Fatalf("%s, range %+v: Missed is %d, but no event was dropped", c.what, c.r, p.Missed)
		}
	}
}

func testDefaultPage(f *fixture) {
	events, _ := f.fill(im.DefaultPage + 20)
	p := f.read(f.room, im.Range{})
	f.wantEvents(p.Events, events[:im.DefaultPage], "the zero Range selects the oldest DefaultPage events")
	if !p.More {
		f.Fatalf("More is false with 20 events beyond the page")
	}
	p = f.read(f.room, im.Range{Newest: true})
	f.wantEvents(p.Events, events[20:], "Newest alone selects the newest DefaultPage events")
}

func testPagesForward(f *fixture) {
	events, at := f.fill(200)
	for _, size := range []int{1, 7, 100, 199, 200, 201} {
		var got []*im.Event
		for r := (im.Range{Max: size}); ; {
			p := f.read(f.room, r)
			got = append(got, p.Events...)
			if !p.More {
				break
			}
			r.After = p.Events[len(p.Events)-1].Pos
		}
		f.wantEvents(got, events, fmt.Sprintf("pages of %d, each After the last event of the one before, cover everything once", size))
	}
	for i, e := range f.all(f.room) {
		if e.Pos != at[i] {
			f.Fatalf("event %q is read at %s, but Append said %s", e.ID, e.Pos, at[i])
		}
	}
}

func testPagesBackward(f *fixture) {
	events, _ := f.fill(200)
	for _, size := range []int{1, 7, 100, 199, 200, 201} {
		var got []*im.Event
		for r := (im.Range{Max: size, Newest: true}); ; {
			p := f.read(f.room, r)
			got = append(slices.Clone(p.Events), got...)
			if !p.More {
				break
			}
			r.Before = p.Events[0].Pos
		}
		f.wantEvents(got, events, fmt.Sprintf("Newest pages of %d, each Before the first event of the one before, cover everything once", size))
	}
}

func testReadOtherRooms(f *fixture) {
	mine := Events(im.Normal, "mine 1", "mine 2")
	for _, e := range mine {
		f.store("other", Events(im.Normal, "other "+e.ID)...)
		f.store(f.room, e)
		f.store("another", Events(im.Normal, "another "+e.ID)...)
	}
	f.wantEvents(f.all(f.room), mine, "a room holds what was appended to it and nothing else")
}

func testForeignEpoch(f *fixture) {
	f.store(f.room, Events(im.Normal, "a", "b")...)
	for _, room := range []string{f.room, "empty room"} {
		for _, p := range []im.Position{{Epoch: "no-such-epoch"}, {Epoch: "no-such-epoch", Seq: 1}, {Seq: 1}} {
			f.wantGap(room, p, "the position is not of the current epoch")
			if _, err := f.tryRead(room, im.Range{Before: p}); !errors.Is(err, im.ErrGap) {
				f.Fatalf("Read before %s returned error %v, want one that wraps ErrGap: the position is not of the current epoch", p, err)
			}
		}
	}
}

func testAfterHead(f *fixture) {
	at := f.store(f.room, Events(im.Normal, "a", "b")...)
	const rule = "the position lies after the head, so it is of events that were lost"
	f.wantGap(f.room, im.Position{Epoch: at[1].Epoch, Seq: at[1].Seq + 1}, rule)
	f.wantGap(f.room, im.Position{Epoch: at[1].Epoch, Seq: im.MaxSeq}, rule)
	empty := f.head("empty room")
	f.wantGap("empty room", im.Position{Epoch: empty.Epoch, Seq: 1}, rule)
	if _, err := f.tryRead(f.room, im.Range{After: im.Position{Epoch: at[1].Epoch, Seq: at[1].Seq + 1}, Newest: true}); !errors.Is(err, im.ErrGap) {
		f.Fatalf("Read of the newest events after a place that lies after the head returned error %v, want one that wraps ErrGap", err)
	}
}

func testNoGap(f *fixture) {
	_, at := f.fill(40)
	for i, p := range append([]im.Position{{}, {Epoch: at[0].Epoch}}, at...) {
		page, err := f.tryRead(f.room, im.Range{After: p})
		if err != nil {
			f.Fatalf("Read after %s: %v: everything after it is kept, so there is no gap", p, err)
		}
		if want := 40 - max(0, i-1); len(page.Events) != want {
			f.Fatalf("Read after %s found %d events, want %d", p, len(page.Events), want)
		}
	}
}
