package fanout

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

// marking is a connection whose stream carries the positions in some rooms.
type marking struct {
	*conn
	rooms  []string
	shares bool
}

func (m marking) Mark(position func(room string) (string, uint64)) []byte {
	b := []byte("@")
	for _, room := range m.rooms {
		epoch, seq := position(room)
		b = fmt.Appendf(b, "%s=%s.%d,", room, epoch, seq)
	}
	return append(b, '\n')
}

func (m marking) Alone(room string) bool { return m.shares && len(m.rooms) == 1 && m.rooms[0] == room }

// watched is a room with sessions, flushed as the engine does it.
type watched struct {
	*room
	rigs    []*rig
	cursors []*Cursor
	worker  *worker
	ticket  *Ticket
}

func newWatched() *watched {
	w := &watched{room: newRoom("42", 0, roomy), worker: newWorker()}
	w.ticket = &Ticket{task: w, worker: w.worker}
	return w
}

func (w *watched) Flush(_ time.Time, dst []*Cursor) ([]*Cursor, View) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append(dst, w.cursors...), w.feed.View(w.room)
}

func (w *watched) flush() {
	w.worker.flush(w.ticket)
	w.worker.settle()
}

func (w *watched) enter(shares bool, rooms ...string) *rig {
	r := &rig{conn: &conn{window: unlimited}}
	r.Outlet = NewOutlet(marking{r.conn, rooms, shares}, testLimits, &r.stats, nil)
	w.rigs, w.cursors = append(w.rigs, r), append(w.cursors, r.enter(w.room, TierFull))
	return r
}

// TestSharedMarksAreThoseOfTheirOwn compares the streams of two sessions in the same room to
// which the same happens. Only one of them shares its marks.
func TestSharedMarksAreThoseOfTheirOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWatched()
		one, other := w.enter(true, "42"), w.enter(false, "42")
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				at := time.Now().Add(-rapid.SampledFrom([]time.Duration{0, 0, time.Minute}).Draw(t, "age"))
				lanes := rapid.StringOfN(rapid.RuneFrom([]rune("cnv")), 1, 3, -1).Draw(t, "lanes")
				w.push(at, lanes)
			},
			"flush":  func(*rapid.T) { w.flush() },
			"online": func(t *rapid.T) { w.online(rapid.IntRange(0, 9).Draw(t, "count")) },
			"tier": func(t *rapid.T) {
				tier := Tier(rapid.IntRange(0, int(TierFull)).Draw(t, "tier"))
				for _, c := range w.cursors {
					c.SetTier(tier)
				}
			},
			"ack": func(*rapid.T) {
				for _, r := range w.rigs {
					r.Send([]byte(`{"op":"ack"}`))
				}
			},
			"stall": func(*rapid.T) {
				for _, r := range w.rigs {
					r.conn.stall()
				}
			},
			"read": func(t *rapid.T) {
				n := rapid.IntRange(1, 300).Draw(t, "bytes")
				for _, r := range w.rigs {
					r.read(n)
				}
			},
			"": func(t *rapid.T) {
				if a, b := one.conn.got(), other.conn.got(); a != b {
					t.Fatalf("with shared marks the stream is\n%s\nwithout\n%s", a, b)
				}
			},
		})
		for _, r := range w.rigs {
			r.read(unlimited)
		}
		w.flush()
		if a, b := one.conn.got(), other.conn.got(); a != b {
			t.Fatalf("with shared marks the stream is\n%s\nwithout\n%s", a, b)
		}
	})
}

func TestMarksAreShared(t *testing.T) {
	w := newWatched()
	one, two := w.enter(true, "42"), w.enter(true, "42")
	both := w.enter(true, "42", "43") // in 42 only, but its marks tell of both
	for range 3 {
		w.push(time.Now(), "v")
		w.flush()
	}
	last := func(r *rig) []byte { return r.conn.lent[len(r.conn.lent)-1].buf }
	if a, b := last(one), last(two); unsafe.SliceData(a) != unsafe.SliceData(b) || !strings.HasPrefix(string(a), "@42=e.3,\ns{") {
		t.Errorf("two sessions got %q and %q; want the same bytes, with the mark in front", a, b)
	}
	if got := both.conn.got(); !strings.Contains(got, "@42=e.3,43=.0,\ns{") {
		t.Errorf("a session that watches two rooms got %q", got)
	}
	for _, r := range w.rigs {
		r.conn.check(t)
	}
}

// marker is a noop whose stream carries a position.
type marker struct {
	noop
	shares bool
}

func (*marker) Mark(position func(string) (string, uint64)) []byte {
	_, seq := position("42")
	return append(strconv.AppendUint(append(make([]byte, 0, 40), "id: "...), seq, 10), '\n')
}

func (m *marker) Alone(string) bool { return m.shares }

// markedCrowd is a room full of sessions whose streams carry their positions.
func markedCrowd(viewers int, shares bool) *watched {
	w, limits, stats := newWatched(), &Limits{Queue: 1 << 16, Send: 1 << 16, VolatileAge: time.Second}, new(Counters)
	for range viewers {
		o := NewOutlet(&marker{shares: shares}, limits, stats, nil)
		c := w.cursor(o, TierFull)
		o.Enter(nil, c, nil)
		w.cursors = append(w.cursors, c)
	}
	return w
}

// BenchmarkMarkedFlush is the flush of one event to 1000 streams that carry their positions.
func BenchmarkMarkedFlush(b *testing.B) {
	for _, shares := range []bool{true, false} {
		b.Run(fmt.Sprint("shared=", shares), func(b *testing.B) {
			w := markedCrowd(1000, shares)
			b.ReportAllocs()
			for b.Loop() {
				w.push(time.Now(), "v")
				w.flush()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/delivery")
		})
	}
}

// What a flush allocates for streams with positions does not depend on how many follow the room.
func TestMarkedDeliveriesDoNotAllocate(t *testing.T) {
	allocs := func(viewers int) float64 {
		w := markedCrowd(viewers, true)
		return testing.AllocsPerRun(100, func() {
			w.push(time.Now(), "v")
			w.flush()
		})
	}
	if few, many := allocs(1), allocs(1000); many > few+1 {
		t.Errorf("a flush allocates %v times for one viewer, %v times for 1000", few, many)
	}
}
