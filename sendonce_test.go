package im_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport/pipe"
)

// askOnce sends one request of ann on a connection of its own, and returns the answer. A client
// that has reconnected does so.
type askOnce func(t *testing.T, hub *im.Hub, url, request string) *wire.Message

// onceTransports are the ways in which requests come. Streams and long-polls send by POST.
var onceTransports = map[string]askOnce{"pipe": askPipe, "websocket": askSocket, "post": askPost}

func askPipe(t *testing.T, hub *im.Hub, _, request string) *wire.Message {
	t.Helper()
	conn, peer := pipe.New(nil)
	if _, err := hub.Attach(conn, user("ann")); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, r := range []string{`{"op":"join","id":1,"room":"42"}`, request} {
		if err := peer.Send(ctx, []byte(r)); err != nil {
			t.Fatal(err)
		}
	}
	for {
		m := new(wire.Message)
		b, err := peer.Recv(ctx)
		if err == nil {
			err = json.Unmarshal(b, m)
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.ID == 2 {
			return m
		}
	}
}

func askSocket(t *testing.T, _ *im.Hub, url, request string) *wire.Message {
	t.Helper()
	s := dialAs(t, url, "ann")
	s.send(`{"op":"join","id":1,"room":"42"}`)
	s.expect("joined")
	s.send(request)
	for {
		m := new(wire.Message)
		if err := json.Unmarshal([]byte(s.read()), m); err != nil {
			t.Fatal(err)
		}
		if m.ID == 2 {
			_ = s.conn.Close()
			return m
		}
	}
}

func askPost(t *testing.T, _ *im.Hub, url, request string) *wire.Message {
	t.Helper()
	c := &web{t, "http" + strings.TrimSuffix(strings.TrimPrefix(url, "ws"), "/ws"), "ann"}
	_, list := c.messages("POST", "/send", request)
	if len(list) != 1 {
		t.Fatalf("%d answers", len(list))
	}
	return &list[0]
}

// onceCases are what may be repeated. Every request is a first one, a retry of it, and the same
// cid with something else.
var onceCases = []struct {
	name, first, other string
	status             string
	repeats            bool // each one counts
}{
	{"chat", `"op":"send","room":"42","kind":"chat","cid":"chat","body":"a"`, `"op":"send","room":"42","kind":"chat","cid":"chat","body":"b"`, "ok", false},
	{"danmaku", `"op":"send","room":"42","kind":"danmaku","cid":"fly","body":"a"`, `"op":"send","room":"42","kind":"danmaku","cid":"fly","body":"b"`, "ok", false},
	{"other kind", `"op":"send","room":"42","kind":"chat","cid":"kind","body":"a"`, `"op":"send","room":"42","kind":"notice","cid":"kind","body":"a"`, "ok", false},
	{"notice", `"op":"send","room":"42","kind":"notice","cid":"note","body":"a"`, `"op":"send","room":"42","kind":"notice","cid":"note","body":"b"`, "ok", false},
	{"state", `"op":"state.set","room":"42","cid":"set","body":{"key":"k","value":1}`, `"op":"state.set","room":"42","cid":"set","body":{"key":"k","value":2}`, "ok", false},
	{"modes", `"op":"modes.set","room":"42","cid":"modes","body":{"budget":40}`, `"op":"modes.set","room":"42","cid":"modes","body":{"budget":41}`, "ok", false},
	{"like", `"op":"send","room":"42","kind":"like","cid":"like","body":{"n":3}`, "", "merged", true},
	{"operation", `"op":"gift.send","room":"42","cid":"op","body":"rose"`, `"op":"gift.send","room":"42","cid":"op","body":"castle"`, "ok", false},
}

// A retry gets the first answer, over all transports, and over another than the first, also after a restart of the process
// on a log that survives it.
func TestRuling5RetriesOverTransportsAndRestarts(t *testing.T) {
	for name, ask := range onceTransports {
		t.Run(name, func(t *testing.T) {
			log := newKeptLog(t, nil)
			first := make([]*wire.Message, len(onceCases))
			for round := range 2 { // the second is after a restart
				hub, url := serve(t, imtest.BearerUser, &im.Options{Log: log, Kinds: []im.KindSpec{
					{Kind: im.Notice, Class: im.Critical, From: im.Everyone()},
					{Kind: im.State, Class: im.Critical, From: im.Everyone()},
				}}, nil, nil)
				var runs atomic.Int64
				hub.Handle("gift.send", func(ctx context.Context, r *im.Request) (any, error) {
					run := runs.Add(1)
					_, err := hub.Room(r.Room).Send(ctx, im.Gift, r.Body)
					return map[string]int64{"run": run}, err
				})
				for i, c := range onceCases {
					for try := range 2 {
						got := ask(t, hub, url, `{"id":2,`+c.first+`}`)
						if first[i] == nil {
							first[i] = got
						}
						if want := first[i]; got.Status != c.status || got.Event != want.Event || string(got.Body) != string(want.Body) {
							t.Errorf("%s, round %d, try %d: %+v, the first %+v", c.name, round, try, got, want)
						}
					}
					if c.other == "" {
						continue
					}
					if got := ask(t, hub, url, `{"id":2,`+c.other+`}`); got.Op != "error" || got.Code != string(im.CodeConflict) {
						t.Errorf("%s, round %d: other content under the same cid: %+v", c.name, round, got)
					}
				}
				if n := runs.Load(); n != int64(1-round) {
					t.Errorf("round %d: the operation ran %d times", round, n)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				err := hub.Shutdown(ctx) // stores the likes
				cancel()
				if err != nil {
					t.Fatal(err)
				}
			}
			wantOnce(t, log)
		})
	}
}

// wantOnce checks that everything in onceCases is in the log once.
func wantOnce(t *testing.T, log im.Log) {
	t.Helper()
	page, err := log.Read(t.Context(), "42", im.Range{Max: 1000})
	if err != nil {
		t.Fatal(err)
	}
	count, likes := map[im.Kind]int{}, 0
	for _, e := range page.Events {
		count[e.Kind]++
		if e.Kind == im.Like {
			count[im.Like] = 1 // as many events as there were ticks
			b, _ := im.Decode[struct{ N int }](e)
			likes += b.N
		}
	}
	want := map[im.Kind]int{im.Chat: 2, im.Danmaku: 1, im.Notice: 1, im.State: 2, im.Like: 1, im.Gift: 1, im.System: 1}
	if fmt.Sprint(count) != fmt.Sprint(want) || likes != 12 {
		t.Errorf("the log has %v and %d likes, want %v and 12", count, likes, want)
	}
}

// The first is still on its way to the log when the retry comes, over another connection.
func TestRuling5RetryWhileTheFirstIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newSlowLog(t)
		hub := imtest.NewHub(t, &im.Options{Log: log})
		viewers := []*imtest.Viewer{hub.Join("42", user("ann")), hub.Join("42", user("ann")), hub.Join("42", user("ann"))}
		resume := log.stall()
		type result struct {
			receipt im.Receipt
			err     error
		}
		results := make(chan result, len(viewers))
		for i, v := range viewers {
			body := "hello"
			if i == 2 {
				synctest.Wait()
				body = "something else"
			}
			go func() {
				r, err := v.SendTo("42", im.Chat, "c-1", body)
				results <- result{r, err}
			}()
		}
		synctest.Wait()
		resume()
		got := map[string]int{}
		for range viewers {
			r := <-results
			got[fmt.Sprint(r.receipt.Status, r.receipt.Event, code(r.err))]++
		}
		page, err := hub.Room("42").History(t.Context(), im.HistoryQuery{})
		if err != nil || len(page.Events) != 1 {
			t.Fatalf("%d events, %v", len(page.Events), err)
		}
		// Whichever the log took first; those with the same content have the same answer.
		ok := got["ok"+page.Events[0].ID]
		if ok+got[string(im.CodeConflict)] != len(viewers) || ok == 0 || ok == len(viewers) {
			t.Fatalf("the answers are %v", got)
		}
	})
}

// What a moderator has dropped stays out, and what was shown is not shown again, also when messages do not wait any more.
func TestRetryOfAHeldMessageHasItsFate(t *testing.T) {
	delayed(t, func(t *testing.T, hub *imtest.Hub, ann, mod *imtest.Viewer) {
		bad, good := sendHeld(t, ann, mod, "bad"), sendHeld(t, ann, mod, "good")
		room := hub.Room("42")
		if err := room.DropHeld(bad.Event.ID, "be kind"); err != nil {
			t.Fatal(err)
		}
		if err := room.PassHeld(good.Event.ID); err != nil {
			t.Fatal(err)
		}
		if e := ann.Event(); e.ID != good.Event.ID {
			t.Fatalf("%+v", e)
		}
		for _, m := range []im.Modes{{Delay: 5 * time.Second}, {}} {
			setModes(t, hub, m)
			for _, v := range []*imtest.Viewer{ann, hub.Join("42", user("ann"))} {
				if r, err := v.SendTo("42", im.Danmaku, "c-bad", "bad"); code(err) != im.CodeForbidden || err.(*im.Error).Reason != "be kind" {
					t.Fatalf("with %+v, a retry of what was dropped: %+v, %v", m, r, err)
				}
				if r, err := v.SendTo("42", im.Danmaku, "c-good", "good"); err != nil || r.Status != im.StatusOK || r.Event != good.Event.ID {
					t.Fatalf("with %+v, a retry of what was shown: %+v, %v", m, r, err)
				}
				if _, err := v.SendTo("42", im.Danmaku, "c-bad", "worse"); code(err) != im.CodeConflict {
					t.Fatalf("with %+v, something else: %v", m, err)
				}
			}
		}
	})
}
