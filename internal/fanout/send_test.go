package fanout

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestPartialSends cuts a send of all there can be in it at every byte, and at
// many pairs of bytes: the stream must be the same as without a cut.
func TestPartialSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		play := func(windows ...int) string {
			r, a, b := newRig(t, 0, testLimits), newRoom("a", 0, roomy), newRoom("b", 0, roomy)
			if len(windows) > 0 {
				r.conn.window, windows = windows[0], windows[1:]
			}
			r.turn.take() // all of it goes out at once
			r.Control([]byte("?ping\n"))
			r.Send([]byte(`{"op":"ack"}`))
			r.enter(a, TierFull)
			r.enter(b, TierReduced)
			now := time.Now()
			a.push(now.Add(-old), "cv")
			a.push(now.Add(-old), "v")
			a.push(now, "vn")
			b.push(now, "v")
			b.push(now, "nc")
			a.online(7)
			r.turn.give()
			r.turn.state.Store(free)
			r.Flush()
			for _, w := range windows {
				r.read(w)
			}
			r.read(unlimited)
			if a, n := r.BlockedFor(now.Add(time.Hour)), r.Queued(); a != 0 || n != 0 {
				t.Errorf("windows %v: in the end %d bytes wait and the connection is full since %v", windows, n, a)
			}
			if r.stats.Gaps.Load() != 2 || r.stats.Missed.Load() != 2 || r.stats.SentBytes.Load() != uint64(len(r.conn.got())) {
				t.Errorf("windows %v: %d gaps, %d missed, %d bytes are counted", windows, r.stats.Gaps.Load(), r.stats.Missed.Load(), r.stats.SentBytes.Load())
			}
			return r.conn.got()
		}
		whole := play(unlimited)
		want := []string{"?ping", "ack", "joined", "joined", "gap 1 0>0", "0>2 c1", "gap 1 2>3", "3>5 v4 n5", "online 7", "0>3 n2 c3"}
		if got := brief(t, whole); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("without a cut the peer got\n\t%q\nwant\n\t%q", got, want)
		}
		for i := range len(whole) + 1 {
			if got := play(i); got != whole {
				t.Fatalf("cut at byte %d the peer got\n%s", i, got)
			}
			for j := 1; j < len(whole)-i; j += 31 {
				if got := play(i, j); got != whole {
					t.Fatalf("cut at bytes %d and %d the peer got\n%s", i, i+j, got)
				}
			}
		}
		for k := 1; k <= 40; k++ { // k bytes at a time
			if got := play(append(make([]int, 0, len(whole)), steps(k, len(whole)/k+1)...)...); got != whole {
				t.Fatalf("%d bytes at a time: the peer got\n%s", k, got)
			}
		}
	})
}

func steps(k, n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = k
	}
	return s
}

func TestSendsAreBounded(t *testing.T) {
	limits := *testLimits
	limits.Send = 300
	r, room := newRig(t, unlimited, &limits), newRoom("42", 0, roomy)
	r.enter(room, TierFull)
	sends := r.conn.sends
	var want []string
	for i := range 20 {
		room.push(time.Now(), "nnn")
		want = append(want, fmt.Sprintf("%d>%d n%d n%d n%d", 3*i, 3*i+3, 3*i+1, 3*i+2, 3*i+3))
	}
	r.Flush()
	r.expect(t, append([]string{"joined"}, want...)...)
	frame := len(r.conn.got()) / 20
	if least := 20*frame/(limits.Send+frame) + 1; r.conn.sends-sends < least {
		t.Errorf("%d bytes went out in %d sends; want at least %d of %d bytes", len(r.conn.got()), r.conn.sends-sends, least, limits.Send)
	}
}

// The budget is for all rooms of a session together; what it leaves out follows.
func TestSendBudgetSpansRoomsAndQueue(t *testing.T) {
	limits := *testLimits
	limits.Send, limits.Queue = 100, 1<<20
	r := newRig(t, unlimited, &limits)
	r.turn.take()
	want := []string{}
	for i := range 5 {
		r.Send(fmt.Appendf(nil, `{"op":"ack%d","reason":"%50d"}`, i, 0))
		want = append(want, fmt.Sprint("ack", i))
	}
	for i := range 3 {
		room := newRoom(fmt.Sprint(i), 0, roomy)
		r.enter(room, TierFull)
		room.push(time.Now(), "ccc")
	}
	want = append(want, "joined", "joined", "joined", "0>3 c1 c2 c3", "0>3 c1 c2 c3", "0>3 c1 c2 c3")
	r.turn.state.Store(free)
	r.Flush()
	r.expect(t, want...)
	if r.conn.sends < 6 {
		t.Errorf("it took only %d sends", r.conn.sends)
	}
}

func TestDeadConnection(t *testing.T) {
	r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
	r.enter(room, TierFull)
	r.conn.err = errDead
	room.push(time.Now(), "c")
	r.Flush()
	if r.conn.aborted != 1 {
		t.Errorf("a connection that is dead was aborted %d times", r.conn.aborted)
	}
	sends := r.conn.sends
	r.Flush()
	r.Writable()
	r.Control([]byte("?\n"))
	r.Finish(nil, 1000, "")
	if r.Send(nil) || r.Offer(nil) || r.Enter(nil, room.cursor(r.Outlet, TierFull), nil) || r.Leave(nil, nil) {
		t.Error("an outlet on a dead connection takes messages")
	}
	if r.conn.sends != sends || r.conn.finished > 0 {
		t.Error("something was sent on a dead connection")
	}
	if r.Queued() != 0 || r.Ready() != nil || r.BlockedFor(time.Now().Add(time.Hour)) != 0 {
		t.Error("a dead connection seems to wait for something")
	}
}

// A peer that reads more slowly than its room goes on must not put off the end.
func TestFinishEndsInABusyRoom(t *testing.T) {
	limits := *testLimits
	limits.Send = 300
	r, room := newRig(t, unlimited, &limits), newRoom("42", 0, roomy)
	r.enter(room, TierFull)
	r.conn.window = 0
	for range 10 {
		room.push(time.Now(), "ccc")
	}
	r.Finish([]byte(`{"op":"bye"}`), 1008, "kicked")
	for range 100 {
		room.push(time.Now(), "ccc")
		r.read(150)
	}
	got := brief(t, r.conn.got())
	if r.conn.finished != 1 || len(got) != 1+10+2 || got[10] != "27>30 c28 c29 c30" {
		t.Errorf("finished %d times after %q", r.conn.finished, got)
	}
}

// Closed may come while another goroutine sends: the contract only says that
// the goroutines of the Conn have stopped.
func TestClosedDuringASend(t *testing.T) {
	for name, prepare := range map[string]func(*rig){
		"message": func(r *rig) { r.Send([]byte(`{"op":"ack"}`)) },
		"control": func(r *rig) { r.Control([]byte("?\n")) },
		"both":    func(r *rig) { r.Send([]byte(`{"op":"ack"}`)); r.Control([]byte("?\n")) },
		"final":   func(r *rig) { r.Finish(nil, 1000, "") },
		"entry":   func(r *rig) { r.enter(newRoom("42", 0, roomy), TierFull) },
	} {
		for _, window := range []int{0, 1, 2, unlimited} {
			t.Run(fmt.Sprint(name, " ", window), func(t *testing.T) {
				r := newRig(t, window, testLimits)
				r.conn.during = r.Closed
				r.turn.take()
				prepare(r)
				r.turn.state.Store(free)
				r.Flush()
				if r.Send(nil) || r.Queued() != 0 {
					t.Error("the outlet is not closed")
				}
			})
		}
	}
}

func TestRoomThatComesEarly(t *testing.T) {
	r := newRig(t, 3, testLimits)
	early := &earlyConn{conn: r.conn, after: func() { r.conn.read(r.Outlet, unlimited) }}
	r.Outlet.conn = early
	r.Send([]byte(`{"op":"ack"}`))
	r.Send([]byte(`{"op":"pong"}`))
	r.expect(t, "ack", "pong")
}

// earlyConn calls after before TrySend has returned.
type earlyConn struct {
	*conn
	after func()
}

func (c *earlyConn) TrySend(bufs [][]byte) (int, error) {
	n, err := c.conn.TrySend(bufs)
	c.after()
	return n, err
}

func TestBlockedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, &FeedLimits{Batches: 2, Bytes: 1 << 20, BatchBytes: 1 << 10})
		wait := func(want time.Duration) {
			t.Helper()
			<-time.After(time.Second)
			if got := r.BlockedFor(time.Now()); got != want {
				t.Errorf("blocked for %v, want %v", got, want)
			}
		}
		wait(0)
		r.enter(room, TierFull)
		wait(0)
		r.conn.window = 0
		room.push(time.Now(), "c")
		r.Flush()
		wait(time.Second)
		room.push(time.Now(), "c")
		r.Flush()
		wait(2 * time.Second)
		r.read(1)
		wait(time.Second) // it does take something
		wait(2 * time.Second)
		r.read(unlimited)
		wait(0)
	})
}

// After the cursor that waited has fallen out of the feed, nothing waits.
func TestNothingWaitsAfterALoss(t *testing.T) {
	r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, &FeedLimits{Batches: 2, Bytes: 1 << 20, BatchBytes: 1 << 10})
	r.enter(room, TierFull)
	r.conn.window = 0
	for range 3 {
		room.push(time.Now(), "c")
		r.Flush()
	}
	r.read(unlimited)
	if len(r.gone) != 1 {
		t.Fatalf("%d cursors were lost", len(r.gone))
	}
	if d := r.BlockedFor(time.Now().Add(time.Hour)); d != 0 {
		t.Errorf("blocked for %v although nothing waits", d)
	}
}

func TestScratchKeepsNothingAlive(t *testing.T) {
	r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
	r.enter(room, TierFull)
	for range 30 {
		room.push(time.Now(), "c")
	}
	s := new(Scratch)
	r.FlushWith(s, time.Now())
	for _, b := range s.bufs[:cap(s.bufs)] {
		if b != nil {
			t.Fatal("a buffer is kept")
		}
	}
	for _, b := range s.batches[:cap(s.batches)] {
		if b != nil {
			t.Fatal("a batch is kept")
		}
	}
	for _, seg := range s.segs[:cap(s.segs)] {
		if seg.wire != nil || seg.cursor != nil {
			t.Fatal("a segment is kept")
		}
	}
}

// Whoever finds another goroutine sending may go: that one looks once more.
func TestFlushLosesNoWakeUp(t *testing.T) {
	r := newRig(t, unlimited, testLimits)
	r.Outlet.conn = &countingConn{}
	const senders = 3
	for round := range 3000 {
		var wg sync.WaitGroup
		for range senders {
			wg.Go(func() { r.Send(nil) })
		}
		wg.Wait()
		if n := r.Queued(); n > 0 {
			t.Fatalf("round %d: everybody has returned and %d bytes wait", round, n)
		}
	}
}

// countingConn takes everything and keeps nothing.
type countingConn struct {
	conn
	bytes int
}

func (c *countingConn) TrySend(bufs [][]byte) (n int, err error) {
	for _, b := range bufs {
		n += len(b)
	}
	c.bytes += n
	return n, nil
}

// TestOutletUnderStress has everything happen to one outlet at once. All that
// was sent must arrive, in the order of its sender.
func TestOutletUnderStress(t *testing.T) {
	const senders, each, batches = 4, 300, 300
	r, rooms := newRig(t, 0, &Common{Limits: Limits{Queue: 1 << 20, Send: 2000, VolatileAge: time.Hour}}), []*room{newRoom("a", 0, roomy), newRoom("b", 0, roomy)}
	for _, room := range rooms {
		r.enter(room, TierFull)
	}
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for j := range each {
				r.Send(fmt.Appendf(nil, `{"op":"ack","id":%d}`, i*each+j+1))
			}
		})
	}
	for _, room := range rooms {
		wg.Go(func() {
			s := new(Scratch)
			for i := range batches {
				room.push(time.Now(), "cnv")
				if i%10 == 0 {
					room.online(i)
				}
				r.FlushWith(s, time.Now())
			}
		})
	}
	wg.Go(func() {
		for range 500 {
			r.Control([]byte("?\n"))
		}
	})
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		random := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-stop:
				return
			default:
				r.read(random.IntN(500))
			}
		}
	})
	wg.Wait()
	close(stop)
	reader.Wait()
	r.read(unlimited)
	ids, at := [senders]uint64{}, map[string]uint64{}
	for _, m := range decode(t, r.conn.got()) {
		switch m.Op {
		case "ack":
			sender := (m.ID - 1) / each
			if m.ID%each == 1 {
				ids[sender] = m.ID - 1
			}
			if m.ID != ids[sender]+1 {
				t.Fatalf("message %d follows %d", m.ID, ids[sender])
			}
			ids[sender] = m.ID
		case "events":
			for _, e := range m.Events {
				if e.Seq != at[m.Room]+1 {
					t.Fatalf("event %d follows %d", e.Seq, at[m.Room])
				}
				at[m.Room] = e.Seq
			}
		}
	}
	for i, id := range ids {
		if id != uint64(i+1)*each {
			t.Errorf("sender %d came to %d", i, id)
		}
	}
	if at["a"] != 3*batches || at["b"] != 3*batches || !strings.Contains(r.conn.got(), "?\n") {
		t.Errorf("the rooms came to %v, want %d", at, 3*batches)
	}
}
