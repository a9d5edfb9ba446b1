package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

func TestJoinEventsGapResetLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dialFake(t, newFakeServer(t), Options{})
		go func() {
			r := p.expect(wire.OpJoin)
			if r.Since != nil || r.Tier != "reduced" {
				t.Errorf("join %+v", r)
			}
			p.sendf(`{"op":"joined","id":%d,"room":"42","epoch":"e1","seq":100,"state":{"slide":{"value":3,"version":90}},"online":3,
				"events":[{"seq":99,"id":"a","kind":"chat","at":1,"body":1},{"seq":100,"id":"b","kind":"chat","at":1,"body":2}]}`, r.ID)
		}()
		r, err := c.Join(t.Context(), "42", &JoinOptions{Tier: TierReduced})
		if err != nil {
			t.Fatal(err)
		}
		first := next[Reset](t, r)
		if first.Position != (im.Position{Epoch: "e1", Seq: 100}) || string(first.State["slide"].Value) != "3" || first.Online != 3 {
			t.Errorf("%+v", first)
		}
		if !r.Position().IsZero() {
			t.Errorf("position %v in the middle of a Reset; the rest of it would be lost", r.Position())
		}
		if e := next[Event](t, r); !e.Replayed || e.ID != "a" || e.Pos.Seq != 99 {
			t.Errorf("%+v", e)
		}
		next[Event](t, r)
		if r.Position().Seq != 100 {
			t.Errorf("position %v", r.Position())
		}

		p.send(`[{"op":"events","room":"42","prev":100,"to":107,"events":[
			{"seq":101,"id":"c","kind":"state","at":1764000000000,"from":{"id":"u2","name":"Bob"},"body":{"key":"slide","value":4}},
			{"id":"local","kind":"danmaku","at":1,"body":{}},
			{"seq":105,"id":"d","kind":"state","at":1,"body":{"key":"pin","value":"x"}}]},
			{"op":"gap","room":"42","missed":37,"to":160},{"op":"online","room":"42","count":513,"joined":{"names":["Ann","Bo"],"n":2}},{"op":"online","room":"42","count":514,"joined":{"names":["Cy","Di","Ed"],"n":7}},
			{"op":"fate","room":"42","cid":"c-1","status":"refused","code":"forbidden","reason":"no"},{"op":"later","room":"42"}]`)
		e := next[Event](t, r)
		if e.Replayed || e.From.Name != "Bob" || e.At.UnixMilli() != 1764000000000 || e.Pos.Epoch != "e1" {
			t.Errorf("%+v", e.Event)
		}
		if v, version, ok := r.Get("slide"); string(v) != "4" || version != 101 || !ok {
			t.Errorf("slide = %s, version %d, %v", v, version, ok)
		}
		if e := next[Event](t, r); !e.Pos.IsZero() || r.Position().Seq != 101 {
			t.Errorf("an event without a place: %+v, then position %v", e.Event, r.Position())
		}
		next[Event](t, r)
		if r.Position().Seq != 107 {
			t.Errorf("position %v; want the end of the message", r.Position())
		}
		if g := next[Gap](t, r); g.Missed != 37 || r.Position().Seq != 160 {
			t.Errorf("%+v, position %v", g, r.Position())
		}
		if o := next[Online](t, r); o.Count != 514 || r.Online() != 514 || o.Joined == nil || o.Joined.N != 9 || !slices.Equal(o.Joined.Names, []string{"Ann", "Bo", "Cy"}) {
			t.Errorf("%+v; want the last count", o)
		}
		if f := next[Fate](t, r); f.CID != "c-1" || f.Status != StatusRefused || !isCode(f.Err, im.CodeForbidden) {
			t.Errorf("%+v", f)
		}

		p.send(`{"op":"reset","room":"42","epoch":"e2","seq":7,"state":{"pin":{"value":1,"version":3}},"online":9}`)
		if s := next[Reset](t, r); s.Position.Epoch != "e2" || r.Position() != s.Position {
			t.Errorf("%+v, position %v", s, r.Position())
		}
		if s := r.State(); len(s) != 1 || s["pin"].Version != 3 {
			t.Errorf("state %v", s)
		}
		p.send(eventsMsg("42", 7, 8), `{"op":"left","room":"42","code":"kicked","reason":"enough"}`)
		next[Event](t, r)
		if l := next[Left](t, r); !isCode(l.Err, im.CodeKicked) || l.Err.Reason != "enough" {
			t.Errorf("%+v", l)
		}
		if _, err := r.Next(t.Context()); !isCode(err, im.CodeKicked) || len(c.Rooms()) != 0 {
			t.Errorf("after the end: %v, rooms %v", err, c.Rooms())
		}
		if _, err := r.Send(t.Context(), im.Chat, 1); !isCode(err, im.CodeKicked) {
			t.Errorf("send after the end: %v", err)
		}
	})
}

func TestJoinRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dialFake(t, newFakeServer(t), Options{})
		go func() {
			p.sendf(`{"op":"error","id":%d,"code":"room_closed","reason":"over"}`, p.expect(wire.OpJoin).ID)
		}()
		if _, err := c.Join(t.Context(), "42", nil); !errors.Is(err, im.ErrRoomClosed) {
			t.Error(err)
		}
		joinFake(t, c, p, "42", nil)
		if _, err := c.Join(t.Context(), "42", nil); !errors.Is(err, ErrJoined) {
			t.Errorf("joined twice: %v", err)
		}
	})
}

// A join that is given up is taken back, and does not disturb the next one.
func TestJoinGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dialFake(t, newFakeServer(t), Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Join(ctx, "42", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		joined := going(func() (*Room, error) { return c.Join(t.Context(), "42", nil) })
		synctest.Wait()
		a, b, d := p.expect(wire.OpJoin), p.expect(wire.OpLeave), p.expect(wire.OpJoin)
		p.sendf(`{"op":"joined","id":%d,"room":"42","epoch":"e1","seq":5}`, a.ID)
		p.send(eventsMsg("42", 5, 6))
		p.sendf(`{"op":"left","id":%d,"room":"42"}`, b.ID)
		p.sendf(`{"op":"joined","id":%d,"room":"42","epoch":"e1","seq":6}`, d.ID)
		r, err := joined()
		if err != nil {
			t.Fatal(err)
		}
		if s := next[Reset](t, r); s.Position.Seq != 6 {
			t.Errorf("%+v", s)
		}
		p.send(eventsMsg("42", 6, 7))
		next[Event](t, r)
	})
}

func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c, p := dialFake(t, f, Options{})
		r1, r2 := joinFake(t, c, p, "1", nil), joinFake(t, c, p, "2", nil)
		p.send(eventsMsg("1", 100, 101, 104), eventsMsg("2", 100, 102))
		p.drop(errCut)
		p = f.accept()
		since := map[string]uint64{}
		for range 2 {
			j := p.expect(wire.OpJoin)
			since[j.Room] = j.Since.Seq
			ev, _ := json.Marshal([]wire.Event{chatEvent(j.Since.Seq), chatEvent(j.Since.Seq + 3)})
			p.sendf(`{"op":"joined","id":%d,"room":%q,"epoch":"e1","seq":110,"recovered":true,"missed":2,"online":4,"events":%s}`, j.ID, j.Room, ev)
		}
		if since["1"] != 104 || since["2"] != 102 {
			t.Errorf("joined since %v", since)
		}
		next[Event](t, r1)
		next[Event](t, r1)
		next[Event](t, r2)
		for _, r := range []*Room{r1, r2} {
			if u := next[Resumed](t, r); u.Missed != 2 || u.Position.Seq != 110 || r.Position().Seq != since[r.Name()] {
				t.Errorf("%+v, position %v", u, r.Position())
			}
			if e := next[Event](t, r); e.Pos.Seq != since[r.Name()]+3 || r.Position().Seq != 110 {
				t.Errorf("%v, position %v; what the client had comes again", e.Pos, r.Position())
			}
		}
	})
}

// An application that keeps the position goes on in another run.
func TestJoinSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dialFake(t, newFakeServer(t), Options{})
		go func() {
			j := p.expect(wire.OpJoin)
			if *j.Since != (wire.Position{Epoch: "e1", Seq: 50}) {
				t.Errorf("since %+v", j.Since)
			}
			p.sendf(`{"op":"joined","id":%d,"room":"42","epoch":"e1","seq":60,"recovered":true,"state":{"k":{"value":1,"version":55}}}`, j.ID)
		}()
		r, err := c.Join(t.Context(), "42", &JoinOptions{Since: im.Position{Epoch: "e1", Seq: 50}})
		if err != nil {
			t.Fatal(err)
		}
		next[Resumed](t, r)
		if _, v, ok := r.Get("k"); r.Position().Seq != 60 || v != 55 || !ok {
			t.Errorf("position %v, version %d", r.Position(), v)
		}
	})
}

func TestLostEventsAreFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dialFake(t, newFakeServer(t), Options{})
		r := joinFake(t, c, p, "42", nil)
		p.send(eventsMsg("42", 100, 101), eventsMsg("42", 101, 101), eventsMsg("42", 105, 106), `{"op":"gap","room":"42","missed":1,"to":108}`, eventsMsg("42", 108, 109))
		j := p.expect(wire.OpJoin)
		if j.Since.Seq != 101 {
			t.Errorf("joined again since %v", j.Since)
		}
		ev, _ := json.Marshal([]wire.Event{chatEvent(103), chatEvent(106), chatEvent(109)})
		p.sendf(`{"op":"joined","id":%d,"room":"42","epoch":"e1","seq":109,"recovered":true,"missed":1,"events":%s}`, j.ID, ev)
		next[Event](t, r)
		next[Resumed](t, r)
		for _, seq := range []uint64{103, 106, 109} {
			if e := next[Event](t, r); e.Pos.Seq != seq {
				t.Errorf("seq %d; want %d", e.Pos.Seq, seq)
			}
		}
		if r, ok := p.request(time.Second); ok {
			t.Errorf("one more request: %+v", r)
		}
	})
}

func TestRejoinRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c, p := dialFake(t, f, Options{})
		r := joinFake(t, c, p, "42", nil)
		p.drop(errCut)
		p = f.accept()
		start := time.Now()
		p.sendf(`{"op":"error","id":%d,"code":"overloaded","retry_ms":3000}`, p.expect(wire.OpJoin).ID)
		sent := going(func() (Receipt, error) { return r.Send(t.Context(), im.Chat, 1) })
		j := p.expect(wire.OpJoin)
		if d := time.Since(start); d < 3*time.Second || d > 4*time.Second {
			t.Errorf("joined again after %v; want the advised 3 s and jitter", d)
		}
		p.sendf(`{"op":"joined","id":%d,"room":"42","epoch":"e1","seq":100,"recovered":true}`, j.ID)
		next[Resumed](t, r)
		p.sendf(`{"op":"ack","id":%d,"status":"ok"}`, p.expect(wire.OpSend).ID)
		if _, err := sent(); err != nil {
			t.Error(err)
		}
		p.drop(errCut)
		p = f.accept()
		p.sendf(`{"op":"error","id":%d,"code":"forbidden"}`, p.expect(wire.OpJoin).ID)
		if l := next[Left](t, r); !isCode(l.Err, im.CodeForbidden) {
			t.Error(l.Err)
		}
	})
}

func TestLeaveAndTier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c, p := dialFake(t, f, Options{})
		r := joinFake(t, c, p, "42", nil)
		go func() {
			q := p.expect(wire.OpTier)
			if q.Tier != "critical" || q.Room != "42" {
				t.Errorf("%+v", q)
			}
			p.sendf(`[{"op":"ack","id":%d,"status":"ok"},{"op":"tier","room":"42","tier":"critical"}]`, q.ID)
			p.sendf(`{"op":"left","id":%d,"room":"42"}`, p.expect(wire.OpLeave).ID)
		}()
		if err := r.SetTier(t.Context(), TierCritical); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := r.Leave(t.Context()); err != nil {
				t.Error(err)
			}
		}
		for u := range r.Updates(t.Context()) {
			if u != (TierChanged{Tier: TierCritical}) {
				t.Errorf("update %#v", u)
			}
		}
		if !errors.Is(r.Err(), ErrLeft) {
			t.Error(r.Err())
		}
	})
}

func TestContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dialFake(t, newFakeServer(t), Options{Token: func(context.Context) (string, error) { return "t", nil }})
		r := joinFake(t, c, p, "42", nil)
		for name, fn := range map[string]func(context.Context) error{
			"send":    func(ctx context.Context) error { _, err := r.Send(ctx, im.Chat, 1); return err },
			"set":     func(ctx context.Context) error { _, err := r.Set(ctx, "k", 1); return err },
			"delete":  func(ctx context.Context) error { return r.Delete(ctx, "k") },
			"history": func(ctx context.Context) error { _, err := r.History(ctx, nil); return err },
			"next":    func(ctx context.Context) error { _, err := r.Next(ctx); return err },
			"tier":    func(ctx context.Context) error { return r.SetTier(ctx, TierFull) },
			"call":    func(ctx context.Context) error { _, err := c.Call(ctx, "x", "", nil); return err },
			"ping":    func(ctx context.Context) error { _, _, err := c.Ping(ctx); return err },
			"refresh": c.Refresh,
			"join":    func(ctx context.Context) error { _, err := c.Join(ctx, "43", nil); return err },
			"updates": func(ctx context.Context) error {
				for range r.Updates(ctx) {
				}
				return context.Cause(ctx)
			},
			"directs": func(ctx context.Context) error {
				for range c.Directs(ctx) {
				}
				return context.Cause(ctx)
			},
		} {
			cause := fmt.Errorf("cause of %s", name)
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(cause) })
			start := time.Now()
			if err := fn(ctx); !errors.Is(err, cause) {
				t.Errorf("%s: %v", name, err)
			}
			if d := time.Since(start); d != time.Second {
				t.Errorf("%s returned %v after its start", name, d)
			}
			if err := fn(ctx); !errors.Is(err, cause) {
				t.Errorf("%s with a context that has ended: %v", name, err)
			}
			for ok := true; ok; { // what was asked, and is not answered
				_, ok = p.request(0)
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, k := range c.calls {
			if k.req.Op != wire.OpLeave {
				t.Errorf("left behind: %+v", k.req)
			}
		}
	})
}

func TestTooLargeIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dialFake(t, newFakeServer(t), Options{})
		r := joinFake(t, c, p, "42", nil)
		if _, err := r.Send(t.Context(), im.Chat, strings.Repeat("x", maxMessage)); !isCode(err, im.CodeTooLarge) {
			t.Error(err)
		}
	})
}
