package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

func TestSendIsResentUnderTheSameCID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c, p := dialFake(t, f, Options{})
		r := joinFake(t, c, p, "42", nil)
		sent := going(func() (Receipt, error) { return r.Send(t.Context(), im.Chat, map[string]string{"text": "hi"}) })
		first := p.expect(wire.OpSend)
		if first.Kind != "chat" || string(first.Body) != `{"text":"hi"}` || first.CID == "" || len(first.CID) > 64 {
			t.Errorf("%+v", first)
		}
		for range 3 {
			p.drop(errCut)
			p = f.accept()
			p.expect(wire.OpJoin) // is not answered
		}
		p.drop(errCut)
		p = f.accept()
		for {
			q, ok := p.request(time.Second)
			if !ok {
				t.Fatal("not sent again")
			}
			if q.Op == wire.OpJoin {
				p.sendf(`{"op":"joined","id":%d,"room":"42","epoch":"e1","seq":100,"recovered":true}`, q.ID)
				continue
			}
			if q.Op != wire.OpSend || q.CID != first.CID || string(q.Body) != string(first.Body) {
				t.Errorf("sent again as %+v", q)
			}
			p.sendf(`{"op":"ack","id":%d,"status":"merged","event":"ev1"}`, q.ID)
			break
		}
		got, err := sent()
		if err != nil || got.Status != StatusMerged || got.Event != "ev1" || got.CID != first.CID {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// A send waits until the room is joined on the new connection, and keeps its place.
func TestSendsKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c, p := dialFake(t, f, Options{})
		r := joinFake(t, c, p, "42", nil)
		p.drop(errCut)
		synctest.Wait()
		var results []func() (Receipt, error)
		for i := range 100 {
			results = append(results, going(func() (Receipt, error) {
				return r.SendAs(t.Context(), fmt.Sprint("c", i), im.Chat, strings.Repeat("x", 4000))
			}))
			synctest.Wait()
		}
		p = f.accept()
		j := p.expect(wire.OpJoin)
		if q, ok := p.request(time.Second); ok {
			t.Fatalf("%+v before the room is joined", q)
		}
		p.sendf(`{"op":"joined","id":%d,"room":"42","epoch":"e1","seq":100,"recovered":true}`, j.ID)
		for i := range 100 {
			q := p.expect(wire.OpSend)
			if q.CID != fmt.Sprint("c", i) {
				t.Errorf("send %d has cid %s", i, q.CID)
			}
			p.sendf(`{"op":"ack","id":%d,"status":"ok"}`, q.ID)
		}
		for _, result := range results {
			if _, err := result(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestOpenOutcomeIsAskedForAgain(t *testing.T) {
	for name, open := range map[string]string{
		"unknown":   `{"op":"ack","id":%d,"status":"unknown"}`,
		"timeout":   `{"op":"error","id":%d,"code":"timeout","retry_ms":100}`,
		"no answer": `{"op":"online","room":"%d"}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := dialFake(t, newFakeServer(t), Options{})
				r := joinFake(t, c, p, "42", nil)
				ctx, cancel := context.WithCancel(t.Context())
				sent := going(func() (Receipt, error) { return r.Send(ctx, im.Chat, 1) })
				cid := ""
				for range 3 {
					q := p.expect(wire.OpSend)
					if cid != "" && q.CID != cid {
						t.Errorf("cid %s after %s", q.CID, cid)
					}
					cid = q.CID
					p.sendf(open, q.ID)
				}
				cancel()
				got, err := sent()
				if !errors.Is(err, context.Canceled) || got.Status != StatusUnknown || got.CID != cid {
					t.Errorf("%+v, %v", got, err)
				}
			})
		})
	}
}

func TestRefusalsAreTyped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dialFake(t, newFakeServer(t), Options{})
		r := joinFake(t, c, p, "42", nil)
		go func() {
			p.sendf(`{"op":"error","id":%d,"code":"rate_limited","reason":"slow mode","retry_ms":1200}`, p.expect(wire.OpSend).ID)
		}()
		got, err := r.Send(t.Context(), im.Danmaku, 1)
		var e *im.Error
		if !errors.As(err, &e) || e.Code != im.CodeRateLimited || e.Reason != "slow mode" || e.RetryAfter != 1200*time.Millisecond {
			t.Errorf("%+v, %v", got, err)
		}
		if got.Status != StatusRefused {
			t.Errorf("status %s", got.Status)
		}
	})
}

func TestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dialFake(t, newFakeServer(t), Options{})
		r := joinFake(t, c, p, "42", nil)
		go func() {
			for _, want := range []string{`{"key":"slide","value":12,"if":118}`, `{"key":"slide","value":null}`, `{"key":"slide","delete":true,"if":0}`} {
				q := p.expect(wire.OpStateSet)
				if string(q.Body) != want || q.CID == "" || q.Room != "42" {
					t.Errorf("%+v with body %s; want %s", q, q.Body, want)
				}
				p.sendf(`{"op":"ack","id":%d,"status":"ok","event":"e","body":{"version":130}}`, q.ID)
			}
			p.sendf(`{"op":"error","id":%d,"code":"conflict"}`, p.expect(wire.OpStateSet).ID)
		}()
		if v, err := r.Set(t.Context(), "slide", 12, IfVersion(118)); v != 130 || err != nil {
			t.Error(v, err)
		}
		if v, err := r.Set(t.Context(), "slide", nil); v != 130 || err != nil {
			t.Error(v, err)
		}
		if err := r.Delete(t.Context(), "slide", IfVersion(0)); err != nil {
			t.Error(err)
		}
		if _, err := r.Set(t.Context(), "slide", 1, IfVersion(1)); !errors.Is(err, im.ErrConflict) {
			t.Error(err)
		}
	})
}

func TestHistoryAndCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c, p := dialFake(t, f, Options{})
		r := joinFake(t, c, p, "42", nil)
		page := going(func() (Page, error) {
			return r.History(t.Context(), &HistoryOptions{Before: im.Position{Epoch: "e1", Seq: 50}, Max: 2, Newest: true})
		})
		call := going(func() (Receipt, error) { return c.Call(t.Context(), "gift.send", "", map[string]int{"n": 3}) })
		synctest.Wait()
		p.drop(errCut)
		p = f.accept()
		joined := false
		for range 3 {
			switch q, _ := p.request(time.Minute); q.Op {
			case wire.OpJoin:
				joined = true
				p.sendf(`{"op":"joined","id":%d,"room":"42","epoch":"e1","seq":100,"recovered":true}`, q.ID)
			case wire.OpHistory:
				if q.Before == nil || q.Before.Seq != 50 || q.After != nil || q.Max != 2 || !q.Newest || !joined {
					t.Errorf("%+v", q)
				}
				p.sendf(`{"op":"history","id":%d,"room":"42","epoch":"e1","events":[{"seq":40,"id":"x","kind":"chat","at":1,"body":{}}],"more":true,"missed":1}`, q.ID)
			case "gift.send":
				if q.CID == "" || string(q.Body) != `{"n":3}` {
					t.Errorf("%+v", q)
				}
				p.sendf(`{"op":"ack","id":%d,"status":"ok","body":{"balance":7}}`, q.ID)
			default:
				t.Errorf("%+v", q)
			}
		}
		if got, err := page(); err != nil || len(got.Events) != 1 || got.Events[0].Pos != (im.Position{Epoch: "e1", Seq: 40}) || !got.More || got.Missed != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := call(); err != nil || string(got.Body) != `{"balance":7}` {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// A call that was not answered goes out again under its cid: over the next connection, after
// an answer that leaves the outcome open, and when the server that was asked goes away.
func TestCallIsRepeatedUnderItsCID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c, p := dialFake(t, f, Options{})
		call := going(func() (Receipt, error) { return c.Call(t.Context(), "gift.send", "", map[string]int{"n": 3}) })
		first, _ := p.request(time.Minute)
		if first.CID == "" || first.Op != "gift.send" {
			t.Fatalf("%+v", first)
		}
		again := func() uint64 {
			t.Helper()
			q, _ := p.request(time.Minute)
			if q.Op != first.Op || q.CID != first.CID || string(q.Body) != string(first.Body) {
				t.Fatalf("got %+v after %+v", q, first)
			}
			return q.ID
		}
		p.drop(errCut)
		p = f.accept()
		p.sendf(`{"op":"error","id":%d,"code":"timeout","retry_ms":1000}`, again())
		p.sendf(`{"op":"ack","id":%d,"status":"unknown"}`, again())
		p.sendf(`{"op":"error","id":%d,"code":"shutdown"}`, again())
		p.sendf(`{"op":"ack","id":%d,"status":"ok","body":{"balance":7}}`, again())
		if got, err := call(); err != nil || string(got.Body) != `{"balance":7}` || got.CID != first.CID {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
