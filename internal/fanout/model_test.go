package fanout

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/liveim/im/internal/wire"
)

// pushed is an event of a room of the model.
type pushed struct {
	seq  uint64
	lane Lane
}

// follower is what the model knows of one room and of the session in it.
type follower struct {
	*room
	log    []pushed
	online int
	cursor *Cursor // nil while the session is out
	lost   bool

	// The rest is what the peer has made of the stream.
	in       bool
	at       uint64 // its position
	spans    []span // what it was told that it gets, since it came in
	since    uint64 // where it came in
	got      []uint64
	missed   int
	told     int // the last count
	presence []presence
}

// span is a part of a stay with one tier.
type span struct {
	after uint64 // this position
	wants Tier
	gets  Tier
}

// tierAt returns the span that an event lies in.
func (f *follower) tierAt(seq uint64) span {
	i := len(f.spans) - 1
	for i > 0 && f.spans[i].after >= seq {
		i--
	}
	return f.spans[i]
}

// presence is a stay in the room: what enters the queue with it, in order.
type presence struct {
	from  uint64
	tier  Tier
	lost  bool
	until uint64 // if lost: what Cursor.Seq said
}

// machine is one outlet with two feeds, and a peer that reads now and then.
type machine struct {
	*rig
	rooms map[string]*follower
	acks  int // numbered messages
	sent  int // messages of the queue
	read  int // of those, how many the peer has got
	taken int // bytes of the stream that the peer has worked on
	nr    int // of the message being made
}

func newMachine(t testing.TB) *machine {
	limits := &Common{Limits: Limits{Queue: 500, Send: 400, VolatileAge: time.Second}}
	m := &machine{rig: newRig(t, 0, limits), rooms: map[string]*follower{}}
	for name, f := range map[string]*FeedLimits{
		"a": {Batches: 6, Bytes: 1 << 20, BatchBytes: 200},
		"b": {Batches: 1 << 10, Bytes: 1 << 20, BatchBytes: 1 << 16},
	} {
		m.rooms[name] = &follower{room: newRoom(name, 3, f)}
	}
	for _, f := range m.rooms {
		m.enter(f, wire.OpJoined, TierFull)
	}
	m.Outlet.common.Lost = func(c *Cursor) { c.Owner.(*follower).lost = true }
	return m
}

// enter lets the session in, whatever it was before.
func (m *machine) enter(f *follower, op string, tier Tier) {
	c := f.room.cursor(m.Outlet, tier)
	c.Owner = f
	if n := len(f.presence); f.lost {
		f.presence[n-1].lost, f.presence[n-1].until = true, f.cursor.Seq()
	}
	f.presence = append(f.presence, presence{from: f.feed.Seq(), tier: tier})
	m.Enter(fmt.Appendf(nil, `{"op":%q,"room":%q,"seq":%d,"online":%d}`, op, f.feed.room, f.feed.Seq(), f.online), c, f.cursor)
	f.cursor, f.lost = c, false
	m.sent++
}

func (m *machine) leave(f *follower) {
	m.Leave(f.cursor, fmt.Appendf(nil, `{"op":"left","room":%q}`, f.feed.room))
	f.cursor = nil
	m.sent++
}

// work has the peer read what the connection took, as far as it is whole, and checks it.
func (m *machine) work(t *rapid.T) {
	stream := m.conn.got()[m.taken:]
	end := len(stream)
	for end > 0 && stream[end-1] != '\n' {
		end--
	}
	m.taken += end
	for _, msg := range decode(t, stream[:end]) {
		f := m.rooms[msg.Room]
		switch msg.Op {
		case wire.OpJoined, wire.OpReset:
			m.read++
			if f.in {
				f.judge(t)
			}
			f.in, f.at, f.since, f.got, f.missed, f.told = true, msg.Seq, msg.Seq, nil, 0, msg.Online
			f.spans = []span{{msg.Seq, f.presence[0].tier, f.presence[0].tier}}
			if f.presence[0].from != msg.Seq {
				t.Fatalf("the peer enters at %d, the room let it in at %d", msg.Seq, f.presence[0].from)
			}
		case wire.OpLeft:
			m.read++
			f.judge(t)
			f.in = false
		case wire.OpAck:
			m.read++
			if m.nr++; msg.ID != uint64(m.nr) {
				t.Fatalf("message %d comes in place of %d", msg.ID, m.nr)
			}
		case wire.OpEvents:
			f.events(t, &msg)
		case wire.OpGap:
			if !f.in || f.tierAt(f.at+1).wants != TierFull || msg.Missed == 0 || msg.Prev > f.at || msg.To < f.at {
				t.Fatalf("gap of %d from %d to %d at %d, in: %v, tiers: %v", msg.Missed, msg.Prev, msg.To, f.at, f.in, f.spans)
			}
			f.at = msg.To
			f.missed += msg.Missed
		case wire.OpTier:
			f.retier(t, &msg)
		case wire.OpOnline:
			if !f.in {
				t.Fatal("a count of a room that the peer has left")
			}
			f.told = msg.Count
		default:
			if msg.Op != "?" {
				t.Fatalf("unexpected %q", msg.Op)
			}
		}
	}
}

func (f *follower) events(t *rapid.T, msg *wire.Message) {
	if !f.in || msg.Prev > f.at || msg.To < f.at || len(msg.Events) == 0 {
		t.Fatalf("events from %d to %d at %d, in: %v", msg.Prev, msg.To, f.at, f.in)
	}
	for _, e := range msg.Events {
		if e.Seq <= f.at || e.Seq > msg.To {
			t.Fatalf("event %d comes at %d, in a batch from %d to %d", e.Seq, f.at, msg.Prev, msg.To)
		}
		f.got, f.at = append(f.got, e.Seq), e.Seq
	}
	f.at = msg.To
}

// retier takes the message that from here on another tier comes.
func (f *follower) retier(t *rapid.T, msg *wire.Message) {
	gets := Tier(slices.Index(tierNames[:], msg.Tier))
	next, last := span{f.at, gets, gets}, f.tierAt(f.at+1)
	if msg.By == "server" {
		next.wants = TierFull
	}
	if msg.To > 0 {
		if msg.Prev > f.at || msg.To <= f.at {
			t.Fatalf("tier %s from %d to %d at %d", msg.Tier, msg.Prev, msg.To, f.at)
		}
		f.at, next.after = msg.To, msg.To
	}
	if !f.in || gets == TierCritical && msg.By != "" || next.gets == last.gets && next.wants == last.wants {
		t.Fatalf("tier %s, by %q, after %v, in: %v", msg.Tier, msg.By, last, f.in)
	}
	f.spans = append(f.spans, next)
}

// judge compares what came during one presence with what was pushed: up to
// the peer's position, or to where the room takes over if the cursor was lost.
func (f *follower) judge(t *rapid.T) {
	p := f.presence[0]
	f.presence = f.presence[1:]
	if p.lost && p.until != f.at {
		t.Fatalf("the cursor was lost at %d, but the peer is at %d", p.until, f.at)
	}
	f.check(t, f.at, true)
}

// check compares what came with what was pushed up to a position. While a cursor
// stands before a batch, a gap may have counted what that batch holds.
func (f *follower) check(t *rapid.T, until uint64, ahead bool) {
	got, volatile, beyond := f.got, 0, 0
	for _, e := range f.log {
		if e.seq <= f.since {
			continue
		}
		has, tier := len(got) > 0 && got[0] == e.seq, f.tierAt(e.seq)
		switch {
		case e.seq > until:
			if e.lane == Volatile {
				beyond++
			}
			if has {
				t.Fatalf("event %d came beyond %d", e.seq, until)
			}
			continue
		case has && e.lane > tier.gets:
			t.Fatalf("event %d of lane %d came to tier %v", e.seq, e.lane, tier)
		case !has && e.lane <= tier.gets && e.lane < Volatile:
			t.Fatalf("event %d of lane %d has not come; the peer is at %d", e.seq, e.lane, until)
		case !has && e.lane == Volatile && tier.wants == TierFull:
			volatile++
		}
		if has {
			got = got[1:]
		}
	}
	if len(got) > 0 {
		t.Fatalf("events came that were never pushed, or twice: %v", got)
	}
	if f.missed < volatile || f.missed > volatile+beyond || !ahead && f.missed != volatile {
		t.Fatalf("%d volatile events have not come (and %d are beyond %d), the gaps say %d", volatile, beyond, until, f.missed)
	}
}

// bubbled hides that a test has a deadline, which rapid must not ask in a bubble.
type bubbled struct{ rapid.TB }

func TestOutletModel(t *testing.T) {
	for range 10 { // it is cheap
		synctest.Test(t, testOutletModel)
	}
}

func testOutletModel(t *testing.T) {
	rapid.Check(bubbled{t}, func(rt *rapid.T) {
		m := newMachine(t)
		rt.Repeat(map[string]func(*rapid.T){
			"push":  m.push,
			"flush": func(*rapid.T) { m.Flush() },
			"stall": func(*rapid.T) { m.conn.stall() },
			"read":  func(t *rapid.T) { m.rig.read(rapid.IntRange(1, 400).Draw(t, "bytes")) },
			"wait": func(t *rapid.T) {
				ms := rapid.SampledFrom([]int{10, 600, 1001, 3000}).Draw(t, "ms")
				<-time.After(time.Duration(ms) * time.Millisecond)
			},
			"talk":   m.talk,
			"retier": m.retier,
			"lag":    func(*rapid.T) { m.fallBehind() },
			"check":  func(*rapid.T) { m.Recheck(time.Now()) },
			"move":   m.move,
			"resync": func(*rapid.T) { m.resync() },
			"":       m.work,
		})
		m.settle(rt)
		m.conn.check(t)
	})
}

func (m *machine) pick(t *rapid.T) *follower {
	return m.rooms[rapid.SampledFrom([]string{"a", "b"}).Draw(t, "room")]
}

// push seals a few batches; some hidden events may follow. Now and then somebody flushes at once.
func (m *machine) push(t *rapid.T) {
	f := m.pick(t)
	hidden := rapid.SampledFrom([]uint64{0, 0, 0, 2}).Draw(t, "hidden")
	batch := rapid.StringOfN(rapid.RuneFrom([]rune("cnvvvv")), 1, 4, -1)
	for _, events := range rapid.SliceOfN(batch, 1, 4).Draw(t, "batches") {
		for i := range len(events) {
			f.log = append(f.log, pushed{f.feed.Seq() + 1 + uint64(i), makeItems(0, events[i:i+1])[0].Lane})
		}
		f.pushTo(time.Now(), events, f.feed.Seq()+uint64(len(events))+hidden)
	}
	if rapid.Bool().Draw(t, "flush") {
		m.Flush()
	}
}

// talk is what goes on beside the rooms.
func (m *machine) talk(t *rapid.T) {
	message := fmt.Appendf(nil, `{"op":"ack","id":%d}`, m.acks+1)
	taken := true
	switch rapid.SampledFrom([]string{"send", "offer", "control", "online"}).Draw(t, "what") {
	case "send":
		m.Send(message)
	case "offer":
		room := m.Queued()+len(lines.Append(private, nil, message)) <= m.common.Queue
		if taken = m.Offer(message); taken != room {
			t.Fatalf("offered with %d bytes waiting: %v", m.Queued(), taken)
		}
	case "control":
		m.Control([]byte("?\n"))
		taken = false
	case "online":
		f := m.pick(t)
		f.online++
		f.room.online(f.online)
		taken = false
	}
	if taken {
		m.acks++
		m.sent++
	}
}

// move lets the session in or out, or in once more.
func (m *machine) move(t *rapid.T) {
	f := m.pick(t)
	switch out := rapid.IntRange(0, 4).Draw(t, "out") == 0; {
	case f.lost:
	case !out:
		tier := rapid.SampledFrom([]Tier{TierFull, TierFull, TierFull, TierReduced, TierCritical}).Draw(t, "tier")
		m.enter(f, wire.OpJoined, tier)
	case f.cursor != nil:
		m.leave(f)
	}
}

// retier has the session choose another tier.
func (m *machine) retier(t *rapid.T) {
	if f := m.pick(t); f.cursor != nil {
		f.cursor.SetTier(rapid.SampledFrom([]Tier{TierFull, TierReduced, TierCritical}).Draw(t, "tier"))
	}
}

// fallBehind makes the session one that the next flush lowers.
func (m *machine) fallBehind() {
	m.conn.stall()
	m.Control([]byte("?\n"))
	<-time.After(lagBehind + 1)
	m.rig.read(1)
}

// resync lets the session enter again where it fell out.
func (m *machine) resync() {
	for _, f := range m.rooms {
		if f.lost {
			m.enter(f, wire.OpReset, f.cursor.Tier())
		}
	}
}

// settle has the peer read everything; what is missing then is missing for ever.
func (m *machine) settle(t *rapid.T) {
	for range 3 { // who falls out while it waits enters once more
		m.Flush()
		m.rig.read(unlimited)
		m.resync()
	}
	for range 2 { // of which the first may find that it was behind
		<-time.After(holdMost + 1)
		m.Recheck(time.Now())
		m.Flush()
	}
	m.work(t)
	if m.stats.Lowered.Load() != 0 {
		t.Fatal("the session is lowered for ever")
	}
	if m.taken != len(m.conn.got()) || m.read != m.sent || m.Queued() != 0 || m.BlockedFor(time.Now().Add(time.Hour)) != 0 {
		t.Fatalf("%d of %d bytes make messages; %d of %d came; %d bytes wait", m.taken, len(m.conn.got()), m.read, m.sent, m.Queued())
	}
	for name, f := range m.rooms {
		if f.in != (f.cursor != nil) {
			t.Fatalf("the peer is in room %s: %v", name, f.in)
		}
		if !f.in {
			continue
		}
		if f.told != f.online {
			t.Fatalf("the peer was told of %d in room %s, there are %d", f.told, name, f.online)
		}
		f.check(t, f.feed.Seq(), false)
		if got, want := f.tierAt(f.at+1), f.cursor.Tier(); got.gets != want || got.wants != want {
			t.Fatalf("the peer has tier %v in room %s, and wants %d", got, name, want)
		}
		if f.cursor.Seq() != f.at {
			t.Fatalf("the cursor is at %d, the peer at %d", f.cursor.Seq(), f.at)
		}
	}
}
