package sse_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im/transport/sse"
)

func TestStreamOutlivesTheServersTimeouts(t *testing.T) {
	const timeout = 250 * time.Millisecond // it holds for the TLS handshake too
	forEachKind(t, func(t *testing.T, s setup) {
		t.Parallel()
		s.config = func(s *http.Server) {
			s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = timeout, timeout, timeout
		}
		conn, p := newServer(t, s).open(t)
		hub := start(conn)
		defer hub.end(t)
		select {
		case err := <-hub.closed:
			t.Fatalf("Closed(%v) within twice the server's timeouts", err)
		case <-time.After(2 * timeout):
		}
		for range 2 {
			hub.send(t, conn.Private().Append(nil, []byte(`"still here"`)))
			if msg, err := p.Recv(); string(msg) != `"still here"` {
				t.Fatalf("Recv = %q, %v", msg, err)
			}
			<-time.After(timeout * 3 / 2) // an old deadline would fire
		}
		if len(hub.closed) > 0 {
			t.Errorf("Closed(%v)", <-hub.closed)
		}
	})
}

func TestResponseHead(t *testing.T) {
	withHeader := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for k, v := range map[string]string{
				"Access-Control-Allow-Origin": "https://a.example", "Vary": "Origin", "Set-Cookie": "a=b",
				"Content-Length": "7", "Content-Encoding": "gzip", "X-Odd": "a\r\nb: c", "Content-Type": "text/plain",
			} {
				if r.ProtoMajor == 1 || !strings.HasPrefix(k, "Content-") {
					w.Header().Set(k, v)
				}
			}
			next.ServeHTTP(w, r)
		})
	}
	for _, name := range []string{"TCP", "TLS", "HTTP2"} {
		t.Run(name, func(t *testing.T) {
			s := kinds[name]
			s.handler = withHeader
			s.options.Retry = 1500 * time.Millisecond
			conn, p := newServer(t, s).open(t)
			hub := start(conn)
			defer hub.end(t)
			for k, want := range map[string]string{
				"Access-Control-Allow-Origin": "https://a.example", "Vary": "Origin", "Set-Cookie": "a=b",
				"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Encoding": "", "Content-Length": "",
				"B": "",
			} {
				if got := p.response.Header.Get(k); got != want {
					t.Errorf("%s: %q, want %q", k, got, want)
				}
			}
			if date, err := http.ParseTime(p.response.Header.Get("Date")); err != nil || time.Since(date) > time.Minute {
				t.Errorf("Date: %v, %v", date, err)
			}
			if len(p.response.TransferEncoding) > 0 || p.response.ProtoMajor == 1 && !p.response.Close {
				t.Error("over HTTP/1.1 the body is what comes until the end of the connection")
			}
			hub.send(t, conn.Private().Append(nil, []byte("1")))
			if _, err := p.Recv(); err != nil || p.retry != "1500" {
				t.Errorf("retry %q, %v; want 1500", p.retry, err)
			}
		})
	}
}

func TestOtherMethods(t *testing.T) {
	forEachKind(t, func(t *testing.T, s setup) {
		srv := newServer(t, s)
		resp, err := srv.Client().Head(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("HEAD: status %d, %v", resp.StatusCode, resp.Header)
		}
		if err := await(t, srv.errors); !errors.Is(err, sse.ErrHead) {
			t.Errorf("Accept = %v; want ErrHead", err)
		}
		resp, err = srv.Client().Post(srv.URL, "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") == "" {
			t.Errorf("POST: status %d, %v", resp.StatusCode, resp.Header)
		}
		await(t, srv.errors)
	})
}

// opaque is middleware as it should not be.
type opaque struct{ http.ResponseWriter }

func TestAcceptWithoutAWaySaysWhatToDo(t *testing.T) {
	for name, s := range map[string]setup{"HTTP/1.1": {}, "HTTP/2": {secure: true, http2: true}} {
		t.Run(name, func(t *testing.T) {
			s.handler = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(opaque{w}, r) })
			}
			srv := newServer(t, s)
			resp, err := srv.Client().Get(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusInternalServerError || !strings.Contains(string(body), "Unwrap") {
				t.Errorf("status %d, %q; want 500 and what to do", resp.StatusCode, body)
			}
			if err := await(t, srv.errors); !errors.Is(err, http.ErrNotSupported) || !strings.Contains(err.Error(), "opaque") {
				t.Errorf("Accept = %v; it should name the wrapper's type", err)
			}
		})
	}
}

func TestAcceptFindsTheConnectionBehindMiddleware(t *testing.T) {
	srv := newServer(t, setup{handler: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(unwrapping{w}, r) })
	}})
	conn, _ := srv.open(t)
	defer start(conn).end(t)
	await(t, srv.returned) // at once: the connection was taken over
}

type unwrapping struct{ http.ResponseWriter }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func TestHTTP10(t *testing.T) {
	srv := newServer(t, setup{})
	c := srv.dial(t)
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	defer start(await(t, srv.conns)).end(t)
	if line, err := bufio.NewReader(c).ReadString('\n'); !strings.HasSuffix(line, " 200 OK\r\n") {
		t.Errorf("%q, %v", line, err)
	}
}
