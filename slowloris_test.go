package im_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liveim/im/client"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/wire"
)

// slowloris is a client that takes its time to hold a connection.
type slowloris struct {
	name   string
	at     string        // written at once
	drip   string        // written a byte at a time, and again from its start
	within time.Duration // that it must be closed; 0: it has said who it is, and may stay
	deaf   bool          // never reads
}

// strangers are connections that have not said who they are.
const strangers = 10 * time.Second

const headOf = "GET %s HTTP/1.1\r\nHost: im.example\r\n"

var slowlorises = []slowloris{
	{name: "says nothing", within: strangers},
	{name: "handshake dripped", drip: fmt.Sprintf(headOf, "/im/ws") + handshake + "X-Pad: " + strings.Repeat("x", 1000), within: strangers},
	{name: "header of a handshake dripped", at: fmt.Sprintf(headOf, "/im/ws") + handshake, drip: "X-Pad: x\r\n", within: strangers},
	{name: "WebSocket without hello", at: fmt.Sprintf(headOf, "/im/ws") + handshake + "\r\n", within: strangers},
	{name: "WebSocket without hello that never reads", at: fmt.Sprintf(headOf, "/im/ws") + handshake + "\r\n", within: strangers, deaf: true},
	{name: "WebSocket without hello, frame dripped", at: fmt.Sprintf(headOf, "/im/ws") + handshake + "\r\n\x81\xfe\x10\x00\x00\x00\x00\x00", drip: "x", within: strangers},
	{name: "WebSocket without hello, pings", at: fmt.Sprintf(headOf, "/im/ws") + handshake + "\r\n", drip: "\x89\x80\x00\x00\x00\x00", within: strangers},
	{name: "POST header dripped", at: "POST /im/send HTTP/1.1\r\nHost: im.example\r\n", drip: "X-Pad: x\r\n", within: strangers},
	{name: "POST body of nobody dripped", at: declared("", 60_000), drip: "x", within: strangers},
	{name: "POST body of nobody dripped in chunks", at: "POST /im/send HTTP/1.1\r\nHost: im.example\r\nTransfer-Encoding: chunked\r\n\r\n", drip: "1\r\nx\r\n", within: strangers},
	{name: "POST body dripped", at: declared(asAnn, 60_000), drip: "x", within: 11 * time.Second},
	{name: "POST body to nowhere dripped", at: strings.Replace(declared("", 60_000), "/send", "/sent", 1), drip: "x", within: strangers},
	{name: "POST body of a foreign page dripped", at: declared("Origin: https://evil.example\r\n", 60_000), drip: "x", within: strangers},
	{name: "stream request dripped", at: fmt.Sprintf(headOf, "/im/sse?room=42"), drip: "X-Pad: x\r\n", within: strangers},
	{name: "stream request with a body dripped", at: fmt.Sprintf(headOf, "/im/sse?room=42") + "Content-Length: 60000\r\n\r\n", drip: "x", within: strangers},
	{name: "poll request dripped", at: fmt.Sprintf(headOf, "/im/poll?room=42"), drip: "X-Pad: x\r\n", within: strangers},
	{name: "poll request with a body dripped", at: fmt.Sprintf(headOf, "/im/poll?room=42") + asAnn + "Content-Length: 60000\r\n\r\n", drip: "x", within: strangers},
	{name: "WebSocket that never reads", at: fmt.Sprintf(headOf, "/im/ws") + asAnn + handshake + "\r\n", deaf: true},
	{name: "stream that never reads", at: fmt.Sprintf(headOf, "/im/sse?room=42") + asAnn + "\r\n", deaf: true},
	{name: "poll that never reads", at: fmt.Sprintf(headOf, "/im/poll?room=42") + asAnn + "\r\n", deaf: true},
}

// hold attacks, and returns after how long the server has ended the connection, or
// 0 if it had not when ctx ended.
func (s *slowloris) hold(ctx context.Context, addr string, every time.Duration) (closed time.Duration, err error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if _, err := io.WriteString(c, s.at); err != nil {
		return 0, err
	}
	ended := make(chan time.Duration, 1)
	if !s.deaf || s.within > 0 { // to see the end somebody has to look
		go func() {
			_, _ = io.Copy(io.Discard, c)
			ended <- time.Since(start)
		}()
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case d := <-ended:
			if ctx.Err() != nil {
				return 0, nil
			}
			return d, nil
		case <-ctx.Done():
			return 0, nil
		case <-tick.C:
			if s.drip != "" {
				_, _ = c.Write([]byte{s.drip[i%len(s.drip)]}) // what it fails with is what the reader finds
			}
		}
	}
}

// A7: slowloris on everything that can be asked for. The server has what the
// smallest example has, ReadHeaderTimeout, and nothing else.
func TestA7Slowloris(t *testing.T) {
	attackers, guests, every := 200, 300, 200*time.Millisecond
	if soak() {
		attackers, guests = 1000, 3000
	}
	files, goroutines := openFiles(), runtime.NumGoroutine()
	hub, url := serve(t, imtest.BearerUser, nil, nil, func(s *http.Server) { s.ReadHeaderTimeout = 5 * time.Second })
	base := "http" + strings.TrimSuffix(strings.TrimPrefix(url, "ws"), "/ws")
	addr := strings.TrimSuffix(strings.TrimPrefix(base, "http://"), "/im")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	held := make([]time.Duration, attackers)
	var attack sync.WaitGroup
	for i := range attackers {
		s := &slowlorises[i%len(slowlorises)]
		attack.Go(func() {
			d, err := s.hold(ctx, addr, every)
			if err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
			held[i] = d
		})
	}
	start := time.Now()
	came := newGuests(t, url, base, guests)
	// Those that must have been closed, have been.
	pass(time.Until(start.Add(12 * time.Second)))
	stop()
	attack.Wait()
	noise := 300*time.Millisecond + came.slowest // by so much this machine is late
	latest := map[string]time.Duration{}
	for i, d := range held {
		s := &slowlorises[i%len(slowlorises)]
		if s.within > 0 && (d == 0 || d > s.within+noise) {
			t.Errorf("%s: closed after %v, want at most %v (0: not at all)", s.name, d, s.within)
		}
		if d > 0 {
			latest[s.name] = max(latest[s.name], d)
		}
	}
	t.Logf("%d attackers; of %d others %d connected, the slowest in %v; closed at the latest:", attackers, guests, came.n, came.slowest.Round(time.Millisecond))
	for _, s := range slowlorises {
		t.Logf("\t%-42s %v", s.name, latest[s.name].Round(10*time.Millisecond))
	}
	if missing := guests - came.n; missing*1000 > guests {
		t.Errorf("%d of %d others could not connect: %v", missing, guests, came.err)
	}
	eventually(t, 12*time.Second, func() string { // a poll is looked for up to 10 s
		if n := hub.Stats().Sessions; n > 0 {
			return fmt.Sprintf("%d sessions are left", n)
		}
		return ""
	})
	_ = hub.Close()
	returned(t, files+2, goroutines+4) // the listener, its poller; the test server
}

// guests is what became of clients that connect while others attack.
type guests struct {
	n       int
	slowest time.Duration
	err     error // of one that could not
}

// newGuests has n clients connect, in turn over the three transports, a few at a
// time and spread over some seconds.
func newGuests(t *testing.T, url, base string, n int) *guests {
	t.Helper()
	const lanes, length = 6, 3 * time.Second
	var mu sync.Mutex
	g := &guests{}
	var all sync.WaitGroup
	var next atomic.Int64
	for range lanes {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				start := time.Now()
				err := visit(t.Context(), url, base, i)
				took := time.Since(start)
				mu.Lock()
				if err == nil {
					g.n++
				} else {
					g.err = err
				}
				g.slowest = max(g.slowest, took)
				mu.Unlock()
				pass(length*lanes/time.Duration(n) - took)
			}
		})
	}
	all.Wait()
	return g
}

// visit connects, enters a room and leaves again.
func visit(ctx context.Context, url, base string, i int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	header := http.Header{"Authorization": {fmt.Sprint("Bearer guest-", i)}}
	if i%3 == 0 {
		c, err := client.Dial(ctx, url, &client.Options{Header: header})
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Join(ctx, "42", &client.JoinOptions{NoUpdates: true})
		return err
	}
	path := []string{"", "/sse?room=42", "/poll?room=42"}[i%3]
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		return err
	}
	req.Header = header
	transport := &http.Transport{DisableKeepAlives: true} // each comes over a connection of its own
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	buf := make([]byte, 4096)
	for got := []byte(nil); !bytes.Contains(got, []byte(wire.OpJoined)); {
		k, err := resp.Body.Read(buf)
		got = append(got, buf[:k]...)
		if err != nil && !bytes.Contains(got, []byte(wire.OpJoined)) {
			return fmt.Errorf("%s: status %d, %.100q: %w", path, resp.StatusCode, got, err)
		}
	}
	return nil
}

// openFiles counts the descriptors of this process; 0 where that is not known.
func openFiles() int {
	list, _ := os.ReadDir("/proc/self/fd")
	return len(list)
}

// returned waits for descriptors and goroutines to be at most so many.
func returned(t *testing.T, files, goroutines int) {
	t.Helper()
	eventually(t, 5*time.Second, func() string {
		if f, g := openFiles(), runtime.NumGoroutine(); f > files || g > goroutines {
			return fmt.Sprintf("%d descriptors and %d goroutines are left, want at most %d and %d", f, g, files, goroutines)
		}
		return ""
	})
}

// eventually waits until nothing is missing any more.
func eventually(t *testing.T, d time.Duration, missing func() string) {
	t.Helper()
	deadline := time.Now().Add(d)
	for {
		what := missing()
		if what == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Error(what)
			return
		}
		pass(20 * time.Millisecond)
	}
}
