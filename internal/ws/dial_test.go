package ws

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// upgrader answers handshakes with CheckRequest, sends one message right behind
// the response and then echoes nothing.
func upgrader(t *testing.T, protocols []string, deflate bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hs, refused := CheckRequest(r, protocols, deflate)
		if refused != nil {
			refused.Respond(w)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		out := AppendFrame(hs.AppendResponse(nil), OpText, true, false, []byte("hello"))
		_, _ = conn.Write(out)
		_, _ = io.Copy(io.Discard, conn) // until the client closes
	})
}

// firstMessage feeds the leftover and then the connection until a message came.
func firstMessage(t *testing.T, c *ClientConn) event {
	t.Helper()
	p := NewParser(ClientRole, nil, c.Handshake.Deflate)
	var rec recorder
	buf, n := c.Leftover, len(c.Leftover)
	for {
		if err := p.Feed(t0, buf[:n], &rec); err != nil {
			t.Fatal(err)
		}
		if len(rec.events) > 0 {
			return rec.events[0]
		}
		buf = make([]byte, 100)
		var err error
		if n, err = c.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDial(t *testing.T) {
	plain := httptest.NewServer(upgrader(t, []string{"im.v1"}, true))
	defer plain.Close()
	secure := httptest.NewTLSServer(upgrader(t, []string{"im.v1"}, true))
	defer secure.Close()
	tlsConfig := secure.Client().Transport.(*http.Transport).TLSClientConfig
	for _, c := range []struct {
		url      string
		o        *DialOptions
		protocol string
		deflate  bool
	}{
		{strings.Replace(plain.URL, "http", "ws", 1), nil, "", false},
		{plain.URL + "/path?query=1", &DialOptions{Deflate: true}, "", true},
		{plain.URL, &DialOptions{Protocols: []string{"other", "im.v1"}}, "im.v1", false},
		{strings.Replace(secure.URL, "https", "wss", 1), &DialOptions{TLS: tlsConfig, Deflate: true}, "", true},
		{secure.URL, &DialOptions{TLS: tlsConfig, Header: http.Header{"Origin": {"https://a.example"}}}, "", false},
	} {
		conn, err := Dial(t.Context(), c.url, c.o)
		if err != nil {
			t.Errorf("Dial(%s): %v", c.url, err)
			continue
		}
		if hs := conn.Handshake; hs.Protocol != c.protocol || hs.Deflate != c.deflate || conn.Response.StatusCode != 101 {
			t.Errorf("Dial(%s): %+v, want protocol %q and deflate %t", c.url, hs, c.protocol, c.deflate)
		}
		if got := firstMessage(t, conn); got != text("hello") {
			t.Errorf("Dial(%s): first message %v", c.url, got)
		}
		_ = conn.Close()
	}
}

func TestDialRequest(t *testing.T) {
	o := &DialOptions{Header: http.Header{"Host": {"virtual.example"}, "Cookie": {"a=b"}}}
	req, err := o.request(t.Context(), "wss://user:secret@host.example:8443/path?x=1")
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := req.BasicAuth()
	if req.Host != "virtual.example" || req.URL.Scheme != "https" || user != "user" || password != "secret" ||
		req.Header.Get("Cookie") != "a=b" || req.Header["Host"] != nil {
		t.Errorf("request %+v", req)
	}
	if len(o.Header) != 2 {
		t.Errorf("Dial changed the options' header to %v", o.Header)
	}
	if _, refused := CheckRequest(req, nil, true); refused != nil {
		t.Errorf("our server refuses our client: %v", refused)
	}
}

func TestDialRefusesItsParameters(t *testing.T) {
	for _, c := range []struct {
		url string
		o   DialOptions
	}{
		{"ftp://host", DialOptions{}},
		{"host/path", DialOptions{}},
		{"ws:///path", DialOptions{}},
		{"ws://host/#fragment", DialOptions{}},
		{"ws://host:bad?token=secret", DialOptions{}},
		{"ws://host", DialOptions{Protocols: []string{"a b"}}},
		{"ws://host", DialOptions{Header: http.Header{"Sec-Websocket-Key": {"x"}}}},
		{"ws://host", DialOptions{Header: http.Header{"Upgrade": {"x"}}}},
	} {
		_, err := Dial(t.Context(), c.url, &c.o)
		if err == nil || !strings.HasPrefix(err.Error(), "ws: ") || strings.Contains(err.Error(), "secret") {
			t.Errorf("Dial(%s, %+v) = %v, want an error of this package without the URL", c.url, c.o, err)
		}
	}
	_, err := Dial(t.Context(), "ws://host", &DialOptions{
		NetDial: func(context.Context, string, string) (net.Conn, error) { return nil, io.ErrClosedPipe },
	})
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Dial = %v, want NetDial's error", err)
	}
}

// dialPipe dials a server made of answer, which gets the request and returns the
// bytes to reply.
func dialPipe(ctx context.Context, o DialOptions, answer func(r *http.Request) string) (*ClientConn, error) {
	o.NetDial = func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer func() { _ = server.Close() }()
			br := bufio.NewReader(server)
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			_, _ = io.WriteString(server, answer(r))
			_, _ = io.Copy(io.Discard, br)
		}()
		return client, nil
	}
	return Dial(ctx, "ws://pipe.example/", &o)
}

func TestDialChecksTheResponse(t *testing.T) {
	type change struct{ old, new string }
	const end = "\r\n\r\n"
	for name, c := range map[string]struct {
		o      DialOptions
		change change
		ok     bool
	}{
		"as it is":               {ok: true},
		"with deflate":           {o: DialOptions{Deflate: true}, ok: true},
		"status 200":             {change: change{"101 Switching Protocols", "200 OK\r\nContent-Length: 0"}},
		"no Upgrade":             {change: change{"Upgrade: websocket\r\n", ""}},
		"other Upgrade":          {change: change{"Upgrade: websocket", "Upgrade: h2c"}},
		"no Connection":          {change: change{"Connection: Upgrade\r\n", ""}},
		"wrong accept":           {change: change{"Accept: ", "Accept: x"}},
		"two accepts":            {change: change{end, "\r\nSec-WebSocket-Accept: x" + end}},
		"protocol not offered":   {change: change{end, "\r\nSec-WebSocket-Protocol: chat" + end}},
		"other protocol":         {o: DialOptions{Protocols: []string{"im"}}, change: change{end, "\r\nSec-WebSocket-Protocol: IM" + end}},
		"two protocols":          {o: DialOptions{Protocols: []string{"a", "b"}}, change: change{end, "\r\nSec-WebSocket-Protocol: a, b" + end}},
		"offered protocol":       {o: DialOptions{Protocols: []string{"a", "b"}}, change: change{end, "\r\nSec-WebSocket-Protocol: b" + end}, ok: true},
		"extension not offered":  {change: change{end, "\r\nSec-WebSocket-Extensions: " + deflateBothNoTakeover + end}},
		"malformed extension":    {o: DialOptions{Deflate: true}, change: change{"permessage-deflate;", "permessage-deflate;;"}},
		"unknown extension":      {o: DialOptions{Deflate: true}, change: change{"permessage-deflate", "x-custom"}},
		"two extensions":         {o: DialOptions{Deflate: true}, change: change{end, ", permessage-deflate" + end}},
		"unknown parameter":      {o: DialOptions{Deflate: true}, change: change{end, "; x" + end}},
		"server takes over":      {o: DialOptions{Deflate: true}, change: change{"; server_no_context_takeover", ""}},
		"client may take over":   {o: DialOptions{Deflate: true}, change: change{"; client_no_context_takeover", ""}, ok: true},
		"smaller server window":  {o: DialOptions{Deflate: true}, change: change{end, "; server_max_window_bits=9" + end}, ok: true},
		"client window":          {o: DialOptions{Deflate: true}, change: change{end, "; client_max_window_bits=15" + end}},
		"client window no value": {o: DialOptions{Deflate: true}, change: change{end, "; client_max_window_bits" + end}},
	} {
		conn, err := dialPipe(t.Context(), c.o, func(r *http.Request) string {
			hs, refused := CheckRequest(r, nil, true)
			if refused != nil {
				t.Error(refused)
				return ""
			}
			return strings.Replace(string(hs.AppendResponse(nil)), c.change.old, c.change.new, 1)
		})
		var de *DialError
		if (err == nil) != c.ok || err != nil && !errors.As(err, &de) {
			t.Errorf("%s: %v, want success %t or a *DialError", name, err, c.ok)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
}

func TestDialKeepsOneKiBOfTheBody(t *testing.T) {
	_, err := dialPipe(t.Context(), DialOptions{}, func(*http.Request) string {
		return "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 5000\r\n\r\n" + strings.Repeat("x", 5000)
	})
	var de *DialError
	if !errors.As(err, &de) {
		t.Fatalf("Dial = %v, want a *DialError", err)
	}
	body, _ := io.ReadAll(de.Response.Body)
	if de.Response.StatusCode != 503 || de.Response.Header.Get("Retry-After") != "7" || len(body) != 1024 {
		t.Errorf("status %d, %v, %d bytes of body", de.Response.StatusCode, de.Response.Header, len(body))
	}
	if !strings.Contains(de.Error(), "503") {
		t.Errorf("the error does not name the status: %v", de)
	}
}

// TestDialDoesNotWaitForABody refuses without ever ending the body.
func TestDialDoesNotWaitForABody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := dialPipe(t.Context(), DialOptions{}, func(*http.Request) string {
			return "HTTP/1.1 503 Service Unavailable\r\n\r\nwait"
		})
		var de *DialError
		if !errors.As(err, &de) || time.Since(start) != errorBodyWait {
			t.Fatalf("Dial = %v after %v, want a *DialError after %v", err, time.Since(start), errorBodyWait)
		}
		if body, _ := io.ReadAll(de.Response.Body); string(body) != "wait" {
			t.Errorf("kept %q of the body", body)
		}
	})
}

func TestDialBoundsTheResponseHead(t *testing.T) {
	_, err := dialPipe(t.Context(), DialOptions{}, func(*http.Request) string {
		return "HTTP/1.1 101 Switching Protocols\r\n" + strings.Repeat("X-Endless: header\r\n", 10_000)
	})
	if err == nil {
		t.Error("a response head of 190 KB was taken")
	}
}

// TestDialHonoursItsContext lets the server fall silent at every stage.
func TestDialHonoursItsContext(t *testing.T) {
	partial := map[string]string{
		"no response": "",
		"half a head": "HTTP/1.1 101 Switching Protocols\r\nUpgr",
	}
	for name, reply := range partial {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			start := time.Now()
			_, err := dialPipe(ctx, DialOptions{}, func(*http.Request) string { return reply })
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
				t.Errorf("%s: %v after %v, want the deadline after 5s", name, err, time.Since(start))
			}
		})
	}
}

// TestDialTLSHonoursItsContext never answers the TLS handshake.
func TestDialTLSHonoursItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		client, server := net.Pipe()
		defer func() { _ = server.Close() }()
		go func() { _, _ = io.Copy(io.Discard, server) }()
		_, err := Dial(ctx, "wss://pipe.example", &DialOptions{
			NetDial: func(context.Context, string, string) (net.Conn, error) { return client, nil },
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial = %v, want the deadline", err)
		}
	})
}

// TestDialContextEndsWithTheHandshake cancels the context afterwards.
func TestDialContextEndsWithTheHandshake(t *testing.T) {
	srv := httptest.NewServer(upgrader(t, nil, false))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := Dial(ctx, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	cancel()
	if got := firstMessage(t, conn); got != text("hello") {
		t.Errorf("first message %v after the context ended", got)
	}
}
