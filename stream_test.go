package im_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/wire"
)

// web is a browser-like client of the tests, without a WebSocket.
type web struct {
	t    *testing.T
	base string // of the mount
	user string
}

func serveWeb(t *testing.T, opts *im.Options) (*im.Hub, *web) {
	t.Helper()
	hub, url := serve(t, imtest.BearerUser, opts, nil, nil)
	return hub, &web{t, "http" + strings.TrimSuffix(strings.TrimPrefix(url, "ws"), "/ws"), "ann"}
}

func (c *web) do(ctx context.Context, method, path string, body string, header map[string]string) *http.Response {
	c.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if c.user != "" {
		req.Header.Set("Authorization", "Bearer "+c.user)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// messages does a request and decodes the array that it is answered with.
func (c *web) messages(method, path, body string) (int, []wire.Message) {
	c.t.Helper()
	resp := c.do(c.t.Context(), method, path, body, nil)
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	var list []wire.Message
	if bytes.HasPrefix(raw, []byte("{")) {
		list = make([]wire.Message, 1)
		err = json.Unmarshal(raw, &list[0])
	} else {
		err = json.Unmarshal(raw, &list)
	}
	if err != nil {
		c.t.Fatalf("%s %s: %s: %v", method, path, raw, err)
	}
	return resp.StatusCode, list
}

// stream is an open stream of events.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
	end   context.CancelFunc
	id    string // the last one
}

func (c *web) stream(query, lastEventID string) *stream {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	c.t.Cleanup(cancel)
	header := map[string]string{"Accept": "text/event-stream"}
	if lastEventID != "" {
		header["Last-Event-ID"] = lastEventID
	}
	resp := c.do(ctx, "GET", "/sse?"+query, "", header)
	if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") || resp.Header.Get("Cache-Control") != "no-store" {
		body, _ := io.ReadAll(resp.Body)
		c.t.Fatalf("status %d, %v: %s", resp.StatusCode, resp.Header, body)
	}
	return &stream{t: c.t, lines: bufio.NewScanner(resp.Body), end: cancel}
}

// expect reads up to a message with the op.
func (s *stream) expect(op string) *wire.Message {
	s.t.Helper()
	for s.lines.Scan() {
		line := s.lines.Text()
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			s.id = id
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		m := new(wire.Message)
		if err := json.Unmarshal([]byte(data), m); err != nil {
			s.t.Fatalf("%s: %v", data, err)
		}
		if m.Op == op {
			return m
		}
	}
	s.t.Fatalf("the stream ended while waiting for %q: %v", op, s.lines.Err())
	return nil
}

func TestStreamDeliversAndResumes(t *testing.T) {
	hub, c := serveWeb(t, nil)
	s := c.stream("room=42&room=43", "")
	if w := s.expect("welcome"); w.User.ID != "ann" || w.SID == "" {
		t.Fatalf("%+v", w)
	}
	for _, room := range []string{"42", "43"} {
		if j := s.expect("joined"); j.Room != room {
			t.Fatalf("joined %q, want %q", j.Room, room)
		}
	}
	first, err := hub.Room("43").Send(t.Context(), im.Notice, 1)
	if err != nil {
		t.Fatal(err)
	}
	if m := s.expect("events"); m.Room != "43" || string(m.Events[0].Body) != "1" {
		t.Fatalf("%+v", m)
	}
	if positions := strings.Split(s.id, ","); len(positions) != 2 || positions[1] != first.Pos.String() || !strings.HasSuffix(positions[0], ".0") {
		t.Fatalf("id %q, want the positions of two rooms, the second %s", s.id, first.Pos)
	}
	s.end()
	if _, err := hub.Room("43").Send(t.Context(), im.Chat, 2); err != nil {
		t.Fatal(err)
	}
	again := c.stream("room=42&room=43", s.id)
	again.expect("joined")
	if j := again.expect("joined"); !j.Recovered || len(j.Events) != 1 || string(j.Events[0].Body) != "2" {
		t.Fatalf("resumed with %+v", j)
	}
	if again.id == s.id {
		t.Fatalf("the id is still %q", s.id)
	}
}

func TestStreamIsToldOfRefusals(t *testing.T) {
	_, c := serveWeb(t, &im.Options{Admit: func(_ context.Context, _ *im.Session, room string) error {
		if room == "club" {
			return &im.Error{Code: im.CodeForbidden, Reason: "members only"}
		}
		return nil
	}})
	s := c.stream("room=club&room=42", "")
	if l := s.expect("left"); l.Room != "club" || l.Code != "forbidden" || l.Reason != "members only" {
		t.Fatalf("%+v", l)
	}
	s.expect("joined")
}

func TestPoll(t *testing.T) {
	hub, c := serveWeb(t, nil)
	_, list := c.messages("GET", "/poll?room=42", "")
	if len(list) < 2 || list[0].Op != "welcome" || list[1].Op != "joined" {
		t.Fatalf("%+v", list)
	}
	sid, at := list[0].SID, im.Position{Epoch: list[1].Epoch, Seq: list[1].Seq}
	poll := func(wait int) []wire.Message {
		t.Helper()
		_, list := c.messages("GET", fmt.Sprintf("/poll?room=42&since=%s&sid=%s&wait=%d", at, sid, wait), "")
		var rest []wire.Message
		for _, m := range list {
			if m.Op != "online" {
				rest = append(rest, m)
			}
		}
		return rest
	}
	poll(1) // the count
	if list := poll(20); len(list) != 0 {
		t.Fatalf("nothing has happened: %+v", list)
	}
	// News that come while it waits, and between two requests.
	sent := make(chan error)
	go func() {
		<-time.After(50 * time.Millisecond)
		_, err := hub.Room("42").Send(t.Context(), im.Chat, 1)
		sent <- err
	}()
	list = poll(10_000)
	if err := <-sent; err != nil || len(list) != 1 || string(list[0].Events[0].Body) != "1" {
		t.Fatalf("%+v, %v", list, err)
	}
	lost := at
	at.Seq = list[0].To
	if _, err := hub.Room("42").Send(t.Context(), im.Chat, 2); err != nil {
		t.Fatal(err)
	}
	if list = poll(10_000); len(list) != 1 || string(list[0].Events[0].Body) != "2" {
		t.Fatalf("%+v", list)
	}
	if n := hub.Room("42").Len(); n != 1 {
		t.Fatalf("%d in the room", n)
	}
	// An answer that was lost: the client asks from where it was.
	at = lost
	if list = poll(10_000); len(list) != 1 || list[0].Op != "joined" || !list[0].Recovered || len(list[0].Events) != 2 {
		t.Fatalf("after a lost answer: %+v", list)
	}
	// Another server, which does not know the session.
	at.Seq = list[0].Seq
	sid = ""
	if _, err := hub.Room("42").Send(t.Context(), im.Chat, 3); err != nil {
		t.Fatal(err)
	}
	if list = poll(10_000); len(list) != 2 || !list[1].Recovered || string(list[1].Events[0].Body) != "3" {
		t.Fatalf("without the session: %+v", list)
	}
}

func TestPost(t *testing.T) {
	hub, c := serveWeb(t, nil)
	hub.Handle("quiz.answer", func(_ context.Context, r *im.Request) (any, error) { return r.User.ID, nil })
	for _, tt := range []struct {
		body   string
		status int
		ops    string
	}{
		{`{"op":"send","id":1,"room":"42","kind":"chat","cid":"c-1","body":"hi"}`, 200, "ack ok"},
		{`{"op":"send","id":1,"room":"42","kind":"chat","cid":"c-1","body":"ho"}`, 409, "error conflict"},
		{`{"op":"quiz.answer","id":1,"room":"42"}`, 200, "ack ok"},
		{`{"op":"ping","id":1}`, 200, "pong "},
		{`{"op":"history","id":1,"room":"42"}`, 200, "history "},
		{`{"op":"send","id":1,"room":"42","kind":"gift","body":1}`, 403, "error forbidden"},
		{`{"op":"join","id":1,"room":"42"}`, 400, "error bad_request"},
		{`[{"op":"ping","id":1},{"op":"dance","id":2},{"op":"ping","id":3}]`, 200, "pong ;error not_found;pong "},
		{`nonsense`, 400, "error bad_request"},
		{`{"op":"send","id":1,"room":"42","kind":"chat","body":"` + strings.Repeat("x", 64<<10) + `"}`, 413, "error too_large"},
	} {
		status, list := c.messages("POST", "/send", tt.body)
		var ops []string
		for _, m := range list {
			ops = append(ops, m.Op+" "+m.Status+m.Code)
		}
		if got := strings.Join(ops, ";"); status != tt.status || got != tt.ops {
			t.Errorf("%.60s: %d %s, want %d %s", tt.body, status, got, tt.status, tt.ops)
		}
	}
	status, list := c.messages("GET", "/rooms/42/history?max=5&newest=1", "")
	if status != 200 || list[0].Op != "history" || len(list[0].Events) != 1 {
		t.Errorf("history: %d %+v", status, list)
	}
	c.user = ""
	for _, path := range []string{"/sse?room=42", "/poll?room=42", "/rooms/42/history"} {
		if status, list := c.messages("GET", path, ""); status != 401 || list[0].Code != "unauthorized" {
			t.Errorf("%s without a user: %d %+v", path, status, list)
		}
	}
}

// A9 on the other paths, and the answers that allowed pages need.
func TestA9OriginsOnAllPaths(t *testing.T) {
	_, c := serveWeb(t, &im.Options{Origins: []string{"https://friend.example"}})
	for _, path := range []string{"/sse?room=42", "/poll?room=42&wait=1", "/send", "/rooms/42/history"} {
		method, body := "GET", ""
		if path == "/send" {
			method, body = "POST", `{"op":"ping"}`
		}
		for _, tt := range []struct {
			header map[string]string
			status int
			allow  string
		}{
			{nil, 200, ""},
			{map[string]string{"Origin": strings.TrimSuffix(c.base, "/im")}, 200, ""},
			{map[string]string{"Origin": "https://friend.example"}, 200, "https://friend.example"},
			{map[string]string{"Origin": "https://evil.example"}, 403, ""},
			{map[string]string{"Origin": "null"}, 403, ""},
			{map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, ""},
			{map[string]string{"Sec-Fetch-Site": "same-origin"}, 200, ""},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			resp := c.do(ctx, method, path, body, tt.header)
			if resp.StatusCode != tt.status || resp.Header.Get("Access-Control-Allow-Origin") != tt.allow {
				t.Errorf("%s %v: %d, allowed %q; want %d, %q", path, tt.header, resp.StatusCode, resp.Header.Get("Access-Control-Allow-Origin"), tt.status, tt.allow)
			}
			if tt.allow != "" && (resp.Header.Get("Access-Control-Allow-Credentials") != "true" || !strings.Contains(strings.Join(resp.Header.Values("Vary"), ","), "Origin")) {
				t.Errorf("%s: %v", path, resp.Header)
			}
			cancel()
		}
		preflight := c.do(t.Context(), "OPTIONS", path, "", map[string]string{"Origin": "https://friend.example", "Access-Control-Request-Method": method})
		if preflight.StatusCode != 204 || !strings.Contains(preflight.Header.Get("Access-Control-Allow-Methods"), method) || !strings.Contains(preflight.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("preflight of %s: %d %v", path, preflight.StatusCode, preflight.Header)
		}
		if evil := c.do(t.Context(), "OPTIONS", path, "", map[string]string{"Origin": "https://evil.example"}); evil.StatusCode != 403 || evil.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("preflight of a foreign page to %s: %d", path, evil.StatusCode)
		}
	}
}

// A12: a session id of somebody else looks like one that does not exist.
func TestA12ForeignSessionIDs(t *testing.T) {
	_, c := serveWeb(t, nil)
	_, list := c.messages("GET", "/poll?room=42", "")
	sid := list[0].SID
	c.user = "mallory"
	for _, stolen := range []string{sid, "unknown", strings.Repeat("A", 43), ""} {
		_, list := c.messages("GET", "/poll?room=42&wait=1&sid="+stolen, "")
		if list[0].Op != "welcome" || list[0].SID == sid || list[0].User.ID != "mallory" {
			t.Errorf("sid %q: %+v", stolen, list[0])
		}
	}
}

func TestStaticFiles(t *testing.T) {
	_, c := serveWeb(t, nil)
	c.user = ""
	for path, contentType := range map[string]string{"/client.js": "text/javascript", "/danmaku.js": "text/javascript", "/danmaku.d.ts": "text/typescript", "/doctor": "text/html", "/doctor.js": "text/javascript", "/doctor.css": "text/css", "/diagnose.js": "text/javascript"} {
		resp := c.do(t.Context(), "GET", path, "", nil)
		if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), contentType) || resp.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %v", path, resp.StatusCode, resp.Header)
		}
		same := c.do(t.Context(), "GET", path, "", map[string]string{"If-None-Match": resp.Header.Get("ETag")})
		if same.StatusCode != 304 {
			t.Errorf("%s again: %d", path, same.StatusCode)
		}
		if head := c.do(t.Context(), "HEAD", path, "", nil); head.StatusCode != 200 || head.ContentLength < 100 {
			t.Errorf("HEAD %s: %d, %d bytes", path, head.StatusCode, head.ContentLength)
		}
		if post := c.do(t.Context(), "POST", path, "", nil); post.StatusCode != 405 || post.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %d %v", path, post.StatusCode, post.Header)
		}
	}
}
