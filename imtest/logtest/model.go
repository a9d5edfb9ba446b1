package logtest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/liveim/im"
)

// noLimit is the retention of a log that drops nothing during a test.
const noLimit = math.MaxInt

// modelAll compares the log with a model of one room, over random appends,
// retries, conflicts, reads and followers, each time in a new room. The flags
// -rapid.checks and -rapid.steps say how often.
func modelAll(t *testing.T, l im.Log, events, volatile int, settle func()) {
	var rooms int
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(rt, l)
		f.room = fmt.Sprint("model ", rooms)
		rooms++
		m := &model{f: f, events: events, volatile: volatile, settle: settle}
		defer m.stopAll()
		rt.Repeat(map[string]func(*rapid.T){
			"append": m.append,
			"read":   m.read,
			"head":   func(*rapid.T) { m.checkHead() },
			"follow": m.follow,
			"stop":   m.stop,
			"drain":  func(*rapid.T) { m.drain() },
		})
		m.drain()
	})
}

// model is what a room must look like from outside: a slice.
type model struct {
	f                *fixture
	events, volatile int    // the retention
	settle           func() // has the log drop what is past it

	stored   []*im.Event // with their positions, those that were dropped too
	watchers []watcher
	serial   int
}

// watcher is a follower and what it must have been given.
type watcher struct {
	tail *tail
	want []*im.Event
}

// isKept reports, for each event, whether the log still has it.
func (m *model) isKept() []bool {
	kept := make([]bool, len(m.stored))
	events, volatile := m.events, m.volatile
	for i, e := range slices.Backward(m.stored) {
		left := &events
		if e.Class == im.Volatile {
			left = &volatile
		}
		kept[i] = *left > 0
		*left--
	}
	return kept
}

// find returns the index of the newest event with the ID, or -1.
func (m *model) find(id string) int {
	for i, e := range slices.Backward(m.stored) {
		if e.ID == id {
			return i
		}
	}
	return -1
}

func (m *model) append(rt *rapid.T) {
	events := make([]*im.Event, rapid.IntRange(1, 12).Draw(rt, "events"))
	classes := allClasses
	if rapid.Bool().Draw(rt, "flood") { // which drops volatile events and no others
		classes = []im.Class{im.Volatile}
	}
	for i := range events {
		id := fmt.Sprint("id-", m.serial)
		if m.serial > 0 && rapid.IntRange(0, 2).Draw(rt, "again") == 0 {
			id = fmt.Sprint("id-", rapid.IntRange(max(0, m.serial-25), m.serial-1).Draw(rt, "id"))
		}
		m.serial++
		class := rapid.SampledFrom(classes).Draw(rt, "class")
		if class == im.Volatile && m.volatile == noLimit && len(m.stored) > 90 {
			class = im.Merged // the log need not keep more volatile events
		}
		events[i] = Event(im.Chat, class, id, rapid.SampledFrom([]string{"1", "1", "1", "2"}).Draw(rt, "body"))
	}
	kept := m.isKept()
	for i, a := range m.f.append(m.f.room, events...) {
		m.appended(events[i], a, kept)
	}
	m.settle()
}

// appended checks the result for one event and takes it over. The IDs of
// events that were dropped before the call may be forgotten.
func (m *model) appended(e *im.Event, a im.Appended, kept []bool) {
	i := m.find(e.ID)
	switch {
	case a.Status == im.Stored && i >= 0 && (i >= len(kept) || kept[i]):
		m.f.Fatalf("event %q is stored although one with its ID is kept at %s", e.ID, m.stored[i].Pos)
	case a.Status == im.Stored:
		c := *e
		c.Pos = a.Pos
		m.stored = append(m.stored, &c)
		for i := range m.watchers {
			m.watchers[i].want = append(m.watchers[i].want, &c)
		}
	case i < 0:
		m.f.Fatalf("event %q is answered %s, but there is none with its ID", e.ID, a.Status)
	case m.stored[i].Digest == e.Digest:
		m.f.wantAppended(a, im.Duplicate, m.stored[i].Pos, "same ID, same Digest")
	default:
		m.f.wantAppended(a, im.Conflict, m.stored[i].Pos, "same ID, other Digest")
	}
}

func (m *model) checkHead() {
	head := m.f.head(m.f.room)
	if n := len(m.stored); n > 0 && head != m.stored[n-1].Pos || n == 0 && head.Seq != 0 {
		m.f.Fatalf("Head is %s, after %d events were stored", head, n)
	}
}

// position draws a place, mostly a useful one.
func (m *model) position(rt *rapid.T, label string) im.Position {
	head := m.f.head(m.f.room)
	switch k := rapid.IntRange(0, 20).Draw(rt, label); {
	case k < 4:
		return im.Position{}
	case k == 4:
		return im.Position{Epoch: "no-such-epoch", Seq: 3}
	case k == 5:
		return im.Position{Epoch: head.Epoch, Seq: head.Seq + 1}
	case k == 6 || len(m.stored) == 0:
		return im.Position{Epoch: head.Epoch}
	default:
		return m.stored[rapid.IntRange(0, len(m.stored)-1).Draw(rt, label+" event")].Pos
	}
}

// isGap reports whether the log must refuse to go on after p.
func (m *model) isGap(p im.Position) bool {
	if p.IsZero() {
		return false
	}
	head := m.f.head(m.f.room)
	if p.Epoch != head.Epoch || p.Seq > head.Seq {
		return true
	}
	for i, kept := range m.isKept() {
		if e := m.stored[i]; !kept && e.Class != im.Volatile && e.Pos.Seq > p.Seq {
			return true
		}
	}
	return false
}

// in returns the events that a range holds, and those that it no longer does.
func (m *model) in(r im.Range) (kept, dropped []*im.Event) {
	for i, ok := range m.isKept() {
		e := m.stored[i]
		switch {
		case e.Pos.Seq <= r.After.Seq || !r.Before.IsZero() && e.Pos.Seq >= r.Before.Seq:
		case ok:
			kept = append(kept, e)
		default:
			dropped = append(dropped, e)
		}
	}
	return kept, dropped
}

func (m *model) read(rt *rapid.T) {
	f := m.f
	r := im.Range{
		After:  m.position(rt, "after"),
		Before: m.position(rt, "before"),
		Max:    rapid.IntRange(0, 20).Draw(rt, "max"),
		Newest: rapid.Bool().Draw(rt, "newest"),
	}
	head := f.head(f.room)
	if m.isGap(r.After) || !r.Before.IsZero() && r.Before.Epoch != head.Epoch {
		if _, err := f.tryRead(f.room, r); !errors.Is(err, im.ErrGap) {
			f.Fatalf("Read of range %+v returned error %v, want ErrGap", r, err)
		}
		return
	}
	want, dropped := m.in(r)
	limit := r.Max
	if limit == 0 {
		limit = im.DefaultPage
	}
	more := len(want) > limit
	switch {
	case more && r.Newest:
		want = want[len(want)-limit:]
	case more:
		want = want[:limit]
	}
	p := f.read(f.room, r)
	f.wantEvents(p.Events, want, fmt.Sprintf("Read of range %+v", r))
	if p.More != more {
		f.Fatalf("Read of range %+v says More %v, want %v", r, p.More, more)
	}
	if r.Newest || r.After.IsZero() {
		return // and Missed is 0, as f.read checked
	}
	gone := 0
	for _, e := range dropped {
		if !more || e.Pos.Seq < want[len(want)-1].Pos.Seq {
			gone++
		}
	}
	end := r.Before
	if more {
		end = want[len(want)-1].Pos
	}
	if !end.IsZero() {
		if _, beyond := m.in(im.Range{After: im.Position{Epoch: end.Epoch, Seq: max(end.Seq, 1) - 1}}); len(beyond) > 0 && p.Missed < gone {
			return // it has lost count, as it may
		}
	}
	f.wantMissed(p, gone)
}

func (m *model) follow(rt *rapid.T) {
	after := m.position(rt, "after")
	if m.isGap(after) {
		m.f.wantGap(m.f.room, after, "the model has a gap there")
		return
	}
	want, _ := m.in(im.Range{After: after})
	m.watchers = append(m.watchers, watcher{m.f.follow(m.f.room, after), want})
}

func (m *model) stop(rt *rapid.T) {
	if len(m.watchers) == 0 {
		rt.Skip("nobody follows")
	}
	i := rapid.IntRange(0, len(m.watchers)-1).Draw(rt, "follower")
	m.watchers[i].tail.stop()
	m.watchers = slices.Delete(m.watchers, i, i+1)
}

// drain waits until every follower has what it must have.
func (m *model) drain() {
	for _, w := range m.watchers {
		w.tail.await("all events", func() bool { return len(w.tail.events) >= len(w.want) || w.tail.err != nil })
		w.tail.mu.Lock()
		got, err := slices.Clone(w.tail.events), w.tail.err
		w.tail.mu.Unlock()
		m.f.wantEvents(got, w.want, onceInOrder)
		if err != nil {
			m.f.Fatalf("following ended with error %v", err)
		}
	}
}

func (m *model) stopAll() {
	for _, w := range m.watchers {
		w.tail.stop()
	}
}
