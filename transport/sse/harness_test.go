package sse_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/liveim/im/transport"
	"github.com/liveim/im/transport/sse"
	"github.com/liveim/im/transport/transporttest"
)

// kernelBuffer keeps sockets from growing to megabytes, so that they are full
// soon. Below the loopback's segment size TCP would stall.
const kernelBuffer = 256 << 10

// linger is short, so that peers which never close do not hold the tests up.
const linger = 50 * time.Millisecond

// setup is how a server is to be.
type setup struct {
	options sse.Options
	rooms   []string
	wrapped bool // connections are not *net.TCPConn
	secure  bool
	http2   bool
	config  func(*http.Server)
	handler func(http.Handler) http.Handler // middleware
}

// kinds are the ways to carry a stream.
var kinds = map[string]setup{
	"TCP":       {},
	"portable":  {options: sse.Options{Portable: true}},
	"wrapped":   {wrapped: true},
	"TLS":       {secure: true},
	"HTTP2":     {secure: true, http2: true},
	"no hijack": {handler: withoutHijack},
}

// server is an http.Server on loopback that accepts every request.
type server struct {
	*httptest.Server
	setup
	conns    chan *sse.Conn
	errors   chan error
	returned chan struct{} // Wait has
}

func newServer(t testing.TB, s setup) *server {
	t.Helper()
	srv := &server{setup: s, conns: make(chan *sse.Conn, 1), errors: make(chan error, 1), returned: make(chan struct{}, 4096)}
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := sse.Accept(w, r, s.rooms, &srv.options)
		if err != nil {
			srv.errors <- err
			return
		}
		srv.conns <- conn
		conn.Wait()
		srv.returned <- struct{}{}
	})
	if s.handler != nil {
		h = s.handler(h)
	}
	srv.Server = httptest.NewUnstartedServer(h)
	srv.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		shrink(c)
		return ctx
	}
	if s.config != nil {
		s.config(srv.Config)
	}
	if s.wrapped {
		srv.Listener = wrappingListener{srv.Listener}
	}
	srv.EnableHTTP2 = s.http2
	if s.secure {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	if s.http2 { // 4 MiB a stream by default
		srv.Client().Transport.(*http.Transport).HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: kernelBuffer}
	}
	t.Cleanup(srv.Close)
	return srv
}

func shrink(c net.Conn) {
	if secured, ok := c.(*tls.Conn); ok {
		c = secured.NetConn()
	}
	if wrapped, ok := c.(wrappedConn); ok {
		c = wrapped.Conn
	}
	if c, ok := c.(*net.TCPConn); ok {
		_ = c.SetReadBuffer(kernelBuffer)
		_ = c.SetWriteBuffer(kernelBuffer)
	}
}

func (s *server) open(t testing.TB) (*sse.Conn, *peer) {
	t.Helper()
	var p *peer
	if s.http2 {
		p = s.openHTTP2(t)
	} else {
		p = openHTTP1(t, s.dial(t))
	}
	select {
	case p.conn = <-s.conns:
	case err := <-s.errors:
		t.Fatalf("Accept: %v", err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p.conn, p
}

func (s *server) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	shrink(c)
	if s.secure {
		config := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		config.NextProtos, config.ServerName = nil, "example.com"
		c = tls.Client(c, config)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// harness opens connections to a server.
type harness struct{ *server }

func (h harness) Open(t testing.TB) (transport.Conn, transporttest.Peer) {
	conn, p := h.open(t)
	if h.http2 || h.handler != nil {
		return conn, p
	}
	return conn, rawPeer{p}
}

// wrappedConn hides the methods of a TCP connection, as middleware does.
type wrappedConn struct{ net.Conn }

type wrappingListener struct{ net.Listener }

func (l wrappingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return wrappedConn{c}, nil
}

// kept is a response writer that gives all but the connection.
type kept struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (k kept) FlushError() error                  { return k.control.Flush() }
func (k kept) SetReadDeadline(t time.Time) error  { return k.control.SetReadDeadline(t) }
func (k kept) SetWriteDeadline(t time.Time) error { return k.control.SetWriteDeadline(t) }

func withoutHijack(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(kept{w, http.NewResponseController(w)}, r)
	})
}

// memory is a harness over net.Pipe, for bubbles of synctest.
type memory struct{ options *sse.Options }

func (h memory) Open(t testing.TB) (transport.Conn, transporttest.Peer) {
	near, far := net.Pipe()
	accepted := make(chan *sse.Conn, 1)
	go func() {
		br := bufio.NewReader(near)
		r, err := http.ReadRequest(br)
		if err != nil {
			t.Error(err)
			return
		}
		conn, err := sse.Accept(hijackable{httptest.NewRecorder(), near, br}, r, nil, h.options)
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}()
	p := openHTTP1(t, far)
	p.conn = <-accepted
	return p.conn, rawPeer{p}
}

// hijackable is a response writer of a server that never was.
type hijackable struct {
	*httptest.ResponseRecorder
	conn net.Conn
	br   *bufio.Reader
}

func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(h.br, bufio.NewWriter(h.conn)), nil
}
