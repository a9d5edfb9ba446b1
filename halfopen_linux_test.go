package im_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/internal/ws"
)

// vanish makes a peer disappear as one does whose network is gone: its kernel drops
// whatever arrives for the connection before it can answer with as much as an ACK,
// and the peer says nothing any more.
func vanish(t *testing.T, c net.Conn) {
	t.Helper()
	if wrapper, ok := c.(*tls.Conn); ok {
		c = wrapper.NetConn()
	}
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	dropAll := []syscall.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K}}
	var filter error
	//lint:ignore SA1019 what replaces it is in a module that nothing else here needs
	attach := syscall.AttachLsf
	if err := raw.Control(func(fd uintptr) { filter = attach(int(fd), dropAll) }); err != nil {
		t.Fatal(err)
	}
	if filter != nil {
		t.Skipf("this kernel has no socket filters: %v", filter)
	}
}

// mortal is a viewer whose network can go.
type mortal struct {
	name   string
	within time.Duration // that it is found
	secure bool
	enter  func(t *testing.T, addr string, secure bool) net.Conn
}

// F2: a peer that has gone without a FIN or RST is found within heartbeat plus
// timeout, and is no longer counted then. Each transport has something else that
// finds it. A WebSocket does not answer the ping. A stream over HTTP/1.1 has its
// comments, one in 15 s, which the kernel gives up when nobody acknowledges them for
// 25 s (TCP_USER_TIMEOUT). A stream over HTTP/2 has the pings of net/http, which the
// host switches on. A poll is answered into the void, and no other one follows within
// 10 s.
func TestF2HalfOpen(t *testing.T) {
	short := im.Timeouts{Heartbeat: time.Second, Answer: time.Second}
	eachPath(t, func(t *testing.T, p ioPath, full bool) {
		// What goes over TLS, HTTP/2 and polls is the same on all paths.
		viewers := []mortal{{"WebSocket", 2 * time.Second, false, enterWebSocket}}
		if full {
			viewers = append(viewers,
				mortal{"WebSocket over TLS", 2 * time.Second, true, enterWebSocket},
				mortal{"stream over HTTP2", 2 * time.Second, true, enterHTTP2},
				mortal{"poll", 11 * time.Second, false, enterPoll(time.Second)},
				mortal{"poll over TLS", 11 * time.Second, true, enterPoll(time.Second)})
		}
		halfOpen(t, "short", p, short, viewers)
		if !soak() {
			return // what the kernel does cannot be hastened: transport/sse tests that it is told to
		}
		halfOpen(t, "default", p, im.Timeouts{Heartbeat: 25 * time.Second, Answer: 15 * time.Second}, []mortal{
			{"WebSocket", 40 * time.Second, false, enterWebSocket},
			{"stream", 40 * time.Second, false, enterStream},
			{"stream over TLS", 40 * time.Second, true, enterStream},
			{"stream over HTTP2", 40 * time.Second, true, enterHTTP2},
			{"poll", 40 * time.Second, false, enterPoll(25 * time.Second)},
		})
	})
}

// halfOpen has each viewer vanish, from a room where nothing happens and from one
// where something does.
func halfOpen(t *testing.T, name string, p ioPath, times im.Timeouts, viewers []mortal) {
	t.Run(name, func(t *testing.T) {
		var all sync.WaitGroup // all at once: they do nothing but wait
		for _, v := range viewers {
			all.Go(func() { t.Run(v.name, func(t *testing.T) { v.die(t, p, times, 0) }) })
			all.Go(func() { t.Run(v.name+" with traffic", func(t *testing.T) { v.die(t, p, times, 300*time.Millisecond) }) })
		}
		all.Wait()
	})
}

func (v *mortal) die(t *testing.T, p ioPath, times im.Timeouts, every time.Duration) {
	hub, err := im.New(imtest.BearerUser, &im.Options{IO: p.io, Timeouts: times})
	if err != nil {
		t.Fatal(err)
	}
	handler := http.StripPrefix("/im", hub)
	srv, plain := httptest.NewUnstartedServer(handler), httptest.NewServer(handler)
	defer plain.Close()
	defer srv.Close()
	defer func() { _ = hub.Close() }()
	srv.EnableHTTP2 = v.secure
	srv.Config.HTTP2 = &http.HTTP2Config{SendPingTimeout: times.Heartbeat, PingTimeout: times.Answer}
	if v.secure {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	room := hub.Room("42")
	witness := dialAs(t, "ws"+strings.TrimPrefix(plain.URL, "http")+"/im/ws", "witness")
	witness.patience = time.Minute
	witness.send(`{"op":"join","id":1,"room":"42"}`)
	witness.expect("joined")
	var count atomic.Int64
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		for raw := witness.read(); raw != ""; raw = witness.read() {
			m := new(wire.Message)
			if json.Unmarshal([]byte(raw), m) == nil && m.Op == wire.OpOnline {
				count.Store(int64(m.Count))
			}
		}
	}()
	defer func() { _ = witness.conn.Close(); <-seen }()

	conn := v.enter(t, srv.Listener.Addr().String(), v.secure)
	defer func() { _ = conn.Close() }()
	eventually(t, 5*time.Second, func() string {
		if n := count.Load(); n != 2 {
			return fmt.Sprintf("%d are online, want 2", n)
		}
		return ""
	})
	if every > 0 {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for ctx.Err() == nil {
				_, _ = room.Send(ctx, im.Notice, "x")
				pass(every)
			}
		}()
		defer func() { stop(); <-ended }()
	}
	vanish(t, conn)
	start := time.Now()
	// One second for the sweep, and another for the count, which is sent once in a
	// second; the kernel rounds its timers up by an eighth.
	bar := v.within + v.within/8 + 2*time.Second
	eventually(t, bar, func() string {
		if online, n := count.Load(), hub.Stats().Sessions; online != 1 || n != 1 || room.Len() != 1 {
			return fmt.Sprintf("after %v: %d online, %d sessions, %d in the room; want 1 of each", bar, online, n, room.Len())
		}
		return ""
	})
	p.used(t, hub, false)
	t.Logf("%s: found, and told to the others, after %v; the bar is %v", t.Name(), time.Since(start).Round(10*time.Millisecond), v.within)
}

// dialServer opens a connection to the server, for HTTP/1.1.
func dialServer(t *testing.T, addr string, secure bool) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if secure {
		return tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	return c
}

func say(t *testing.T, c io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// readTo reads up to the first occurrence of a text, roughly.
func readTo(t *testing.T, r io.Reader, text string) {
	t.Helper()
	buf := make([]byte, 4096)
	for got := []byte(nil); !bytes.Contains(got, []byte(text)); {
		n, err := r.Read(buf)
		if got = append(got, buf[:n]...); err != nil {
			t.Fatalf("%v behind %.300q", err, got)
		}
	}
}

func enterWebSocket(t *testing.T, addr string, secure bool) net.Conn {
	c := dialServer(t, addr, secure)
	say(t, c, request("GET", "/im/ws", asAnn+handshake, ""))
	readTo(t, c, wire.OpWelcome)
	say(t, c, string(ws.AppendMaskedFrame(nil, ws.OpText, true, false, [4]byte{}, []byte(`{"op":"join","id":1,"room":"42"}`))))
	readTo(t, c, wire.OpJoined)
	return c
}

func enterStream(t *testing.T, addr string, secure bool) net.Conn {
	c := dialServer(t, addr, secure)
	say(t, c, request("GET", "/im/sse?room=42", asAnn, ""))
	readTo(t, c, wire.OpJoined)
	return c
}

// enterPoll leaves a request that waits for so long.
func enterPoll(wait time.Duration) func(*testing.T, string, bool) net.Conn {
	return func(t *testing.T, addr string, secure bool) net.Conn {
		c := dialServer(t, addr, secure)
		r := bufio.NewReader(c)
		query := "room=42&since="
		for range 2 { // the second takes the count
			say(t, c, request("GET", "/im/poll?wait=1500&"+query, asAnn, ""))
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			var list []wire.Message
			err = json.NewDecoder(resp.Body).Decode(&list)
			_ = resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if list[0].Op == wire.OpWelcome {
				query = fmt.Sprintf("sid=%s&room=42&since=%s", list[0].SID, im.Position{Epoch: list[1].Epoch, Seq: list[1].Seq})
			}
		}
		say(t, c, request("GET", fmt.Sprintf("/im/poll?wait=%d&%s", wait.Milliseconds(), query), asAnn, ""))
		pass(100 * time.Millisecond) // for it to be waiting
		return c
	}
}

func enterHTTP2(t *testing.T, addr string, _ bool) net.Conn {
	var conn net.Conn
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			conn = c
			return c, err
		},
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+addr+"/im/sse?room=42", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer ann")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close(); transport.CloseIdleConnections() })
	if resp.ProtoMajor != 2 {
		t.Fatalf("the stream came over %s", resp.Proto)
	}
	readTo(t, resp.Body, wire.OpJoined)
	return conn
}
