package fanout

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestQueueIsInOrder(t *testing.T) {
	r, room := newRig(t, 0, testLimits), newRoom("42", 0, roomy)
	r.Send([]byte(`{"op":"welcome"}`))
	room.push(time.Now(), "c")
	r.enter(room, TierFull)
	r.Send([]byte(`{"op":"ack"}`))
	r.Offer([]byte(`{"op":"direct"}`))
	room.push(time.Now(), "c")
	r.Flush()
	r.read(unlimited)
	r.expect(t, "welcome", "joined", "ack", "direct", "1>2 c2")
	r.Send([]byte(`{"op":"pong"}`))
	r.expect(t, "welcome", "joined", "ack", "direct", "1>2 c2", "pong")
}

func TestQueueDoesNotSend(t *testing.T) {
	r := newRig(t, unlimited, testLimits)
	if !r.Queue([]byte(`{"op":"welcome"}`)) || r.conn.sends > 0 || r.Queued() == 0 {
		t.Fatalf("%d sends, %d bytes wait", r.conn.sends, r.Queued())
	}
	r.Send([]byte(`{"op":"ack"}`))
	r.expect(t, "welcome", "ack")
	r.Finish(nil, 1000, "")
	if r.Queue(nil) {
		t.Error("an outlet that finishes takes messages")
	}
}

func TestCork(t *testing.T) {
	r := newRig(t, unlimited, testLimits)
	r.Cork()
	r.Send([]byte(`{"op":"ack"}`))
	r.Offer([]byte(`{"op":"direct"}`))
	if r.conn.sends > 0 {
		t.Fatalf("a corked outlet made %d sends", r.conn.sends)
	}
	r.Uncork()
	r.Uncork()
	r.expect(t, "ack", "direct")
	if r.conn.sends != 1 {
		t.Errorf("%d sends, want one", r.conn.sends)
	}
	r.Send([]byte(`{"op":"pong"}`))
	r.expect(t, "ack", "direct", "pong")
}

func TestPrivateAndSharedFormats(t *testing.T) {
	r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
	r.enter(room, TierFull)
	room.push(time.Now().Add(-old), "vn")
	room.online(3)
	r.Flush()
	formats := ""
	for _, line := range strings.Split(strings.TrimSpace(r.conn.got()), "\n") {
		formats += line[:1]
	}
	if formats != "ppss" { // joined, gap, events, online
		t.Errorf("the formats are %q, want ppss", formats)
	}
}

func TestEnterReplacesACursor(t *testing.T) {
	r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
	now := time.Now()
	first := r.enter(room, TierFull)
	room.push(now, "v")
	r.Flush()
	room.push(now, "v") // not sent before the session enters again
	second := room.cursor(r.Outlet, TierCritical)
	r.Enter([]byte(`{"op":"joined"}`), second, first)
	room.push(now, "vc")
	r.Flush()
	r.expect(t, "joined", "0>1 v1", "joined", "0>4 c4")
	if first.Seq() != 1 || second.Seq() != 4 {
		t.Errorf("the cursors are at %d and %d, want 1 and 4", first.Seq(), second.Seq())
	}
}

func TestLeave(t *testing.T) {
	r, a, b := newRig(t, unlimited, testLimits), newRoom("a", 0, roomy), newRoom("b", 0, roomy)
	in := r.enter(a, TierFull)
	r.enter(b, TierFull)
	a.push(time.Now(), "c")
	r.Flush()
	a.push(time.Now(), "n")
	r.Leave(in, []byte(`{"op":"left"}`))
	a.push(time.Now(), "c")
	b.push(time.Now(), "c")
	r.Flush()
	r.expect(t, "joined", "joined", "0>1 c1", "left", "0>1 c1")
	r.Leave(in, []byte(`{"op":"left"}`)) // a second time says so again, no more
	r.expect(t, "joined", "joined", "0>1 c1", "left", "0>1 c1", "left")
}

func TestLeaveBeforeTheEntryIsSent(t *testing.T) {
	r, room := newRig(t, 0, testLimits), newRoom("42", 0, roomy)
	c := r.enter(room, TierFull)
	r.Leave(c, []byte(`{"op":"left"}`))
	room.push(time.Now(), "c")
	r.Flush()
	r.read(unlimited)
	r.Flush()
	r.expect(t, "joined", "left")
}

func TestLeaveFinishesWhatWasCut(t *testing.T) {
	r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
	c := r.enter(room, TierFull)
	r.conn.window = 10
	room.push(time.Now(), "c")
	r.Flush()
	room.push(time.Now(), "c")
	r.Leave(c, []byte(`{"op":"left"}`))
	r.read(unlimited)
	r.expect(t, "joined", "0>1 c1", "left")
}

func TestControlIsReplaced(t *testing.T) {
	r := newRig(t, 0, testLimits)
	r.Send([]byte(`{"op":"ack"}`))
	for i := range 5 {
		r.Control(fmt.Appendf(nil, "?%d\n", i))
	}
	r.read(unlimited)
	r.expect(t, "?4", "ack")
	r.Control([]byte("?5\n"))
	r.expect(t, "?4", "ack", "?5")
}

func TestControlGoesFirst(t *testing.T) {
	r := newRig(t, 4, testLimits)
	r.Send([]byte(`{"op":"ack"}`)) // cut
	r.Send([]byte(`{"op":"pong"}`))
	r.Control([]byte("?1\n"))
	r.read(len("p{\"op\":\"ack\"}\n") - 4 + 1) // the rest and a byte of the control
	r.Control([]byte("?2\n"))                  // does not replace what is under way
	r.read(unlimited)
	r.expect(t, "ack", "?1", "?2", "pong")
}

func TestEmptyControl(t *testing.T) {
	r := newRig(t, unlimited, testLimits)
	r.Control(nil)
	r.Control([]byte{})
	r.Send([]byte(`{"op":"ack"}`))
	r.expect(t, "ack")
}

func TestFinishSendsEverythingFirst(t *testing.T) {
	for window := range 220 {
		r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
		r.enter(room, TierFull)
		r.conn.window = window
		r.Send([]byte(`{"op":"ack"}`))
		room.push(time.Now(), "c") // accepted before the end, so it is delivered
		r.Finish([]byte(`{"op":"bye"}`), 1001, "shutdown")
		r.Finish([]byte(`{"op":"bye"}`), 1008, "again")
		if r.Send(nil) || r.Offer(nil) || r.Enter(nil, room.cursor(r.Outlet, TierFull), nil) || r.Leave(nil, nil) {
			t.Error("an outlet that finishes takes messages")
		}
		r.Control([]byte("?late\n"))
		room.push(time.Now(), "c")
		r.Flush()
		if r.conn.finished > 0 && len(r.conn.got()) < 47 {
			t.Errorf("finished after %d bytes", len(r.conn.got()))
		}
		r.read(unlimited)
		r.Flush()
		words := brief(t, r.conn.got())
		if slices.Index(words, "1>2 c2") == 3 { // it came while the connection was full, before the farewell
			words = slices.Delete(words, 3, 4)
		}
		if want := []string{"joined", "ack", "0>1 c1", "bye", "!1001 shutdown"}; !slices.Equal(words, want) {
			t.Errorf("with room for %d bytes the peer got %q, want %q", window, words, want)
		}
		if r.conn.finished != 1 || r.conn.aborted != 0 {
			t.Errorf("window %d: Finish was called %d times, Abort %d", window, r.conn.finished, r.conn.aborted)
		}
	}
}

func TestFinishWithoutWords(t *testing.T) {
	r := newRig(t, unlimited, testLimits)
	r.Outlet.conn = silent{r.conn}
	r.Finish(nil, 1000, "")
	r.Flush()
	if r.conn.finished != 1 || r.conn.sends != 0 {
		t.Errorf("finished %d times with %d sends, want 1 and 0", r.conn.finished, r.conn.sends)
	}
}

// silent has no farewell.
type silent struct{ *conn }

func (silent) Farewell(int, string) []byte { return nil }

func TestFinishSendsTheControlThatWaits(t *testing.T) {
	r := newRig(t, 0, testLimits)
	r.Control([]byte("?pong\n"))
	r.Finish(nil, 1000, "ok")
	r.read(unlimited)
	r.expect(t, "?pong", "!1000 ok")
}

func TestOfferRefusesWhenFull(t *testing.T) {
	limits := *testLimits
	limits.Queue = 40
	r := newRig(t, 0, &limits)
	message := []byte(`{"op":"direct"}`) // 17 bytes on the wire
	for range 2 {
		if !r.Offer(message) {
			t.Fatal("there was room for two")
		}
	}
	if r.Offer(message) || r.Queued() != 34 {
		t.Fatalf("the third was taken, or %d bytes wait", r.Queued())
	}
	if !r.Send(message) || r.Queued() != 51 {
		t.Fatalf("Send was refused, or %d bytes wait", r.Queued())
	}
	r.read(unlimited)
	if !r.Offer(message) {
		t.Error("the queue is empty and refuses")
	}
	r.expect(t, "direct", "direct", "direct", "direct")
}

func TestReady(t *testing.T) {
	limits := *testLimits
	limits.Queue = 40
	r := newRig(t, 0, &limits)
	message := []byte(`{"op":"ack"}`) // 14 bytes on the wire
	for range 2 {
		r.Send(message)
		if r.Ready() != nil {
			t.Fatal("not ready although the queue has room")
		}
	}
	r.Send(message)
	ready := r.Ready()
	if ready == nil || r.Ready() != ready {
		t.Fatal("ready with 42 bytes of 40, or two channels for one wait")
	}
	r.Send(message)
	select {
	case <-ready:
		t.Fatal("released although nothing was sent")
	default:
	}
	r.read(1) // takes the first message out of the queue; 42 bytes are left
	select {
	case <-ready:
		t.Fatal("released although the queue has no room")
	default:
	}
	r.read(14)
	<-ready
	if r.Ready() != nil {
		t.Error("not ready with 28 bytes of 40")
	}
}

func TestReadyIsReleasedAtTheEnd(t *testing.T) {
	for name, end := range map[string]func(*rig){
		"closed": func(r *rig) { r.Closed() },
		"dead":   func(r *rig) { r.conn.err = errDead; r.read(1) },
		"twice":  func(r *rig) { r.Closed(); r.Closed() },
	} {
		t.Run(name, func(t *testing.T) {
			limits := *testLimits
			limits.Queue = 1
			r := newRig(t, 0, &limits)
			r.Send([]byte(`{"op":"ack"}`))
			ready := r.Ready()
			end(r)
			<-ready
			if r.Queued() != 0 || r.Ready() != nil {
				t.Errorf("%d bytes wait for nobody", r.Queued())
			}
		})
	}
}
