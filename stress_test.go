package im_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/ws"
	"github.com/liveim/im/transport/pipe"
)

// F20: everything at once, under the race detector. It takes seconds here and ten
// minutes in make soak, of which a quarter each goes to pipes and to the three paths.
func TestF20EverythingAtOnce(t *testing.T) {
	stress(t, 6, im.IOAuto, func(t *testing.T, hub *im.Hub) stressVisit {
		return func(ctx context.Context, i int) bool { return visitByPipe(ctx, hub, i) }
	})
}

// F20 over sockets, on each way to read and write.
func TestF20OverSockets(t *testing.T) {
	eachPath(t, func(t *testing.T, p ioPath, full bool) {
		rounds := 2
		if full {
			rounds = 4
		}
		batched := uint64(0)
		stress(t, rounds, p.io, func(t *testing.T, hub *im.Hub) stressVisit {
			srv := httptest.NewUnstartedServer(http.StripPrefix("/im", hub))
			srv.Config.ConnState = func(c net.Conn, s http.ConnState) {
				if tc, ok := c.(*net.TCPConn); ok && s == http.StateNew {
					_ = tc.SetWriteBuffer(4 << 10) // so that sends come up short
				}
			}
			srv.Start()
			t.Cleanup(func() {
				p.used(t, hub, false)
				batched += hub.Stats().BatchedSends
				srv.Close()
			})
			addr := srv.Listener.Addr().String()
			return func(ctx context.Context, i int) bool { return visitBySocket(ctx, addr, i) }
		})
		if p.io == im.IOUring && batched == 0 { // one round may do without: clients come and go
			t.Error("no send entered the kernel with others in any round")
		}
	})
}

// stressVisit comes to a hub as client i, does all sorts of things and goes. It
// reports false if the hub takes nobody any more.
type stressVisit func(ctx context.Context, i int) bool

// stress runs so many rounds, and in make soak as many as there is time for.
func stress(t *testing.T, rounds int, way im.IO, open func(*testing.T, *im.Hub) stressVisit) {
	start := time.Now()
	for round := 0; round < rounds || soak() && time.Since(start) < 150*time.Second; round++ {
		t.Run(fmt.Sprint("round ", round), func(t *testing.T) { stressRound(t, round, way, open) })
	}
}

// stressRound has a host and 20 clients do what they can, and ends the hub in the
// middle of it.
func stressRound(t *testing.T, round int, way im.IO, open func(*testing.T, *im.Hub) stressVisit) {
	l, err := im.NewMemoryLog(&im.MemoryLogOptions{KeepEvents: 50})
	if err != nil {
		t.Fatal(err)
	}
	limits := im.Limits{Accept: im.Unlimited, Connection: im.Unlimited}
	hub, err := im.New(imtest.BearerUser, &im.Options{IO: way, Log: l, Limits: limits, Pressure: calm, Bounds: im.Bounds{RingBatches: 2},
		Observe: func(im.Signal) {}, Admit: func(context.Context, *im.Session, string) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	visit := open(t, hub)
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			for ctx.Err() == nil && visit(ctx, i) {
			}
		})
	}
	all.Go(func() { hostAtLarge(ctx, hub, l) })
	pass(time.Second)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if round%2 == 0 {
			_ = hub.Close()
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		go func() { _ = hub.Close() }()
		_ = hub.Shutdown(ctx)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		buf := make([]byte, 1<<20)
		t.Fatalf("the hub hangs at its end\n%s", buf[:runtime.Stack(buf, true)])
	}
	cancel()
	all.Wait()
}

// hostAtLarge does what a host can do, as fast as it can.
func hostAtLarge(ctx context.Context, hub *im.Hub, l *im.MemoryLog) {
	for n := 0; ctx.Err() == nil; n++ {
		r := hub.Room(fmt.Sprint(n % 2))
		_, _ = r.Send(ctx, im.Notice, n)
		_, _ = r.Set(ctx, "k", n)
		_ = r.Kick(ctx, fmt.Sprint("u", n%7), "")
		for range r.Members() {
		}
		_, _ = r.State().All(ctx)
		if n%20 == 0 {
			l.Reset(r.ID())
		}
		if n%33 == 0 {
			_ = r.Close(ctx, "")
			_ = r.Open(ctx)
		}
		hub.Stats()
		_, _ = hub.User("u1").Send(ctx, im.Notice, 1)
	}
}

// stressRequests are what a client asks for, again and again.
func stressRequests(i int, send func(message string)) {
	for k := range 12 {
		room := fmt.Sprint((i + k) % 2)
		for _, m := range []string{
			`{"op":"join","id":1,"room":"%s"}`, `{"op":"send","id":2,"room":"%s","kind":"danmaku","body":1}`,
			`{"op":"send","id":2,"room":"%s","kind":"like","body":1}`, `{"op":"history","id":3,"room":"%s"}`, `{"op":"leave","id":4,"room":"%s"}`,
			`{"op":"join","id":1,"room":"%s","since":{"epoch":"x","seq":1}}`} {
			send(fmt.Sprintf(m, room))
		}
	}
}

func visitByPipe(ctx context.Context, hub *im.Hub, i int) bool {
	c, p := pipe.New(&pipe.Options{Buffer: 2000})
	if _, err := hub.Attach(c, user(fmt.Sprint("u", i%7))); err != nil {
		return false
	}
	defer func() { _ = p.Close() }()
	if i%3 != 0 {
		go func() {
			for {
				if _, err := p.Recv(context.Background()); err != nil {
					return
				}
			}
		}()
	}
	stressRequests(i, func(m string) { _ = p.Send(ctx, []byte(m)) })
	return true
}

// visitBySocket says all at once behind the request, and does not wait for the
// answer. Every third client reads nothing, every fifth is a stream; they stay for a
// moment and go by a close, a reset or a half close.
func visitBySocket(ctx context.Context, addr string, i int) bool {
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	c := nc.(*net.TCPConn)
	defer func() { _ = c.Close() }()
	_ = c.SetReadBuffer(4 << 10)
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	var reading sync.WaitGroup
	defer reading.Wait()
	if i%3 != 0 {
		reading.Go(func() { _, _ = io.Copy(io.Discard, c) })
	}
	header := fmt.Sprintf("Authorization: Bearer u%d\r\n", i%7)
	if i%5 == 4 {
		_, _ = io.WriteString(c, request("GET", fmt.Sprintf("/im/sse?room=%d", i%2), header, ""))
	} else {
		b := []byte(request("GET", "/im/ws", header+handshake, ""))
		stressRequests(i, func(m string) { b = ws.AppendMaskedFrame(b, ws.OpText, true, false, [4]byte{}, []byte(m)) })
		_, _ = c.Write(b)
	}
	select {
	case <-time.After(time.Duration(20+5*i) * time.Millisecond):
	case <-ctx.Done():
	}
	switch i % 4 {
	case 0:
		_ = c.SetLinger(0)
	case 1:
		_ = c.CloseWrite()
		return true // and closes when the hub does, if it reads
	}
	_ = c.Close()
	return true
}
