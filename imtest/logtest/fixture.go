package logtest

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"testing"

	"github.com/liveim/im"
)

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// fixture is a log under test, with calls that must succeed. Each of them
// checks what is true of every call.
type fixture struct {
	tester
	t    *testing.T // nil in a fixture for rapid
	h    *Harness   // nil likewise, and in retention tests
	log  im.Log
	room string // the room of cases that need but one
}

func newFixture(t tester, l im.Log) *fixture {
	if l == nil {
		t.Fatalf("logtest: Open returned a nil log")
	}
	return &fixture{tester: t, log: l, room: "room"}
}

func background() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// append appends events and returns their results, of which there must be one
// each, in rising positions for those that were stored now.
func (f *fixture) append(room string, events ...*im.Event) []im.Appended {
	f.Helper()
	out, err := f.tryAppend(room, events...)
	if err != nil {
		f.Fatalf("Append of %d events to room %q: %v", len(events), room, err)
	}
	return out
}

func (f *fixture) tryAppend(room string, events ...*im.Event) ([]im.Appended, error) {
	f.Helper()
	ctx, cancel := background()
	defer cancel()
	out, err := f.log.Append(ctx, room, events)
	if err == nil {
		f.checkAppended(out, len(events))
	}
	return out, err
}

func (f *fixture) checkAppended(out []im.Appended, n int) {
	f.Helper()
	if len(out) != n {
		f.Fatalf("Append of %d events returned %d results: there must be one per event", n, len(out))
	}
	var last im.Position
	for i, a := range out {
		f.checkPosition(a.Pos)
		switch a.Status {
		case im.Stored:
			if !last.IsZero() && (a.Pos.Epoch != last.Epoch || a.Pos.Seq <= last.Seq) {
				f.Fatalf("event %d of a call was stored at %s, after an earlier one of the same call at %s: the order of the slice is the order of positions", i, a.Pos, last)
			}
			last = a.Pos
		case im.Duplicate, im.Conflict:
		default:
			f.Fatalf("result %d has status %d: want Stored, Duplicate or Conflict", i, a.Status)
		}
	}
}

var epochForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// checkPosition checks the position of an event.
func (f *fixture) checkPosition(p im.Position) {
	f.Helper()
	if !epochForm.MatchString(p.Epoch) {
		f.Fatalf("epoch %q: want 1 to 64 characters of A-Z, a-z, 0-9, '_' and '-'", p.Epoch)
	}
	if p.Seq == 0 || p.Seq > im.MaxSeq {
		f.Fatalf("an event has seq %d: want 1 to 2^53-1, as 0 is before every event and JavaScript holds no more", p.Seq)
	}
}

// store appends events of which none may be there yet, and returns their
// positions.
func (f *fixture) store(room string, events ...*im.Event) []im.Position {
	f.Helper()
	at := make([]im.Position, len(events))
	for i, a := range f.append(room, events...) {
		if a.Status != im.Stored {
			f.Fatalf("event %q is new to room %q, but Append answers %s: only an ID that is in the same room already counts", events[i].ID, room, a.Status)
		}
		at[i] = a.Pos
	}
	return at
}

// read reads a page, whose order, bounds and size must be right.
func (f *fixture) read(room string, r im.Range) im.Page {
	f.Helper()
	p, err := f.tryRead(room, r)
	if err != nil {
		f.Fatalf("Read of room %q, range %+v: %v", room, r, err)
	}
	limit := r.Max
	if limit == 0 {
		limit = im.DefaultPage
	}
	if len(p.Events) > limit {
		f.Fatalf("Read with Max %d returned %d events", r.Max, len(p.Events))
	}
	if p.More && len(p.Events) == 0 {
		f.Fatalf("Read of range %+v says More but found no event: a caller that pages would never end", r)
	}
	if p.Missed < 0 || p.Missed > 0 && (r.After.IsZero() || r.Newest) {
		f.Fatalf("Read of range %+v says that %d were missed: Missed is never negative, and 0 if After is zero or Newest is set", r, p.Missed)
	}
	f.checkOrder(p.Events, r)
	return p
}

func (f *fixture) checkOrder(events []*im.Event, r im.Range) {
	f.Helper()
	var last im.Position
	for _, e := range events {
		f.checkPosition(e.Pos)
		if !last.IsZero() && (e.Pos.Epoch != last.Epoch || e.Pos.Seq <= last.Seq) {
			f.Fatalf("%s comes after %s: positions of events rise strictly", e.Pos, last)
		}
		if !r.After.IsZero() && e.Pos.Seq <= r.After.Seq || !r.Before.IsZero() && e.Pos.Seq >= r.Before.Seq {
			f.Fatalf("%s is not in the range %+v: both ends are excluded", e.Pos, r)
		}
		last = e.Pos
	}
}

func (f *fixture) tryRead(room string, r im.Range) (im.Page, error) {
	ctx, cancel := background()
	defer cancel()
	return f.log.Read(ctx, room, r)
}

// all reads every event that a room keeps, a page at a time.
func (f *fixture) all(room string) []*im.Event {
	f.Helper()
	var events []*im.Event
	r := im.Range{Max: 500}
	for {
		p := f.read(room, r)
		events = append(events, p.Events...)
		if !p.More {
			return events
		}
		r.After = p.Events[len(p.Events)-1].Pos
	}
}

// wantEvents checks that got are those events, complete and in order.
func (f *fixture) wantEvents(got, want []*im.Event, rule string) {
	f.Helper()
	if !slices.Equal(idsOf(got), idsOf(want)) {
		f.Fatalf("%s:\n got %d events %q\nwant %d events %q", rule, len(got), idsOf(got), len(want), idsOf(want))
	}
	for i, e := range got {
		if d := differ(e, want[i]); d != "" {
			f.Fatalf("%s: event %q came back changed: %s", rule, want[i].ID, d)
		}
	}
}

// wantGap checks that Read and Follow refuse to go on after the position.
func (f *fixture) wantGap(room string, after im.Position, rule string) {
	f.Helper()
	if p, err := f.tryRead(room, im.Range{After: after}); !errors.Is(err, im.ErrGap) {
		f.Fatalf("Read after %s returned %d events and error %v, want an error that wraps ErrGap: %s", after, len(p.Events), err, rule)
	}
	ctx, cancel := background()
	defer cancel()
	stop, err := f.log.Follow(ctx, room, after, func([]*im.Event, error) {})
	if stop != nil && err == nil {
		stop()
	}
	if !errors.Is(err, im.ErrGap) {
		f.Fatalf("Follow after %s returned error %v, want one that wraps ErrGap: %s", after, err, rule)
	}
}

func (f *fixture) head(room string) im.Position {
	f.Helper()
	ctx, cancel := background()
	defer cancel()
	p, err := f.log.Head(ctx, room)
	if err != nil {
		f.Fatalf("Head of room %q: %v", room, err)
	}
	if !epochForm.MatchString(p.Epoch) {
		f.Fatalf("Head of room %q has epoch %q: want 1 to 64 characters of A-Z, a-z, 0-9, '_' and '-', for an empty room too", room, p.Epoch)
	}
	return p
}
