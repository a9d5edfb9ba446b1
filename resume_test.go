package im_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// F17: resume as a state machine. Viewers of all tiers join, read now and then,
// hang up, resume, change their tier and fall behind, while events of all classes
// are sent, old ones are trimmed, and the log is lost. Whatever the order: what a
// viewer was not told of is flagged, and nothing comes twice.
func TestF17ResumeStateMachine(t *testing.T) {
	if soak() { // about 30 steps each
		if err := flag.Set("rapid.checks", "4000"); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = flag.Set("rapid.checks", "100") }()
	}
	rapid.Check(t, func(rt *rapid.T) {
		rapid.SyncTest(rt, func(rt *rapid.T) {
			m := newResumeMachine(rt)
			rt.Repeat(map[string]func(*rapid.T){
				"send":   m.send,
				"join":   m.join,
				"read":   m.read,
				"hangUp": m.hangUp,
				"rejoin": m.rejoin,
				"wait":   func(rt *rapid.T) { pass(time.Duration(rapid.IntRange(1, 1500).Draw(rt, "ms")) * time.Millisecond) },
				"lose":   m.loseLog,
				"remove": m.remove,
			})
			m.drain()
		})
	})
}

// logged is one event as the model knows it.
type logged struct {
	pos   im.Position
	class im.Class
	id    string
	state bool   // all of the same key
	gone  uint64 // the seq of its deletion; 0: it was not deleted
}

type resumeMachine struct {
	rt     *rapid.T
	hub    *imtest.Hub
	log    *im.MemoryLog
	events []logged // of the current epoch
	users  []*follower
	made   int
}

// follower is one user, and what has reached it since its last clean start.
type follower struct {
	viewer *imtest.Viewer // nil while it is away
	tier   string
	// lowered: the hub has said that it leaves volatile events out, and will say how many.
	lowered bool
	pos     im.Position // what it would resume from; zero: it has never joined
	from    im.Position // where what it holds begins
	have    map[string]bool
	missed  int // volatile events that it was told it missed, since from
}

func newResumeMachine(rt *rapid.T) *resumeMachine {
	log, err := im.NewMemoryLog(&im.MemoryLogOptions{KeepEvents: 25, KeepVolatile: 10})
	if err != nil {
		rt.Fatal(err)
	}
	hub := imtest.NewHub(rt, &im.Options{
		Log:    log,
		Bounds: im.Bounds{RingBatches: 4, RingBytes: 4 << 10, JoinEvents: 5, ResumeEvents: 20},
	})
	m := &resumeMachine{rt: rt, hub: hub, log: log}
	for range 4 {
		m.users = append(m.users, &follower{})
	}
	return m
}

func (m *resumeMachine) pick(rt *rapid.T) *follower {
	return m.users[rapid.IntRange(0, len(m.users)-1).Draw(rt, "user")]
}

// send appends a burst of events.
func (m *resumeMachine) send(rt *rapid.T) {
	room := m.hub.Room("42")
	for range rapid.IntRange(1, 12).Draw(rt, "events") {
		kind := rapid.SampledFrom([]im.Kind{im.Danmaku, im.Danmaku, im.Danmaku, im.Chat, im.Notice, im.State}).Draw(rt, "kind")
		m.made++
		if kind == im.State {
			if _, err := room.Set(m.rt.Context(), "k", m.made); err != nil {
				rt.Fatal(err)
			}
			pos, err := room.Position(m.rt.Context())
			if err != nil {
				rt.Fatal(err)
			}
			m.events = append(m.events, logged{pos, im.Critical, "", true, 0})
			continue
		}
		e, err := room.Send(m.rt.Context(), kind, fmt.Sprintf("%d %0*d", m.made, rapid.IntRange(1, 200).Draw(rt, "size"), 0))
		if err != nil {
			rt.Fatal(err)
		}
		m.events = append(m.events, logged{e.Pos, e.Class, e.ID, false, 0})
	}
}

// remove deletes an event, be it there still or not.
func (m *resumeMachine) remove(rt *rapid.T) {
	if len(m.events) == 0 {
		return
	}
	e := &m.events[rapid.IntRange(0, len(m.events)-1).Draw(rt, "event")]
	if e.id == "" || e.gone > 0 {
		return
	}
	by, err := m.hub.Room("42").Remove(m.rt.Context(), im.Removal{Positions: []im.Position{e.pos}})
	if err != nil {
		rt.Fatal(err)
	}
	e.gone = by.Pos.Seq
	m.events = append(m.events, logged{by.Pos, im.Critical, "", false, 0})
}

// clean holds that an entry holds nothing that was deleted before it.
func (m *resumeMachine) clean(rt *rapid.T, entry *imtest.Entry) {
	for _, e := range m.events {
		if e.gone > 0 && e.gone <= entry.Pos.Seq && slices.ContainsFunc(entry.Events, func(got *im.Event) bool { return got.Pos == e.pos }) {
			rt.Fatalf("an entry at %v holds event %v, which was deleted at %d", entry.Pos, e.pos, e.gone)
		}
	}
}

// join connects a user who is away, with the position it holds.
func (m *resumeMachine) join(rt *rapid.T) {
	f := m.pick(rt)
	if f.viewer != nil {
		return
	}
	f.viewer = m.hub.ConnectSlow(user("u"), rapid.SampledFrom([]int{256, 4096, 0}).Draw(rt, "buffer"))
	f.tier = rapid.SampledFrom([]string{"full", "full", "reduced", "critical"}).Draw(rt, "tier")
	m.enter(rt, f)
}

// rejoin joins again on the same connection, perhaps with another tier.
func (m *resumeMachine) rejoin(rt *rapid.T) {
	f := m.pick(rt)
	if f.viewer == nil {
		return
	}
	f.viewer.Leave("42")
	m.absorb(rt, f, time.Millisecond) // what came before it had left
	f.tier = rapid.SampledFrom([]string{"full", "reduced", "critical"}).Draw(rt, "tier")
	m.enter(rt, f)
}

func (m *resumeMachine) enter(rt *rapid.T, f *follower) {
	since := f.pos
	f.lowered = false
	f.from, f.have, f.missed = f.pos, map[string]bool{}, 0 // the tier may be another one from here on
	e, err := f.viewer.TryJoin("42", &imtest.JoinOptions{Since: since, Tier: f.tier})
	if err != nil {
		rt.Fatal(err)
	}
	m.clean(rt, e)
	f.take(rt, e)
	m.check(rt, f)
}

// take notes what a joined or a reset says.
func (f *follower) take(rt *rapid.T, e *imtest.Entry) {
	f.lowered = false
	if !e.Recovered {
		f.from, f.have, f.missed = e.Pos, map[string]bool{}, 0
		f.pos = e.Pos
		return
	}
	if e.Pos.Epoch != f.pos.Epoch {
		rt.Fatalf("recovered from %v into another epoch, %v", f.pos, e.Pos)
	}
	f.missed += e.Missed
	for _, ev := range e.Events {
		f.get(rt, ev)
	}
	f.pos.Seq = max(f.pos.Seq, e.Pos.Seq)
}

func (f *follower) get(rt *rapid.T, ev *im.Event) {
	if ev.Pos.Seq <= f.pos.Seq {
		rt.Fatalf("event %v came to a viewer that was at %v", ev.Pos, f.pos)
	}
	key := fmt.Sprint(ev.Pos.Seq)
	if f.have[key] {
		rt.Fatalf("event %v came twice", ev.Pos)
	}
	f.have[key] = true
	f.pos.Seq = ev.Pos.Seq
}

// read lets a user read what has arrived.
func (m *resumeMachine) read(rt *rapid.T) {
	f := m.pick(rt)
	if f.viewer == nil {
		return
	}
	m.absorb(rt, f, time.Duration(rapid.IntRange(1, 100).Draw(rt, "ms"))*time.Millisecond)
}

// absorb reads until nothing has come for d. imtest itself fails the test if
// the chain of positions has a hole.
func (m *resumeMachine) absorb(rt *rapid.T, f *follower, d time.Duration) {
	for {
		u, ok := f.viewer.TryNext(d)
		if !ok {
			break
		}
		if !m.see(rt, f, u) {
			rt.Fatalf("unexpected %+v", u)
		}
	}
	if p := f.viewer.Position("42"); p.Epoch == f.pos.Epoch {
		f.pos.Seq = max(f.pos.Seq, p.Seq)
	}
	m.check(rt, f)
}

// see notes an update, and reports whether it is one that may come.
func (m *resumeMachine) see(rt *rapid.T, f *follower, u imtest.Update) bool {
	switch u.Op {
	case "event":
		f.get(rt, u.Event)
	case "gap":
		f.missed += u.Missed
	case "reset":
		m.clean(rt, u.Entry)
		f.take(rt, u.Entry)
	case "tier":
		f.lowered = u.ByServer
	case "online", "left":
	default:
		return false
	}
	return true
}

// hangUp cuts a connection: what was under way is lost.
func (m *resumeMachine) hangUp(rt *rapid.T) {
	f := m.pick(rt)
	if f.viewer == nil {
		return
	}
	f.viewer.Close()
	f.viewer = nil
}

// loseLog begins a new epoch, as an engine does that has lost events.
func (m *resumeMachine) loseLog(rt *rapid.T) {
	if rapid.IntRange(0, 4).Draw(rt, "lose") > 0 {
		return
	}
	m.log.Reset("42")
	m.events = nil
	pass(100 * time.Millisecond) // for the room to find out
}

// check compares what a viewer holds with the log, up to the position that the
// viewer was told.
func (m *resumeMachine) check(rt *rapid.T, f *follower) {
	volatileGone := 0
	lastState := im.Position{}
	for _, e := range m.events {
		if e.state {
			lastState = e.pos
		}
	}
	for _, e := range m.events {
		if e.pos.Epoch != f.pos.Epoch || e.pos.Seq <= f.from.Seq || e.pos.Seq > f.pos.Seq {
			continue
		}
		if f.have[fmt.Sprint(e.pos.Seq)] || e.gone > 0 {
			continue
		}
		switch {
		case e.class == im.Volatile:
			volatileGone++
		case e.state && e.pos != lastState: // who lags gets the newest value of a key
		case e.class == im.Normal && f.tier != "critical", e.class == im.Critical:
			rt.Fatalf("%s event %v is missing for a viewer of tier %s at %v, unflagged", e.class, e.pos, f.tier, f.pos)
		}
	}
	if f.tier == "full" && !f.lowered && volatileGone > f.missed {
		rt.Fatalf("%d volatile events are missing, but the viewer was told of %d", volatileGone, f.missed)
	}
}

// drain has everybody read to the end: the gap must close.
func (m *resumeMachine) drain() {
	for _, f := range m.users {
		if f.viewer != nil {
			m.absorb(m.rt, f, time.Second)
		}
	}
	for _, f := range m.users {
		for f.viewer != nil && f.lowered { // until it is raised again
			if u, ok := f.viewer.TryNext(65 * time.Second); !ok || !m.see(m.rt, f, u) {
				m.rt.Fatalf("a viewer that has read everything stays lowered: %+v", u)
			}
		}
	}
	for _, f := range m.users {
		if f.viewer == nil {
			continue
		}
		m.absorb(m.rt, f, 5*time.Second)
		head, err := m.hub.Room("42").Position(m.rt.Context())
		if err != nil {
			m.rt.Fatal(err)
		}
		last := im.Position{}
		for _, e := range m.events {
			if e.class == im.Critical || f.tier == "full" || f.tier == "reduced" && e.class == im.Normal {
				last = e.pos
			}
		}
		if f.pos.Epoch != head.Epoch || f.pos.Seq < last.Seq {
			m.rt.Fatalf("a viewer of tier %s that has read everything is at %v; its last event is %v, the head %v", f.tier, f.pos, last, head)
		}
	}
}
