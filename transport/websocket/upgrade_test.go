package websocket_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liveim/im/internal/ws"
	"github.com/liveim/im/transport/websocket"
)

// unwrapping is middleware as it should be, opaque as it should not.
type (
	unwrapping struct{ http.ResponseWriter }
	opaque     struct{ http.ResponseWriter }
)

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// echo sends one message through an open connection.
func echo(t *testing.T, s *session, p *peer) {
	t.Helper()
	if err := p.Send([]byte(`"hello"`)); err != nil {
		t.Fatal(err)
	}
	if got := await(t, s.received); got != `"hello"` {
		t.Errorf("Receive got %q", got)
	}
}

func TestUpgradeThroughMiddleware(t *testing.T) {
	for name, middleware := range map[string]func(http.Handler) http.Handler{
		"Unwrap twice": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(unwrapping{unwrapping{w}}, r)
			})
		},
		"StripPrefix": func(next http.Handler) http.Handler { return http.StripPrefix("/im", next) },
		"ServeMux": func(next http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("GET /im/ws", next)
			return mux
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := newServer(t, setup{handler: middleware})
			srv.URL += "/im/ws"
			conn, p := srv.open(t)
			s := start(conn)
			defer s.end(t)
			echo(t, s, p)
		})
	}
}

func TestUpgradeWithoutHijackSaysWhatToDo(t *testing.T) {
	srv := newServer(t, setup{handler: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(opaque{w}, r) })
	}})
	refused := refusal(t, srv)
	if refused.Response.StatusCode != http.StatusInternalServerError || !refused.Response.Close {
		t.Errorf("status %d, close %v; want 500 and Connection: close", refused.Response.StatusCode, refused.Response.Close)
	}
	body, _ := io.ReadAll(refused.Response.Body)
	if !strings.Contains(string(body), "Unwrap") {
		t.Errorf("the body %q does not say what to do", body)
	}
	if err := await(t, srv.errors); !errors.Is(err, http.ErrNotSupported) || !strings.Contains(err.Error(), "opaque") {
		t.Errorf("Upgrade = %v; it should name the wrapper's type", err)
	}
}

// refusal dials a server that refuses.
func refusal(t *testing.T, srv *server) *ws.DialError {
	t.Helper()
	_, err := ws.Dial(t.Context(), srv.URL, srv.dialOptions())
	var refused *ws.DialError
	if !errors.As(err, &refused) {
		t.Fatalf("dial = %v; want a refusal", err)
	}
	return refused
}

func TestUpgradeOutlivesTheServersTimeouts(t *testing.T) {
	const timeout = 50 * time.Millisecond
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("secure=%v", secure), func(t *testing.T) {
			srv := newServer(t, setup{secure: secure, config: func(s *http.Server) {
				s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = timeout, timeout, timeout
			}})
			conn, p := srv.open(t)
			s := start(conn)
			defer s.end(t)
			// A read that ends with our own deadline shows that nobody has closed.
			_ = p.conn.SetReadDeadline(time.Now().Add(3 * timeout))
			if _, err := p.Recv(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("after three times the server's timeouts: %v", err)
			}
			_ = p.conn.SetReadDeadline(time.Time{})
			echo(t, s, p)
			if _, err := conn.TrySend([][]byte{conn.Private().Append(nil, []byte(`"back"`))}); err != nil {
				t.Fatal(err)
			}
			if msg, err := p.Recv(); string(msg) != `"back"` {
				t.Errorf("Recv = %q, %v", msg, err)
			}
		})
	}
}

func TestUpgradeNegotiatesProtocol(t *testing.T) {
	srv := newServer(t, setup{options: websocket.Options{Protocols: []string{"im.v2", "im.v1"}}})
	conn, p := srv.open(t)
	defer conn.Abort()
	if conn.Protocol() != "im.v1" || p.conn.Handshake.Protocol != "im.v1" {
		t.Errorf("protocol %q here and %q there; want im.v1", conn.Protocol(), p.conn.Handshake.Protocol)
	}
}

func TestUpgradeRefusesHTTP2(t *testing.T) {
	srv := newServer(t, setup{secure: true, http2: true})
	client := srv.Client()
	for range 2 { // the second over the same connection
		resp, err := client.Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusNotImplemented || !strings.Contains(string(body), "HTTP/1.1") {
			t.Errorf("%s %d %q; want HTTP/2, 501 and the advice to use HTTP/1.1", resp.Proto, resp.StatusCode, body)
		}
		await(t, srv.errors)
	}
	client.CloseIdleConnections()
}

const validHandshake = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// raw sends bytes to the server on a connection of their own.
func raw(t *testing.T, srv *server, bytes string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	go func() { _, _ = io.WriteString(c, bytes) }() // the server may close before the end
	return c
}

func TestUpgradeKeepsBytesBehindTheHandshake(t *testing.T) {
	srv := newServer(t, setup{})
	frame := ws.AppendMaskedFrame(nil, ws.OpText, true, false, [4]byte{9, 8, 7, 6}, []byte(`"early"`))
	cut := len(frame) - 3
	c := raw(t, srv, validHandshake+"\r\n"+string(frame)+string(frame[:cut]))
	s := start(await(t, srv.conns))
	defer s.end(t)
	if got := await(t, s.received); got != `"early"` {
		t.Errorf("Receive got %q", got)
	}
	_, _ = c.Write(frame[cut:])
	if got := await(t, s.received); got != `"early"` {
		t.Errorf("Receive got %q for a message that was cut by the handshake's end", got)
	}
}

func TestRefusedUpgradeEndsTheConnection(t *testing.T) {
	frame := string(ws.AppendMaskedFrame(nil, ws.OpText, true, false, [4]byte{}, []byte("x")))
	second := "GET /second HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, tt := range map[string]struct {
		request string
		status  int
	}{
		"no key":             {strings.Replace(validHandshake, "Sec-WebSocket-Key", "X-Key", 1) + "\r\n" + second, 400},
		"body and request":   {validHandshake + "Content-Length: 2\r\n\r\nhi" + second, 400},
		"body of frames":     {validHandshake + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(frame)) + frame + second, 400},
		"chunked":            {validHandshake + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second, 400},
		"old version":        {strings.Replace(validHandshake, "13", "8", 1) + "\r\n" + second, 426},
		"no upgrade":         {"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + second, 426},
		"POST":               {strings.Replace(validHandshake, "GET", "POST", 1) + "\r\n" + second, 405},
		"HTTP/1.0":           {strings.Replace(validHandshake, "HTTP/1.1", "HTTP/1.0", 1) + "\r\n" + second, 400},
		"two Origins":        {validHandshake + "Origin: http://a\r\nOrigin: http://b\r\n\r\n" + second, 400},
		"2000 headers":       {validHandshake + strings.Repeat("X-A: b\r\n", 2000) + "\r\n" + second, 400},
		"64 KiB of protocol": {validHandshake + "Sec-WebSocket-Protocol: " + strings.Repeat("a,", 32<<10) + "b\r\n\r\n" + second, 400},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			srv := newServer(t, setup{handler: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					requests.Add(1)
					next.ServeHTTP(w, r)
				})
			}})
			br := bufio.NewReader(raw(t, srv, tt.request))
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != tt.status || !resp.Close {
				t.Errorf("status %d, close %v; want %d and Connection: close", resp.StatusCode, resp.Close, tt.status)
			}
			if more, _ := io.ReadAll(br); len(more) > 0 {
				t.Errorf("after the refusal came %.40q; the second request must not be answered", more)
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests reached the handler; the second must not be read", n)
			}
			var refused *ws.HandshakeError
			if err := await(t, srv.errors); !errors.As(err, &refused) || refused.Status != tt.status {
				t.Errorf("Upgrade = %v; want the refusal with %d", err, tt.status)
			}
		})
	}
}
