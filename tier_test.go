package im_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// A viewer that lags gets no danmaku for a while, all of the rest, and in the
// end the number of what it has missed, also if the room is quiet by then.
func TestLaggingViewerIsLoweredAndRaised(t *testing.T) {
	bubble(t, &im.Options{Limits: unlimited}, func(t *testing.T, hub *imtest.Hub) {
		v := hub.ConnectSlow(user("slow"), 1024)
		v.Join("42", nil)
		room := hub.Room("42")
		send := func(kind im.Kind, n int) {
			t.Helper()
			for i := range n {
				if _, err := room.Send(t.Context(), kind, fmt.Sprint(i, strings.Repeat("x", 50))); err != nil {
					t.Fatal(err)
				}
				pass(30 * time.Millisecond)
			}
		}
		send(im.Danmaku, 100) // it reads none of them
		send(im.Notice, 3)
		danmaku, missed, notices := 0, 0, 0
		var tiers []string
		for end := false; !end; {
			u, ok := v.TryNext(10 * time.Second)
			switch {
			case !ok:
				end = true
			case u.Op == "gap":
				missed += u.Missed
			case u.Op == "tier":
				if tiers = append(tiers, fmt.Sprint(u.Tier, u.ByServer)); u.ByServer {
					if n := hub.Stats().Lowered; n != 1 {
						t.Errorf("%d sessions are lowered", n)
					}
					send(im.Danmaku, 10)
				}
			case u.Op == "event" && u.Event.Kind == im.Danmaku:
				danmaku++
			case u.Op == "event":
				notices++
			}
		}
		if got := strings.Join(tiers, " "); got != "reducedtrue fullfalse" || notices != 3 || danmaku+missed != 110 || missed < 50 {
			t.Errorf("tiers %q, %d notices, %d danmaku, %d missed", got, notices, danmaku, missed)
		}
		s := hub.Stats()
		if s.Lowered != 0 || int(s.Missed) != missed || s.Flushes < 10 || s.SlowestGap != 20*time.Millisecond {
			t.Errorf("%+v", s)
		}
		send(im.Danmaku, 1)
		if e := v.Event(); e.Kind != im.Danmaku {
			t.Errorf("it gets %v", e)
		}
	})
}

func TestFixedFlushGap(t *testing.T) {
	bubble(t, &im.Options{FlushGap: time.Second}, func(t *testing.T, hub *imtest.Hub) {
		v := hub.Join("42", user("ann"))
		pass(2 * time.Second) // the count
		start := time.Now()
		for i, want := range []time.Duration{0, time.Second} {
			if _, err := hub.Room("42").Send(t.Context(), im.Notice, i); err != nil {
				t.Fatal(err)
			}
			if v.Event(); time.Since(start) != want {
				t.Errorf("event %d came after %v", i, time.Since(start))
			}
		}
		if gap := hub.Stats().SlowestGap; gap != time.Second {
			t.Errorf("the gap is %v", gap)
		}
	})
}

// What is chosen holds when the hub lets a session in again.
func TestTierOutlivesAReset(t *testing.T) {
	opts := &im.Options{Limits: unlimited, Bounds: im.Bounds{RingBatches: 2}}
	bubble(t, opts, func(t *testing.T, hub *imtest.Hub) {
		v := hub.ConnectSlow(user("slow"), 512)
		v.Join("42", nil)
		if err := v.SetTier("42", "critical"); err != nil {
			t.Fatal(err)
		}
		for i := range 30 {
			for _, kind := range []im.Kind{im.Notice, im.Chat, im.Danmaku} {
				if _, err := hub.Room("42").Send(t.Context(), kind, fmt.Sprint(i, strings.Repeat("x", 50))); err != nil {
					t.Fatal(err)
				}
			}
			pass(30 * time.Millisecond)
		}
		if waitFor(v, "reset"); hub.Stats().Resets == 0 {
			t.Error("no reset: the test shows nothing")
		}
		for {
			u, ok := v.TryNext(5 * time.Second)
			if !ok {
				break
			}
			if u.Op == "tier" || u.Op == "gap" || u.Op == "event" && u.Event.Kind != im.Notice {
				t.Errorf("%+v", u)
			}
		}
	})
}

// Streams and polls may change their tier by a POST that names their session.
func TestTierByPost(t *testing.T) {
	hub, c := serveWeb(t, nil)
	s := c.stream("room=42", "")
	sid := s.expect("welcome").SID
	s.expect("joined")
	post := func(query string) (int, string) {
		t.Helper()
		status, list := c.messages("POST", "/send"+query, `{"op":"tier","id":7,"room":"42","tier":"critical"}`)
		return status, fmt.Sprint(list[0].Op, list[0].ID, list[0].Code)
	}
	if status, got := post("?sid=" + sid); status != 200 || got != "ack7" {
		t.Errorf("%d, %s", status, got)
	}
	if m := s.expect("tier"); m.Tier != "critical" || m.By != "" {
		t.Errorf("%+v", m)
	}
	if status, got := post(""); status != 409 || got != "error7not_joined" {
		t.Errorf("%d, %s", status, got)
	}
	s.end()

	_, list := c.messages("GET", "/poll?room=42", "")
	sid, at := list[0].SID, im.Position{Epoch: list[1].Epoch, Seq: list[1].Seq}
	if status, got := post("?sid=" + sid); status != 200 || got != "ack7" {
		t.Errorf("%d, %s", status, got)
	}
	for _, kind := range []im.Kind{im.Danmaku, im.Notice} {
		if _, err := hub.Room("42").Send(t.Context(), kind, 1); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for len(got) < 2 { // a poll that names the tier goes on
		_, list = c.messages("GET", fmt.Sprintf("/poll?room=42&tier=critical&since=%s&sid=%s", at, sid), "")
		for _, m := range list {
			switch m.Op {
			case "online":
			case "events":
				at.Seq = m.To
				got = append(got, m.Op+m.Events[0].Kind)
			default:
				got = append(got, m.Op+m.Tier)
			}
		}
	}
	if strings.Join(got, " ") != "tiercritical eventsnotice" {
		t.Errorf("the poll got %q", got)
	}
}
