package client

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
	"pgregory.net/rapid"
)

// TestClientAgainstModel plays a server that drops, repeats, skips, resets,
// loses its log and cuts connections, and compares what the application has
// seen with what the server has (row F17 of the reliability list).
func TestClientAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, int(stepCount)-1), 1, 120).Draw(rt, "steps")
		seed := rapid.Uint64().Draw(rt, "seed")
		buffer := rapid.SampledFrom([]int{1, 4, 1024}).Draw(rt, "buffer")
		var failure error
		synctest.Test(t, func(t *testing.T) { failure = playModel(t, steps, seed, buffer) })
		if failure != nil {
			rt.Fatal(failure)
		}
	})
}

// The steps of the model server.
const (
	stepPublish = iota
	stepPublish2
	stepDeliver
	stepDeliver2
	stepLose   // a message is lost on the way
	stepRepeat // the last message comes again
	stepGap
	stepReset
	stepCut
	stepEpoch
	stepTrim
	stepRead
	stepCount
)

// modelRoom is the server's side: a log, and where its one reader is.
type modelRoom struct {
	rng    *rand.Rand
	epoch  int
	seq    uint64
	log    []wire.Event
	floor  uint64 // what is at or below it was trimmed
	state  map[string]wire.Cell
	cursor uint64
	last   string // the last message
	peer   *peer
	inRoom bool // the reader is in the room on this connection
	dead   bool // the connection is cut, and there is no new one yet
}

// settle lets the client come to rest, and answers it. A client that does not
// read does not know yet that its connection is cut.
func (m *modelRoom) settle(f *fakeServer) {
	for range 100 {
		synctest.Wait()
		if !m.dead {
			break
		}
		select {
		case m.peer = <-f.peers:
			m.peer.send(`{"op":"welcome","user":{"id":"u1"}}`)
			m.dead, m.inRoom = false, false
		case <-time.After(time.Second):
		}
	}
	for range 3 {
		m.answer()
		synctest.Wait()
	}
}

func (m *modelRoom) epochName() string { return fmt.Sprint("e", m.epoch) }

func (m *modelRoom) publish() {
	for range 1 + m.rng.IntN(3) {
		m.seq += 1 + uint64(m.rng.IntN(3))
		e := chatEvent(m.seq)
		switch m.rng.IntN(4) {
		case 0:
			e.Kind = string(im.Danmaku)
		case 1:
			key := fmt.Sprint("k", m.rng.IntN(3))
			e.Kind = string(im.State)
			if m.rng.IntN(3) == 0 {
				e.Body = json.RawMessage(fmt.Sprintf(`{"key":%q,"delete":true}`, key))
				delete(m.state, key)
			} else {
				v := json.RawMessage(fmt.Sprint(m.seq))
				e.Body = json.RawMessage(fmt.Sprintf(`{"key":%q,"value":%s}`, key, v))
				m.state[key] = wire.Cell{Value: v, Version: m.seq}
			}
		}
		m.log = append(m.log, e)
	}
}

// after returns the log after seq.
func (m *modelRoom) after(seq uint64) []wire.Event {
	var events []wire.Event
	for _, e := range m.log {
		if e.Seq > seq {
			events = append(events, e)
		}
	}
	return events
}

func (m *modelRoom) say(msg wire.Message, lost bool) {
	b, _ := json.Marshal(msg)
	if m.last = string(b); !lost && !m.dead {
		m.peer.send(m.last)
	}
}

// deliver sends what the reader has not got, as one message.
func (m *modelRoom) deliver(lost bool) {
	if events := m.after(m.cursor); len(events) > 0 {
		m.say(wire.Message{Op: wire.OpEvents, Room: "42", Prev: m.cursor, To: m.seq, Events: events}, lost)
		m.cursor = m.seq
	}
}

// gap leaves the danmaku out that come next.
func (m *modelRoom) gap() {
	missed, prev := 0, m.cursor
	for _, e := range m.after(m.cursor) {
		if e.Kind != string(im.Danmaku) {
			break
		}
		missed, m.cursor = missed+1, e.Seq
	}
	if missed > 0 {
		m.say(wire.Message{Op: wire.OpGap, Room: "42", Missed: missed, Prev: prev, To: m.cursor}, false)
	}
}

// joined answers a join, or is a reset.
func (m *modelRoom) joined(op string, id uint64, since *wire.Position) {
	msg := wire.Message{Op: op, ID: id, Room: "42", Epoch: m.epochName(), Seq: m.seq, State: m.state, Online: 1}
	if since != nil && since.Epoch == m.epochName() && since.Seq >= m.floor {
		msg.Recovered = true
		for _, e := range m.after(since.Seq) {
			if e.Kind == string(im.Danmaku) && m.rng.IntN(2) == 0 {
				msg.Missed++
				continue
			}
			msg.Events = append(msg.Events, e)
		}
	} else if newest := m.after(max(m.floor, m.seq-min(m.seq, 5))); op == wire.OpJoined || m.rng.IntN(2) == 0 {
		msg.Events = newest
	}
	m.cursor, m.inRoom = m.seq, true
	m.say(msg, false)
}

// answer takes the client's requests.
func (m *modelRoom) answer() {
	for {
		q, ok := m.peer.request(0)
		if !ok {
			return
		}
		if q.Op == wire.OpJoin {
			m.joined(wire.OpJoined, q.ID, q.Since)
		}
	}
}

// modelView is the application's side.
type modelView struct {
	pos     im.Position
	events  map[uint64]bool // seen since the last Reset
	from    uint64          // seq of the last Reset
	missed  int
	danmaku int
}

func (v *modelView) take(u Update) error {
	switch u := u.(type) {
	case Reset:
		*v = modelView{events: map[uint64]bool{}, from: u.Position.Seq}
	case Resumed:
		v.missed += u.Missed
	case Gap:
		v.missed += u.Missed
	case Event:
		if u.Replayed {
			if u.Pos.Seq > v.from {
				return fmt.Errorf("replayed event %v is above its reset %d", u.Pos, v.from)
			}
			return nil
		}
		if u.Pos.Seq <= v.from || u.Pos.Epoch == v.pos.Epoch && u.Pos.Seq <= v.pos.Seq {
			return fmt.Errorf("event %v comes again, after %v", u.Pos, v.pos)
		}
		v.pos = u.Pos
		v.events[u.Pos.Seq] = true
		if u.Kind == im.Danmaku {
			v.danmaku++
		}
	default:
		return fmt.Errorf("unexpected update %#v", u)
	}
	return nil
}

func playModel(t *testing.T, steps []int, seed uint64, buffer int) error {
	f := newFakeServer(t)
	c, p := dialFake(t, f, Options{})
	defer c.Close()
	m := &modelRoom{rng: rand.New(rand.NewPCG(seed, 1)), state: map[string]wire.Cell{}, peer: p}
	joined := going(func() (*Room, error) { return c.Join(t.Context(), "42", &JoinOptions{Buffer: buffer}) })
	synctest.Wait()
	m.answer()
	r, err := joined()
	if err != nil {
		return err
	}
	var view modelView
	read := func(n int) error {
		for range n {
			c.mu.Lock()
			it, ok := r.pop()
			c.mu.Unlock()
			if !ok {
				return nil
			}
			if err := view.take(it.update); err != nil {
				return err
			}
		}
		return nil
	}
	for _, step := range steps {
		m.step(step)
		if step == stepRead {
			if err := read(1 + m.rng.IntN(8)); err != nil {
				return err
			}
		}
		m.settle(f)
	}
	// At the end the server delivers all it has, and the application catches up.
	for range 10 {
		m.publish()
		if m.inRoom {
			m.deliver(false)
		}
		for range 4 {
			m.settle(f)
			if err := read(1 << 20); err != nil {
				return err
			}
		}
	}
	return m.compare(r, &view)
}

func (m *modelRoom) step(step int) {
	if !m.inRoom && step >= stepDeliver && step <= stepReset {
		return
	}
	switch step {
	case stepPublish, stepPublish2:
		m.publish()
	case stepDeliver, stepDeliver2:
		m.deliver(false)
	case stepLose:
		m.deliver(true)
	case stepRepeat:
		if m.last != "" {
			m.peer.send(m.last)
		}
	case stepGap:
		m.gap()
	case stepReset:
		m.joined(wire.OpReset, 0, nil)
	case stepCut:
		m.peer.drop(errCut)
		m.dead = true
	case stepEpoch:
		m.epoch, m.seq, m.log, m.floor = m.epoch+1, 0, nil, 0
		m.state = map[string]wire.Cell{}
		m.publish()
		if m.inRoom {
			m.joined(wire.OpReset, 0, nil)
		}
	case stepTrim:
		m.floor = max(m.floor, m.seq-min(m.seq, 4))
	}
}

// compare checks that nothing is missing but what was flagged.
func (m *modelRoom) compare(r *Room, view *modelView) error {
	danmaku := 0
	for _, e := range m.log {
		switch {
		case e.Seq <= view.from:
		case e.Kind == string(im.Danmaku):
			danmaku++
		case !view.events[e.Seq]:
			return fmt.Errorf("%s event %d is missing and not flagged", e.Kind, e.Seq)
		}
	}
	if lost := danmaku - view.danmaku; lost > view.missed {
		return fmt.Errorf("%d danmaku are missing, %d flagged", lost, view.missed)
	}
	if pos := (im.Position{Epoch: m.epochName(), Seq: m.seq}); r.Position() != pos {
		return fmt.Errorf("position %v; the server is at %v", r.Position(), pos)
	}
	state := r.State()
	if len(state) != len(m.state) {
		return fmt.Errorf("state %v; the server has %v", state, m.state)
	}
	for k, want := range m.state {
		if got := state[k]; string(got.Value) != string(want.Value) || got.Version != want.Version {
			return fmt.Errorf("state %q is %s version %d; the server has %s version %d", k, got.Value, got.Version, want.Value, want.Version)
		}
	}
	return nil
}
