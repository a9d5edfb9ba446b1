package websocket_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/liveim/im/internal/ws"
	"github.com/liveim/im/transport"
	"github.com/liveim/im/transport/transporttest"
	"github.com/liveim/im/transport/websocket"
)

// kernelBuffer keeps sockets from growing to megabytes, so that they are full
// soon. Below the loopback's segment size TCP would stall.
const kernelBuffer = 256 << 10

// server is an http.Server on loopback that upgrades every request.
type server struct {
	*httptest.Server
	conns  chan *websocket.Conn
	errors chan error
}

// setup is how a server is to be.
type setup struct {
	options websocket.Options
	wrapped bool // connections are not *net.TCPConn
	secure  bool
	http2   bool
	config  func(*http.Server)
	handler func(http.Handler) http.Handler // middleware
}

func newServer(t testing.TB, s setup) *server {
	t.Helper()
	srv := &server{conns: make(chan *websocket.Conn, 1), errors: make(chan error, 1)}
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Upgrade(w, r, &s.options)
		if err != nil {
			srv.errors <- err
			return
		}
		srv.conns <- conn
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

// dialOptions trust the server and ask for all it may have.
func (s *server) dialOptions() *ws.DialOptions {
	o := &ws.DialOptions{Deflate: true, Protocols: []string{"im.v1"}}
	if s.TLS != nil {
		o.TLS = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		o.TLS.NextProtos = nil
	}
	return o
}

func (s *server) open(t testing.TB) (*websocket.Conn, *peer) {
	t.Helper()
	client, err := ws.Dial(t.Context(), s.URL, s.dialOptions())
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	shrink(client.Conn)
	t.Cleanup(func() { _ = client.Close() })
	return <-s.conns, newPeer(client)
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

// loopback is a harness over real sockets.
type loopback struct{ *server }

func (h loopback) Open(t testing.TB) (transport.Conn, transporttest.Peer) {
	conn, p := h.open(t)
	return conn, p
}

// memory is a harness over net.Pipe, for bubbles of synctest.
type memory struct{ options *websocket.Options }

func (h memory) Open(t testing.TB) (transport.Conn, transporttest.Peer) {
	near, far := net.Pipe()
	upgraded := make(chan *websocket.Conn, 1)
	go func() {
		br := bufio.NewReader(near)
		r, err := http.ReadRequest(br)
		if err != nil {
			t.Error(err)
			return
		}
		w := hijackable{httptest.NewRecorder(), near, br}
		conn, err := websocket.Upgrade(w, r, h.options)
		if err != nil {
			t.Error(err)
		}
		upgraded <- conn
	}()
	client, err := ws.Dial(t.Context(), "ws://bubble/", &ws.DialOptions{
		Deflate: true,
		NetDial: func(context.Context, string, string) (net.Conn, error) { return far, nil },
	})
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	return <-upgraded, newPeer(client)
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

// linger is short, so that peers which never close do not hold the tests up.
const linger = 50 * time.Millisecond
