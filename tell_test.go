package im_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport/pipe"
)

// listener is a client that hears what a room is told.
type listener struct {
	t    *testing.T
	peer *pipe.Peer
}

func listenTo(t *testing.T, hub *imtest.Hub, room, id string, tier string) (*listener, *wire.Message) {
	t.Helper()
	conn, peer := pipe.New(nil)
	if _, err := hub.Attach(conn, user(id)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	l := &listener{t, peer}
	if err := peer.Send(t.Context(), fmt.Appendf(nil, `{"op":"join","id":1,"room":%q,"tier":%q}`, room, tier)); err != nil {
		t.Fatal(err)
	}
	return l, l.next("joined", time.Second)
}

// next returns the next message of an op, nil if none comes within d.
func (l *listener) next(op string, d time.Duration) *wire.Message {
	l.t.Helper()
	for end := time.Now().Add(d); ; {
		ctx, cancel := context.WithDeadline(l.t.Context(), end)
		b, err := l.peer.Recv(ctx)
		cancel()
		if err != nil {
			return nil
		}
		m := new(wire.Message)
		if err := json.Unmarshal(b, m); err != nil {
			l.t.Fatalf("%s: %v", b, err)
		}
		if m.Op == op {
			return m
		}
	}
}

// told returns what the room was told of a kind by the messages of the next d, one a message.
func (l *listener) told(kind im.Kind, d time.Duration) (bodies []string) {
	l.t.Helper()
	for end := time.Now().Add(d); ; {
		m := l.next("online", time.Until(end))
		if m == nil {
			return bodies
		}
		bodies = append(bodies, string(m.Told[string(kind)]))
	}
}

func TestTellIsTheLastValue(t *testing.T) {
	bubble(t, &im.Options{Kinds: []im.KindSpec{{Kind: "weather", Class: im.Merged}}}, func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		if err := room.Tell(im.Presence, "nobody is here"); err != nil {
			t.Fatal(err)
		}
		ann, joined := listenTo(t, hub, "42", "ann", "critical")
		if joined.Told != nil {
			t.Errorf("a room that was not in use remembers %s", joined.Told)
		}
		ann.told(im.Presence, 5*time.Second)
		for i := range 100 {
			if err := room.Tell(im.Presence, i); err != nil {
				t.Fatal(err)
			}
			pass(20 * time.Millisecond)
		}
		got := ann.told(im.Presence, 5*time.Second)
		if len(got) < 2 || len(got) > 3 || got[len(got)-1] != "99" {
			t.Errorf("100 values in 2 s were told as %q", got)
		}
		if err := room.Tell("weather", map[string]string{"sky": "grey\u2028"}); err != nil {
			t.Fatal(err)
		}
		m := ann.next("online", time.Second)
		if string(m.Told["presence"]) != "99" || string(m.Told["weather"]) != `{"sky":"grey\u2028"}` || m.Count != 1 {
			t.Errorf("the last of all kinds is %s, with %d online", m.Told, m.Count)
		}
		_, joined = listenTo(t, hub, "42", "bob", "full")
		if len(joined.Told) != 2 || string(joined.Told["presence"]) != "99" {
			t.Errorf("who comes in is told %s", joined.Told)
		}
		if err := room.Tell("weather", nil); err != nil {
			t.Fatal(err)
		}
		if got := ann.told("weather", 5*time.Second); len(got) != 1 || got[0] != "" {
			t.Errorf("bob comes in, and the weather is gone: %q", got)
		}
	})
}

// What is told costs no message of its own: it goes with the count.
func TestTellCostsNoSend(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		ann, _ := listenTo(t, hub, "42", "ann", "full")
		ann.told(im.Presence, 5*time.Second)
		for i := range 10 {
			hub.Join("42", user(fmt.Sprint("u", i)))
			if err := hub.Room("42").Tell(im.Presence, i); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		if got := ann.told(im.Presence, 5*time.Second); len(got) > 12 {
			t.Errorf("10 s of news took %d messages", len(got))
		}
	})
}

// A session that takes nothing for a while gets the last value, and few before it.
func TestTellToTheSlow(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		conn, peer := pipe.New(&pipe.Options{Buffer: 2048})
		if _, err := hub.Attach(conn, user("slow")); err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		if err := peer.Send(t.Context(), []byte(`{"op":"join","id":1,"room":"42"}`)); err != nil {
			t.Fatal(err)
		}
		body := strings.Repeat("x", 1000)
		for i := range 15 {
			if err := hub.Room("42").Tell(im.Presence, fmt.Sprint(i, body)); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		got := (&listener{t, peer}).told(im.Presence, 3*time.Second)
		if len(got) > 6 || !strings.HasPrefix(got[len(got)-1], `"14x`) {
			t.Errorf("it was told %d of 15 times, at last %.4s", len(got), got[len(got)-1])
		}
	})
}

func TestTellRefuses(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		hub.Join("42", user("ann"))
		for _, tt := range []struct {
			kind im.Kind
			body any
			want im.Code
		}{
			{im.Like, 1, im.CodeBadRequest},
			{im.Chat, 1, im.CodeBadRequest},
			{"unheard", 1, im.CodeBadRequest},
			{im.Presence, func() {}, im.CodeBadRequest},
			{im.Presence, strings.Repeat("x", 4096), im.CodeTooLarge},
		} {
			if err := hub.Room("42").Tell(tt.kind, tt.body); code(err) != tt.want {
				t.Errorf("%s: %v, want %s", tt.kind, err, tt.want)
			}
		}
	})
}

func TestMemberOfARoom(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		has := func(want bool, why string) {
			t.Helper()
			synctest.Wait()
			if u, ok := room.Member("ann"); ok != want || ok && u.ID != "ann" {
				t.Errorf("%s: %v, %+v", why, ok, u)
			}
		}
		has(false, "nobody was ever there")
		elsewhere := hub.Join("43", user("ann"))
		has(false, "in another room")
		a, b := hub.Join("42", user("ann")), hub.Join("42", user("ann"))
		a.Close()
		has(true, "one of two sessions")
		b.Leave("42")
		has(false, "the last one left")
		elsewhere.Join("42", nil)
		has(true, "from another room as well")
	})
}

// The growth of a total is told once it is in the state.
func TestTotalsAreSignalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var totals []uint64
		var hub *imtest.Hub
		hub = imtest.NewHub(t, &im.Options{Observe: func(s im.Signal) {
			if s.Type == im.SignalTotal && s.Kind == im.Like && s.Room == "42" {
				n, err := hub.Room(s.Room).Total(t.Context(), s.Kind)
				if err != nil {
					t.Error(err)
				}
				totals = append(totals, n)
			}
		}})
		ann := hub.Join("42", user("ann"))
		for range 2 {
			for range 3 {
				if _, err := ann.Send(im.Like, map[string]int{"n": 2}); err != nil {
					t.Fatal(err)
				}
			}
			pass(2 * time.Second)
		}
		if fmt.Sprint(totals) != "[6 12]" {
			t.Errorf("told of %v", totals)
		}
	})
}

// Streams and polls get what is told as a WebSocket does; it has no id.
func TestTellOverStreamsAndPolls(t *testing.T) {
	hub := imtest.NewHub(t, nil)
	server := httptest.NewServer(hub)
	defer server.Close()
	get := func(path string, until func(line string) bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer ann")
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if strings.HasPrefix(path, "/poll") {
			answer, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			until(string(answer))
			return
		}
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if until(lines.Text()) {
				return
			}
		}
		t.Errorf("%s ended", path)
	}
	told := false
	get("/sse?room=42", func(line string) bool {
		if !told && strings.Contains(line, `"joined"`) {
			told = true
			if err := hub.Room("42").Tell(im.Presence, "hello"); err != nil {
				t.Fatal(err)
			}
		}
		return strings.HasPrefix(line, "data: ") && strings.Contains(line, `"op":"online"`) && strings.Contains(line, `"told":{"presence":"hello"}`)
	})
	var sid, epoch string
	get("/poll?room=42", func(answer string) bool {
		var list []wire.Message
		if err := json.Unmarshal([]byte(answer), &list); err != nil {
			t.Fatal(err)
		}
		sid, epoch = list[0].SID, list[1].Epoch
		if string(list[1].Told["presence"]) != `"hello"` {
			t.Errorf("who comes in by a poll is told %s", answer)
		}
		return true
	})
	if err := hub.Room("42").Tell(im.Presence, "again"); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the count may come before
		told = false
		get("/poll?room=42&since="+epoch+".0&wait=5000&sid="+sid, func(line string) bool {
			told = strings.Contains(line, `"told":{"presence":"again"}`)
			return true
		})
		if told {
			return
		}
	}
	t.Error("the poll was not told")
}
