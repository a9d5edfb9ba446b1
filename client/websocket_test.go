package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/internal/ws"
)

// wsPeer is the server's side of one WebSocket connection.
type wsPeer struct {
	conn  net.Conn
	serve func(p *wsPeer, q wire.Request)
	pongs chan string
	codes chan ws.CloseCode
}

func (p *wsPeer) frame(op ws.Opcode, payload string) {
	_, _ = p.conn.Write(ws.AppendFrame(nil, op, true, false, []byte(payload)))
}

func (p *wsPeer) sendf(format string, args ...any) { p.frame(ws.OpText, fmt.Sprintf(format, args...)) }

func (p *wsPeer) Message(_ ws.Opcode, payload []byte) error {
	var q wire.Request
	if err := json.Unmarshal(payload, &q); err != nil {
		return err
	}
	p.serve(p, q)
	return nil
}
func (p *wsPeer) Ping([]byte) error { return nil }
func (p *wsPeer) Pong(b []byte) error {
	p.pongs <- string(b)
	return nil
}
func (p *wsPeer) Close(code ws.CloseCode, _ string) error {
	p.codes <- code
	return io.EOF
}

// wsServer starts a server that calls serve for each request of a client.
func wsServer(t *testing.T, serve func(*wsPeer, wire.Request)) (url string, peers <-chan *wsPeer) {
	t.Helper()
	ch := make(chan *wsPeer, 16)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := r.Header.Get("X-Refuse"); status != "" {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(map[string]int{"401": 401, "502": 502, "503": 503, "200": 200, "json": 403}[status])
			if status == "json" {
				_, _ = io.WriteString(w, `{"op":"error","code":"origin","reason":"not from there"}`)
			}
			return
		}
		hs, refused := ws.CheckRequest(r, []string{wire.Subprotocol}, true)
		if refused != nil {
			refused.Respond(w)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		p := &wsPeer{conn: conn, serve: serve, pongs: make(chan string, 16), codes: make(chan ws.CloseCode, 1)}
		welcome := ws.AppendFrame(hs.AppendResponse(nil), ws.OpText, true, false, []byte(`{"op":"welcome","user":{"id":"u1"}}`))
		_, _ = conn.Write(welcome)
		ch <- p
		parser := ws.NewParser(ws.ServerRole, nil, hs.Deflate)
		defer parser.Release()
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err == nil {
				err = parser.Feed(time.Now(), buf[:n], p)
			}
			if err != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http"), ch
}

func TestWebSocket(t *testing.T) {
	url, peers := wsServer(t, func(p *wsPeer, q wire.Request) {
		switch q.Op {
		case wire.OpJoin:
			p.sendf(`{"op":"joined","id":%d,"room":"42","epoch":"e1","seq":100,"recovered":%v}`, q.ID, q.Since != nil)
		case wire.OpSend:
			p.sendf(`{"op":"ack","id":%d,"status":"ok","event":"e"}`, q.ID)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := Dial(ctx, url+"/ws?x=1", &Options{BackoffMin: time.Millisecond, BackoffMax: 5 * time.Millisecond, Compress: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := <-peers
	r, err := c.Join(ctx, "42", nil)
	if err != nil {
		t.Fatal(err)
	}
	next[Reset](t, r)
	if got, err := r.Send(ctx, im.Chat, "hi"); err != nil || got.Event != "e" {
		t.Errorf("%+v, %v", got, err)
	}
	p.frame(ws.OpPing, "beat")
	if got := <-p.pongs; got != "beat" {
		t.Errorf("pong %q", got)
	}
	big := fmt.Sprintf(`{"op":"events","room":"42","prev":100,"to":101,"events":[{"seq":101,"id":"x","kind":"chat","at":1,"body":%q}]}`, strings.Repeat("x", 1<<20))
	p.frame(ws.OpText, big)
	if e := next[Event](t, r); len(e.Body) != 1<<20+2 {
		t.Errorf("body of %d bytes", len(e.Body))
	}

	p.frame(ws.OpClose, string(ws.AppendClose(nil, 1012, "restart")))
	p = <-peers
	next[Resumed](t, r)
	if _, err := r.Send(ctx, im.Chat, "still here"); err != nil {
		t.Error(err)
	}
	_ = p.conn.Close() // cut
	p = <-peers
	next[Resumed](t, r)

	c.Close()
	if code := <-p.codes; code != ws.CloseNormal {
		t.Errorf("the client closes with %d", code)
	}
}

func TestWebSocketEndsForGood(t *testing.T) {
	url, peers := wsServer(t, nil)
	c, err := Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	(<-peers).frame(ws.OpClose, string(ws.AppendClose(nil, 4430, "enough")))
	<-c.Done()
	if !isCode(c.Err(), im.CodeKicked) {
		t.Error(c.Err())
	}
}

func TestWebSocketRefused(t *testing.T) {
	url, _ := wsServer(t, nil)
	for status, want := range map[string]im.Code{"401": im.CodeUnauthorized, "json": im.CodeOrigin, "200": im.CodeNotFound} {
		_, err := Dial(t.Context(), url, &Options{Header: http.Header{"X-Refuse": {status}}})
		if !isCode(err, want) {
			t.Errorf("status %s: %v", status, err)
		}
	}
	for status, want := range map[string]im.Code{"502": im.CodeInternal, "503": im.CodeOverloaded} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := Dial(ctx, url, &Options{Header: http.Header{"X-Refuse": {status}}})
		var e *im.Error
		if !errors.As(err, &e) || e.Code != want || e.RetryAfter != 7*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("status %s: %v", status, err)
		}
	}
}

func TestURLs(t *testing.T) {
	const secret = "sekrit"
	for _, url := range []string{"", "ws://", "ftp://h/" + secret, "ws://u:" + secret + "@h:bad/", "/ws?" + secret, "ws://h/#" + secret, "ws://127.0.0.1:1/?token=" + secret} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := Dial(ctx, url, nil)
		cancel()
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("Dial(%q): %v", url, err)
		}
	}
}

// Every code of the protocol comes back from its close code and its status with the same rule.
func TestCodesReadBack(t *testing.T) {
	for _, code := range append([]im.Code{im.CodeOrigin, im.CodeNotJoined}, codes[:]...) {
		var e *im.Error
		if err := closeError(code.CloseCode(), ""); !errors.As(err, &e) || e.Code.Retry() != code.Retry() {
			t.Errorf("%s has close code %d, which reads as %v", code, code.CloseCode(), err)
		}
	}
	for _, status := range []int{400, 401, 403, 404, 405, 410, 418, 426, 429, 500, 502, 503, 504} {
		final, _ := verdict(statusError(status, "", 0), true)
		if want := status < 500 && status != 429; final != want {
			t.Errorf("status %d is final: %v", status, final)
		}
	}
	if final, _ := verdict(closeError(1006, ""), true); final {
		t.Error("an abnormal closure is final")
	}
}
