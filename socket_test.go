package im_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/internal/ws"
)

// calm is the pressure of hubs that other things are tested of: the machine may be busy.
func calm() float64 { return 0 }

// serve mounts a hub at /im/ on a real server, through wrap if that is not nil.
func serve(t *testing.T, auth im.Authenticator, opts *im.Options, wrap func(http.Handler) http.Handler, configure func(*http.Server)) (*im.Hub, string) {
	t.Helper()
	var o im.Options
	if opts != nil {
		o = *opts
	}
	if o.Pressure == nil {
		o.Pressure = calm
	}
	hub, err := im.New(auth, &o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/im/", http.StripPrefix("/im", hub))
	handler := http.Handler(mux)
	if wrap != nil {
		handler = wrap(mux)
	}
	srv := httptest.NewUnstartedServer(handler)
	if configure != nil {
		configure(srv.Config)
	}
	srv.Start()
	t.Cleanup(func() {
		_ = hub.Close()
		srv.Close()
	})
	return hub, "ws" + strings.TrimPrefix(srv.URL, "http") + "/im/ws"
}

// socket is a bare WebSocket client of the tests: it shows what is on the wire.
type socket struct {
	t      testing.TB
	conn   *ws.ClientConn
	parser *ws.Parser
	got    []string
	closed ws.CloseCode
	// patience is how long read waits for the server to say something.
	patience time.Duration
}

func dialAs(t testing.TB, url, user string) *socket {
	t.Helper()
	s, err := tryDial(t, url, http.Header{"Authorization": {"Bearer " + user}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryDial(t testing.TB, url string, header http.Header) (*socket, error) {
	t.Helper()
	conn, err := ws.Dial(t.Context(), url, &ws.DialOptions{Header: header, Protocols: []string{wire.Subprotocol}})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := &socket{t: t, conn: conn, patience: 10 * time.Second, parser: ws.NewParser(ws.ClientRole, &ws.Limits{MaxMessage: 16 << 20, MaxAssembly: 5 * time.Minute}, conn.Handshake.Deflate)}
	if err := s.parser.Feed(time.Now(), conn.Leftover, s); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *socket) send(message string) {
	s.t.Helper()
	if _, err := s.conn.Write(ws.AppendMaskedFrame(nil, ws.OpText, true, false, [4]byte{1, 2, 3, 4}, []byte(message))); err != nil {
		s.t.Fatal(err)
	}
}

// read returns the next message, or "" at the end of the connection.
func (s *socket) read() string {
	s.t.Helper()
	buf := make([]byte, 16<<10)
	for len(s.got) == 0 {
		if s.closed != 0 {
			return ""
		}
		_ = s.conn.SetReadDeadline(time.Now().Add(s.patience))
		n, err := s.conn.Read(buf)
		if n > 0 {
			if err := s.parser.Feed(time.Now(), buf[:n], s); err != nil {
				s.t.Fatalf("the server broke the protocol: %v", err)
			}
			continue
		}
		if err != nil {
			return ""
		}
	}
	m := s.got[0]
	s.got = s.got[1:]
	return m
}

// expect reads up to the message with the op.
func (s *socket) expect(op string) *wire.Message {
	s.t.Helper()
	for {
		raw := s.read()
		if raw == "" {
			s.t.Fatalf("the connection ended (close code %d) while waiting for %q", s.closed, op)
		}
		m := new(wire.Message)
		if err := json.Unmarshal([]byte(raw), m); err != nil {
			s.t.Fatal(err)
		}
		if m.Op == op {
			return m
		}
	}
}

// end reads to the end of the connection and returns the close code.
func (s *socket) end() ws.CloseCode {
	for s.read() != "" {
	}
	return s.closed
}

func (s *socket) Message(_ ws.Opcode, p []byte) error {
	s.got = append(s.got, string(p))
	return nil
}

func (s *socket) Ping(p []byte) error {
	_, err := s.conn.Write(ws.AppendMaskedFrame(nil, ws.OpPong, true, false, [4]byte{}, p))
	return err
}

func (s *socket) Pong([]byte) error { return nil }

func (s *socket) Close(code ws.CloseCode, _ string) error {
	s.closed = code
	_, _ = s.conn.Write(ws.AppendMaskedFrame(nil, ws.OpClose, true, false, [4]byte{}, ws.AppendClose(nil, code, "")))
	return nil
}

// plainWriter hides everything but the three methods of a ResponseWriter.
type plainWriter struct{ http.ResponseWriter }

// unwrappingWriter is what well-behaved middleware uses.
type unwrappingWriter struct{ plainWriter }

func (w unwrappingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestMountedInAnExistingServer(t *testing.T) {
	for _, tt := range []struct {
		name      string
		wrap      func(http.Handler) http.Handler
		configure func(*http.Server)
	}{
		{name: "plain"},
		{name: "behind middleware that wraps the writer", wrap: func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(unwrappingWriter{plainWriter{w}}, r) })
		}},
		{name: "with timeouts", configure: func(s *http.Server) {
			s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = 100*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hub, url := serve(t, imtest.BearerUser, nil, tt.wrap, tt.configure)
			s := dialAs(t, url, "ann")
			if w := s.expect("welcome"); w.User.ID != "ann" || w.SID == "" || w.Protocol != 1 {
				t.Fatalf("%+v", w)
			}
			s.send(`{"op":"join","id":1,"room":"42"}`)
			s.expect("joined")
			// Long after the server's timeouts the connection still works.
			<-time.After(300 * time.Millisecond)
			if _, err := hub.Room("42").Send(t.Context(), im.Notice, "still here"); err != nil {
				t.Fatal(err)
			}
			if m := s.expect("events"); len(m.Events) != 1 || string(m.Events[0].Body) != `"still here"` {
				t.Fatalf("%+v", m)
			}
			s.send(`{"op":"send","id":2,"room":"42","kind":"chat","body":"me too"}`)
			if m := s.expect("ack"); m.ID != 2 || m.Status != "ok" {
				t.Fatalf("%+v", m)
			}
		})
	}
}

func TestMiddlewareThatCannotBeUnwrapped(t *testing.T) {
	_, url := serve(t, imtest.BearerUser, nil, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(plainWriter{w}, r) })
	}, nil)
	_, err := tryDial(t, url, http.Header{"Authorization": {"Bearer ann"}})
	if err == nil || !strings.Contains(err.Error(), "500") {
		t.Fatalf("dialled through middleware that hides the connection: %v", err)
	}
}

// recordingAuth takes "good-<user>" for a token and notes what it was asked.
func recordingAuth(mu *sync.Mutex, seen *[]string) im.Authenticator {
	return func(r *http.Request) (im.User, error) {
		mu.Lock()
		defer mu.Unlock()
		*seen = append(*seen, r.Header.Get("Authorization")+" "+r.Header.Get("X-Device"))
		name, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer good-")
		switch {
		case r.Header.Get("Authorization") == "":
			return im.User{}, im.ErrNoCredentials
		case !ok:
			return im.User{}, errors.New("no such token")
		}
		id, session, _ := strings.Cut(name, "/")
		return im.User{ID: id, Name: "Name " + session}, nil
	}
}

func TestRuling20TokenInHelloAndRefresh(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	_, url := serve(t, recordingAuth(&mu, &seen), nil, nil, nil)
	s, err := tryDial(t, url, http.Header{"X-Device": {"phone"}})
	if err != nil {
		t.Fatal(err)
	}
	s.send(`{"op":"join","id":1,"room":"42"}`)
	if e := s.expect("error"); e.Code != "unauthorized" || e.ID != 1 {
		t.Fatalf("a join before hello: %+v", e)
	}
	s.send(`{"op":"hello","id":2,"token":"good-ann/1"}`)
	if w := s.expect("welcome"); w.ID != 2 || w.User.ID != "ann" || w.User.Name != "Name 1" {
		t.Fatalf("%+v", w)
	}
	s.send(`{"op":"refresh","id":3,"token":"good-ann/2"}`)
	if w := s.expect("welcome"); w.ID != 3 || w.User.Name != "Name 2" {
		t.Fatalf("%+v", w)
	}
	s.send(`{"op":"refresh","id":4,"token":"good-bob/1"}`)
	if e := s.expect("error"); e.Code != "forbidden" {
		t.Fatalf("a token of another user: %+v", e)
	}
	s.send(`{"op":"refresh","id":5,"token":"bad"}`)
	if e := s.expect("error"); e.Code != "unauthorized" {
		t.Fatalf("a bad token: %+v", e)
	}
	s.send(`{"op":"ping","id":6}`) // still the old user, still connected
	s.expect("pong")
	mu.Lock()
	asked := seen[1]
	mu.Unlock()
	if want := "Bearer good-ann/1 phone"; asked != want {
		t.Fatalf("hello asked with %q, want %q", asked, want)
	}

	bad, err := tryDial(t, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	bad.send(`{"op":"hello","token":"bad"}`)
	if e := bad.expect("error"); e.Code != "unauthorized" {
		t.Fatalf("%+v", e)
	}
	if code := bad.end(); code != 4401 {
		t.Fatalf("close code %d after a bad hello, want 4401", code)
	}
	if _, err := tryDial(t, url, http.Header{"Authorization": {"Bearer bad"}}); err == nil || !strings.Contains(err.Error(), "401") {
		t.Fatalf("a bad token in the handshake: %v", err)
	}
}

// A9: cross-site requests, over WebSocket.
func TestA9ForeignOriginsAreRefused(t *testing.T) {
	_, url := serve(t, imtest.BearerUser, &im.Options{Origins: []string{"https://friend.example"}}, nil, nil)
	host := strings.TrimSuffix(strings.TrimPrefix(url, "ws://"), "/im/ws")
	port := host[strings.LastIndexByte(host, ':'):]
	for _, tt := range []struct {
		origins []string
		status  string // "" means allowed
	}{
		{nil, ""},
		{[]string{"http://" + host}, ""},
		{[]string{"https://" + host}, ""}, // TLS ends in front of the server
		{[]string{"https://friend.example"}, ""},
		{[]string{"HTTPS://FRIEND.EXAMPLE"}, ""},
		{[]string{"null"}, "403"},
		{[]string{""}, "403"},
		{[]string{"https://evil.example"}, "403"},
		{[]string{"http://friend.example"}, "403"},
		{[]string{"https://friend.example:8443"}, "403"},
		{[]string{"https://sub.friend.example"}, "403"},
		{[]string{"https://friend.example.evil.example"}, "403"},
		{[]string{"http://127.0.0.1"}, "403"},
		{[]string{"http://127.0.0.1:1"}, "403"},
		{[]string{"http://sub.127.0.0.1" + port}, "403"},
		{[]string{"file://" + host}, "403"},
		{[]string{host}, "403"},
		{[]string{"http://" + host + ".evil.example"}, "403"},
		{[]string{"http://" + host, "https://evil.example"}, "400"},
	} {
		_, err := tryDial(t, url, http.Header{"Authorization": {"Bearer ann"}, "Origin": tt.origins})
		if tt.status == "" && err != nil || tt.status != "" && (err == nil || !strings.Contains(err.Error(), tt.status)) {
			t.Errorf("origins %q: %v, want %q", tt.origins, err, tt.status)
		}
	}
}

func TestExpiredUsersAreClosed(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	expires := now.Add(time.Hour)
	auth := func(*http.Request) (im.User, error) { return im.User{ID: "ann", Expires: expires}, nil }
	_, url := serve(t, auth, &im.Options{Now: clock}, nil, nil)
	s := dialAs(t, url, "ann")
	s.expect("welcome")
	mu.Lock()
	now = now.Add(2 * time.Hour)
	mu.Unlock()
	if bye := s.expect("bye"); bye.Code != "expired" {
		t.Fatalf("%+v", bye)
	}
	if code := s.end(); code != 4419 {
		t.Fatalf("close code %d", code)
	}
	if _, err := tryDial(t, url, nil); err == nil || !strings.Contains(err.Error(), "401") {
		t.Fatalf("dialled with an expired identity: %v", err)
	}
}

func TestBadInputSaysWhatToDo(t *testing.T) {
	hub, url := serve(t, imtest.BearerUser, nil, nil, nil)
	hub.Handle("quiz.answer", func(context.Context, *im.Request) (any, error) { return nil, nil })
	s := dialAs(t, url, "ann")
	s.expect("welcome")
	s.send(`{"op":"join","id":1,"room":"42"}`)
	s.expect("joined")
	for _, tt := range []struct{ in, code, part string }{
		{`{}`, "bad_request", `needs "op"`},
		{`hello`, "bad_request", "JSON object"},
		{`{"op":"join"`, "bad_request", "unexpected end"},
		{`{"op":"dance"}`, "not_found", `"dance"`},
		{`{"op":"join","room":""}`, "bad_request", "1 to 128 bytes"},
		{`{"op":"join","room":"a\nb"}`, "bad_request", "control characters"},
		{fmt.Sprintf(`{"op":"join","room":"%s"}`, strings.Repeat("x", 129)), "bad_request", "1 to 128 bytes"},
		{`{"op":"join","room":"43","tier":"gold"}`, "bad_request", "full, reduced or critical"},
		{`{"op":"send","room":"44","kind":"chat","body":1}`, "not_joined", "join the room"},
		{`{"op":"send","room":"42","kind":"chat"}`, "bad_request", `"body"`},
		{`{"op":"send","room":"42","kind":"chat","body":1,"cid":"has space"}`, "bad_request", "printable"},
		{`{"op":"send","room":"42","kind":"notice","body":1}`, "forbidden", "notice"},
		{`{"op":"leave","room":"43"}`, "not_joined", "not in this room"},
		{`{"op":"state.set","room":"42","body":{"key":"a","value":1}}`, "forbidden", "state"},
		{`{"op":"quiz.answer","room":"43"}`, "not_joined", "join"},
		{`{"op":"refresh"}`, "unauthorized", "token"},
		{`{"op":"history","room":"42","after":{"epoch":"x","seq":1}}`, "not_found", "no longer kept"},
	} {
		s.send(tt.in)
		if e := s.expect("error"); e.Code != tt.code || !strings.Contains(e.Reason, tt.part) {
			t.Errorf("%s: %s: %s; want %s with %q", tt.in, e.Code, e.Reason, tt.code, tt.part)
		}
	}
	s.send(`[` + strings.Repeat(`{"op":"ping"},`, 64) + `{"op":"ping"}]`)
	if e := s.expect("error"); !strings.Contains(e.Reason, "64 requests") {
		t.Errorf("A26: %+v", e)
	}
	s.send(`[{"op":"ping","id":7},{"op":"ping","id":8}]`)
	if a, b := s.expect("pong"), s.expect("pong"); a.ID != 7 || b.ID != 8 {
		t.Errorf("answers %d, %d", a.ID, b.ID)
	}
}
