package client

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

func TestSlowApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		f.depth = 1
		c, p := dialFake(t, f, Options{})
		r := joinFake(t, c, p, "42", &JoinOptions{Buffer: 8})
		sent, at := make(chan uint64, 1000), uint64(100)
		go func() {
			for range 100 {
				p.send(eventsMsg("42", at, at+1))
				at++
				sent <- at
			}
			close(sent)
		}()
		<-time.After(time.Hour) // no ping, no reconnect: the client knows that it is slow itself
		if n := len(sent); n > 12 {
			t.Errorf("the server could send %d events; the client does not stop to read", n)
		}
		if n := len(f.attempts()); n != 1 {
			t.Errorf("%d connections", n)
		}
		for seq := uint64(101); seq <= 200; seq++ {
			if e := next[Event](t, r); e.Pos.Seq != seq {
				t.Fatalf("seq %d; want %d", e.Pos.Seq, seq)
			}
		}
	})
}

// The most natural bot, which sends from inside its loop, must not wait for
// itself: the answer to its request is behind events for which there is no room.
func TestSendFromTheLoopOfASlowApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dialFake(t, newFakeServer(t), Options{})
		r := joinFake(t, c, p, "42", &JoinOptions{Buffer: 4})
		const last = 150
		go func() {
			at := uint64(100)
			for at < last {
				at++
				p.send(eventsMsg("42", at-1, at))
			}
			for {
				q, ok := p.request(time.Minute)
				switch {
				case !ok:
					return
				case q.Op == wire.OpSend:
					p.sendf(`{"op":"ack","id":%d,"status":"ok"}`, q.ID)
				case q.Op == wire.OpJoin:
					m := wire.Message{Op: wire.OpJoined, ID: q.ID, Room: "42", Epoch: "e1", Seq: min(last, q.Since.Seq+20), Recovered: true}
					for s := q.Since.Seq + 1; s <= m.Seq; s++ {
						m.Events = append(m.Events, chatEvent(s))
					}
					b, _ := json.Marshal(m)
					p.send(string(b))
					if m.Seq < last {
						p.send(eventsMsg("42", last-1, last))
					}
				}
			}
		}()
		want := uint64(101)
		for ev := range r.Events(t.Context()) {
			if ev.Pos.Seq != want {
				t.Fatalf("seq %d; want %d", ev.Pos.Seq, want)
			}
			if _, err := r.Send(t.Context(), im.Chat, "echo"); err != nil {
				t.Fatal(err)
			}
			if want++; want > last {
				break
			}
		}
	})
}

func TestNoUpdates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dialFake(t, newFakeServer(t), Options{})
		r := joinFake(t, c, p, "42", &JoinOptions{NoUpdates: true, Buffer: 1})
		for at := uint64(100); at < 200; at++ {
			p.send(eventsMsg("42", at, at+1))
		}
		synctest.Wait()
		if r.Position().Seq != 200 {
			t.Errorf("position %v", r.Position())
		}
	})
}
