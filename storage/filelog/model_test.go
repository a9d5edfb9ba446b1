package filelog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/disk/disktest"
)

// TestModel crashes a log, takes its power away, has its disk fail and stall, and checks what a client may rely on: no
// position ever names two events, what was acknowledged is there, in order, and what was refused is not.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{t: t, rt: rt, fs: disktest.New(), segment: int64(rapid.SampledFrom([]int{1 << 10, 4 << 10, 1 << 20}).Draw(rt, "segment"))}
		m.named, m.acked, m.refused, m.volatile = map[im.Position]string{}, map[string]im.Position{}, map[string]bool{}, map[string]bool{}
		m.lossy, m.seen = map[string]bool{}, map[string]map[string]bool{}
		for _, room := range modelRooms {
			m.seen[room] = map[string]bool{}
		}
		m.open()
		defer func() { m.log.crash() }()
		rt.Repeat(map[string]func(*rapid.T){
			"append":   m.append,
			"parallel": m.parallel,
			"read":     func(*rapid.T) { m.check() },
			"follow":   m.follow,
			"fail":     m.fail,
			"stall":    m.stall,
			"trim":     func(*rapid.T) { m.trim() },
			"reopen":   func(*rapid.T) { m.reopen() },
			"kill":     func(*rapid.T) { m.kill() },
			"power":    m.power,
		})
		m.reopen()
		m.check()
	})
}

var modelRooms = []string{"a", "b", "c"}

// model is what must be true of a log. IDs name the room.
type model struct {
	t       *testing.T
	rt      *rapid.T
	fs      *disktest.FS
	log     *Log
	segment int64
	serial  int

	mu       sync.Mutex // protects the fields below
	named    map[im.Position]string
	acked    map[string]im.Position // durable events
	refused  map[string]bool
	volatile map[string]bool
	fault    string // found where the test cannot end
	// seen is what was read, by room. An event whose fsync failed can be read until the power is lost, and nobody can tell:
	// when it is gone then, reading over its place is a gap, as lossy says.
	seen  map[string]map[string]bool
	lossy map[string]bool
}

func (m *model) open() {
	var err error
	m.log, err = Open("log", &Options{fs: m.fs, Logger: quiet(), SegmentBytes: m.segment})
	if err != nil {
		m.rt.Fatalf("Open: %v", err)
	}
	m.check()
}

func (m *model) event(rt *rapid.T, room string) *im.Event {
	m.serial++
	id := fmt.Sprint(room, "-", m.serial)
	if rapid.IntRange(0, 2).Draw(rt, "class") == 0 {
		m.volatile[id] = true
		return danmaku(id)
	}
	return gift(id)
}

// submit appends, and takes over what the answer promises.
func (m *model) submit(room string, events []*im.Event) {
	out, err := m.log.Append(context.Background(), room, events)
	m.mu.Lock()
	defer m.mu.Unlock()
	if errors.Is(err, im.ErrNotStored) {
		for _, e := range events {
			m.refused[e.ID] = true
		}
	}
	if err != nil {
		return
	}
	for i, a := range out {
		m.name(room, a.Pos, events[i].ID)
		if events[i].Class != im.Volatile {
			m.acked[events[i].ID] = a.Pos
		}
		delete(m.refused, events[i].ID)
	}
}

// name says which event a position names. mu is held.
func (m *model) name(room string, p im.Position, id string) {
	p.Epoch = room + " " + p.Epoch // epochs are of a room
	if other, ok := m.named[p]; ok && other != id {
		m.fault = fmt.Sprintf("%s names event %q, and named %q before", p, id, other)
	}
	m.named[p] = id
}

func (m *model) append(rt *rapid.T) {
	room := rapid.SampledFrom(modelRooms).Draw(rt, "room")
	events := make([]*im.Event, rapid.IntRange(1, 4).Draw(rt, "events"))
	for i := range events {
		events[i] = m.event(rt, room)
	}
	m.submit(room, events)
}

func (m *model) parallel(rt *rapid.T) {
	var wg sync.WaitGroup
	for range rapid.IntRange(2, 6).Draw(rt, "calls") {
		room := rapid.SampledFrom(modelRooms).Draw(rt, "room")
		events := []*im.Event{m.event(rt, room), m.event(rt, room)}
		wg.Go(func() { m.submit(room, events) })
	}
	wg.Wait()
}

// check reads everything.
func (m *model) check() {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() {
		if m.fault != "" {
			m.rt.Fatalf("%s", m.fault)
		}
	}()
	found := map[string]im.Position{}
	for _, room := range modelRooms {
		p, err := m.log.Read(context.Background(), room, im.Range{Max: 1 << 30})
		if err != nil {
			m.rt.Fatalf("Read: %v", err)
		}
		checkOrder(m.t, p.Events)
		for _, e := range p.Events {
			if _, twice := found[e.ID]; twice {
				m.rt.Fatalf("event %q is there twice", e.ID)
			}
			found[e.ID] = e.Pos
			m.name(room, e.Pos, e.ID)
			if e.Class != im.Volatile {
				m.seen[room][e.ID] = true
			}
			if m.refused[e.ID] {
				m.rt.Fatalf("event %q is there, but Append said that it was not stored", e.ID)
			}
		}
		for id := range m.seen[room] {
			if found[id].IsZero() {
				m.lossy[room] = true
			}
		}
		if !m.lossy[room] {
			m.count(room, p.Events)
		}
		head, err := m.log.Head(context.Background(), room)
		if n := len(p.Events); err != nil || n > 0 && (head.Epoch != p.Events[n-1].Pos.Epoch || head.Seq < p.Events[n-1].Pos.Seq) {
			m.rt.Fatalf("Head is %s, %v, and the newest event lies above", head, err)
		}
	}
	for id, at := range m.acked {
		if found[id] != at {
			m.rt.Fatalf("event %q was acknowledged at %s and is at %s (zero: it is gone)", id, at, found[id])
		}
	}
}

// follow follows from some event on, while events are appended.
func (m *model) follow(rt *rapid.T) {
	room := rapid.SampledFrom(modelRooms).Draw(rt, "room")
	events := all(m.t, m.log, room)
	var after im.Position
	if len(events) > 0 && rapid.Bool().Draw(rt, "from the middle") {
		after = events[rapid.IntRange(0, len(events)-1).Draw(rt, "after")].Pos
	}
	w := &tailing{}
	stop, err := m.log.Follow(context.Background(), room, after, w.deliver)
	if m.lossy[room] && errors.Is(err, im.ErrGap) {
		return
	}
	if err != nil {
		m.rt.Fatalf("Follow after %s: %v\n%s", after, err, m.dump(room))
	}
	m.parallel(rt)
	stop()
	p, err := m.log.Read(context.Background(), room, im.Range{After: after, Max: 1 << 30})
	if err != nil {
		m.rt.Fatalf("Read after %s: %v", after, err)
	}
	if got := ids(w.got()); got != ids(p.Events) {
		m.rt.Fatalf("a follower was given %s, and Read says %s", got, ids(p.Events))
	}
}

// fail has some calls of the disk fail while events are appended.
func (m *model) fail(rt *rapid.T) {
	r := disktest.Rule{
		Op:    rapid.SampledFrom([]disktest.Op{disktest.Write, disktest.Sync, disktest.Truncate, disktest.Create, disktest.SyncDir, disktest.Rename}).Draw(rt, "op"),
		Err:   syscall.EIO,
		Times: rapid.IntRange(1, 4).Draw(rt, "times"),
		Short: rapid.IntRange(0, 200).Draw(rt, "short"),
	}
	remove := m.fs.Fail(r)
	m.parallel(rt)
	m.append(rt)
	if r.Op == disktest.Truncate {
		defer m.fs.Fail(disktest.Rule{Op: disktest.Write, Err: syscall.ENOSPC, Short: 30, Times: 1})()
		m.append(rt)
	}
	remove()
}

// stall has danmaku pass a stalled fsync, and takes the power away before it is over, or not.
func (m *model) stall(rt *rapid.T) {
	room := rapid.SampledFrom(modelRooms).Draw(rt, "room")
	waiting, release := m.fs.Stall(disktest.Sync, "*.log")
	done := make(chan struct{})
	stalled := []*im.Event{m.event(rt, room)}
	m.volatile[stalled[0].ID] = false
	stalled[0].Class = im.Critical
	go func() {
		defer close(done)
		m.submit(room, stalled)
	}()
	select {
	case <-waiting:
	case <-done:
	}
	for range rapid.IntRange(0, 5).Draw(rt, "danmaku") {
		m.serial++
		id := fmt.Sprint(room, "-", m.serial)
		m.submit(room, []*im.Event{danmaku(id)})
	}
	if rapid.Bool().Draw(rt, "crash") {
		after := m.fs.Crash(random(rt))
		release()
		<-done
		m.restart(after)
		return
	}
	release()
	<-done
}

func random(rt *rapid.T) *rand.Rand {
	seed := rapid.Uint64().Draw(rt, "what is left")
	if seed%4 == 0 {
		return nil
	}
	return rand.New(rand.NewPCG(seed, 1))
}

func (m *model) trim() {
	if err := m.log.Trim(context.Background(), m.log.opts.Now()); err != nil && m.log.Health() == nil {
		m.rt.Fatalf("Trim: %v", err)
	}
	m.check()
}

func (m *model) reopen() {
	if err := m.log.Close(); err != nil {
		m.rt.Fatalf("Close: %v", err)
	}
	m.open()
}

func (m *model) kill()             { m.restart(m.fs.Kill()) }
func (m *model) power(rt *rapid.T) { m.restart(m.fs.Crash(random(rt))) }
func (m *model) restart(after *disktest.FS) {
	m.log.crash()
	m.fs = after
	m.open()
}

// count checks that the log's own counts are those of what is there. Volatile events may have been lost.
func (m *model) count(room string, events []*im.Event) {
	durables := uint64(0)
	for _, e := range events {
		if e.Class != im.Volatile {
			durables++
		}
	}
	r := m.log.rooms.lockExisting(room)
	total, trimmed := r.total, r.trimmed
	r.mu.Unlock()
	if total.durables != durables || total.volatiles < uint64(len(events))-durables || trimmed.durables != 0 {
		m.rt.Fatalf("room %q has %d events, %d of them durable, but the log counts\n%s", room, len(events), durables, m.dump(room))
	}
}

// dump is what the log knows of a room.
func (m *model) dump(name string) string {
	r := m.log.rooms.lockExisting(name)
	defer r.mu.Unlock()
	s := fmt.Sprintf("positions %+v total %+v trimmed %+v\n", r.positions, r.total, r.trimmed)
	for _, p := range r.parts {
		s += fmt.Sprintf("segment %d: %d to %d, %d events, %d volatile, up to %+v\n", p.file.Number(), p.first, p.last, p.events, p.volatiles, p.upTo)
	}
	for _, e := range r.tail.entries {
		s += fmt.Sprintf("%d %+v volatile %v\n", e.seq, e.counts, e.volatile)
	}
	return s
}
