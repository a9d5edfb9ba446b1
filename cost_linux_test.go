package im_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
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

// costs are the ways to watch whose cost is measured.
var costs = []struct {
	name   string
	secure bool // TLS, with HTTP/2 where that is spoken
	watch  func(l *load, i int) error
}{
	{"websocket", false, (*load).webSocket},
	{"websocket-deflate", false, (*load).webSocketDeflate},
	{"sse-http1", false, (*load).streamHTTP1},
	{"sse-http1-tls", true, (*load).streamHTTP1},
	{"sse-http2", true, (*load).streamHTTP2},
	{"poll-http1", false, (*load).pollHTTP1},
	{"poll-http2", true, (*load).pollHTTP2},
}

// BenchmarkDelivery measures what the server pays for a viewer of a room with 500:
// processor time for each message that is delivered to one, all of the process of the
// server, which the viewers are no part of; and memory while nothing happens. The
// viewers are a process of their own. One operation is one message, and takes as
// long as its rate says.
//
//	make bench BENCH=Delivery BENCHTIME=10s COUNT=1
func BenchmarkDelivery(b *testing.B) {
	for _, c := range costs {
		for _, rate := range []int{20, 200} {
			b.Run(fmt.Sprintf("%s/rate=%d", c.name, rate), func(b *testing.B) {
				benchmarkDelivery(b, c.name, c.secure, rate)
			})
		}
	}
}

const costViewers = 500

func benchmarkDelivery(b *testing.B, name string, secure bool, rate int) {
	hub, err := im.New(imtest.BearerUser, &im.Options{Limits: unlimited})
	if err != nil {
		b.Fatal(err)
	}
	var requests atomic.Int64
	mounted := http.StripPrefix("/im", hub)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		mounted.ServeHTTP(w, r)
	}))
	srv.EnableHTTP2 = true
	start := srv.Start
	if secure {
		start = srv.StartTLS
	}
	start()
	defer srv.Close()
	defer func() { _ = hub.Close() }()
	room := hub.Room("42")
	if _, err := room.Send(b.Context(), im.Notice, "warm up"); err != nil {
		b.Fatal(err)
	}

	var idle, loaded runtime.MemStats
	measureMemory(&idle)
	goroutines := runtime.NumGoroutine()
	viewers := startLoad(b, name, srv.URL+"/im")
	pass(1500 * time.Millisecond) // until the count of those online has been told
	goroutines = runtime.NumGoroutine() - goroutines
	measureMemory(&loaded)

	body := struct {
		Text string
		Mark string
	}{strings.Repeat("danmaku ", 10), costMark}
	polls, sends := requests.Load(), hub.Stats().Sends
	before, sent, began := processorTime(), 0, time.Now()
	for b.Loop() {
		pass(time.Until(began.Add(time.Duration(sent) * time.Second / time.Duration(rate))))
		if _, err := room.Send(b.Context(), im.Danmaku, body); err != nil {
			b.Fatal(err)
		}
		sent++
	}
	pass(200 * time.Millisecond) // the last of them arrives
	used := processorTime() - before
	polls, sends = requests.Load()-polls, hub.Stats().Sends-sends
	got := viewers.end(b)
	if got < sent*costViewers*9/10 {
		b.Errorf("only %d of %d deliveries were made: the machine is too slow for the rate", got, sent*costViewers)
	}
	b.ReportMetric(0, "ns/op") // that is the rate
	b.ReportMetric(float64(used.Nanoseconds())/1000/float64(max(1, got)), "cpu-µs/delivery")
	// How many messages share a send, or an answer to a poll, depends on the machine.
	b.ReportMetric(float64(used.Nanoseconds())/1000/float64(max(1, sends)), "cpu-µs/send")
	if polls > 0 {
		b.ReportMetric(float64(used.Nanoseconds())/1000/float64(polls), "cpu-µs/answer")
	}
	b.ReportMetric(float64(int64(loaded.HeapAlloc)-int64(idle.HeapAlloc))/costViewers, "heap-B/viewer")
	b.ReportMetric(float64(int64(loaded.StackInuse)-int64(idle.StackInuse))/costViewers, "stack-B/viewer")
	b.ReportMetric(float64(goroutines)/costViewers, "goroutines/viewer")
}

func measureMemory(m *runtime.MemStats) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(m)
}

// processorTime is what this process has used, in user and in kernel mode.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// loadProcess is the process of the viewers, seen from the server.
type loadProcess struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines *bufio.Scanner
}

// The process of the viewers is this test binary again, told what to do by this
// variable: name of the transport and address of the hub.
const loadVariable = "IM_TEST_LOAD"

const costMark = "counts as one" // in the body of each message

// startLoad returns when all viewers are in the room.
func startLoad(b *testing.B, name, base string) *loadProcess {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLoadOfBenchmarkDelivery$", "-test.timeout=30m")
	cmd.Env = append(os.Environ(), loadVariable+"="+name+" "+base)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	p := &loadProcess{cmd, stdin, bufio.NewScanner(stdout)}
	b.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	p.expect(b, "ready")
	return p
}

func (p *loadProcess) expect(b *testing.B, word string) (rest string) {
	b.Helper()
	for p.lines.Scan() {
		if rest, ok := strings.CutPrefix(p.lines.Text(), word); ok {
			return rest
		}
		b.Log(p.lines.Text())
	}
	b.Fatalf("the process of the viewers ended without %q", word)
	return ""
}

// end ends the viewers and returns how many messages they have got.
func (p *loadProcess) end(b *testing.B) int {
	b.Helper()
	_ = p.stdin.Close()
	n, err := strconv.Atoi(strings.TrimSpace(p.expect(b, "got")))
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// load is the process of the viewers from the inside.
type load struct {
	t    *testing.T
	base string
	in   sync.WaitGroup
	got  atomic.Int64
	over atomic.Bool
}

// TestLoadOfBenchmarkDelivery is the process of the viewers. It does nothing
// otherwise. It ends at once when it has counted, without goodbyes.
func TestLoadOfBenchmarkDelivery(t *testing.T) {
	name, base, ok := strings.Cut(os.Getenv(loadVariable), " ")
	if !ok {
		return
	}
	l := &load{t: t, base: base}
	for _, c := range costs {
		if c.name != name {
			continue
		}
		lanes := make(chan struct{}, 20)
		for i := range costViewers {
			l.in.Add(1)
			lanes <- struct{}{}
			go func() {
				<-lanes
				if err := c.watch(l, i); err != nil && !l.over.Load() {
					fmt.Println(err)
					os.Exit(1)
				}
			}()
		}
	}
	l.in.Wait()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	l.over.Store(true)
	fmt.Println("got", l.got.Load())
	os.Exit(0)
}

func (l *load) count(message []byte) { l.got.Add(int64(bytes.Count(message, []byte(costMark)))) }

func (l *load) webSocket(i int) error        { return l.socket(i, false) }
func (l *load) webSocketDeflate(i int) error { return l.socket(i, true) }

func (l *load) socket(i int, deflate bool) error {
	header := http.Header{"Authorization": {fmt.Sprint("Bearer viewer-", i)}}
	conn, err := ws.Dial(l.t.Context(), "ws"+strings.TrimPrefix(l.base, "http")+"/ws", &ws.DialOptions{Header: header, Protocols: []string{wire.Subprotocol}, Deflate: deflate})
	if err != nil {
		return err
	}
	s := &socket{t: l.t, conn: conn, patience: time.Hour, parser: ws.NewParser(ws.ClientRole, &ws.Limits{MaxMessage: 16 << 20}, conn.Handshake.Deflate)}
	if err := s.parser.Feed(time.Now(), conn.Leftover, s); err != nil {
		return err
	}
	s.send(`{"op":"join","id":1,"room":"42"}`)
	s.expect(wire.OpJoined)
	l.in.Done()
	for message := s.read(); message != ""; message = s.read() {
		l.count([]byte(message))
	}
	return io.ErrUnexpectedEOF
}

func (l *load) get(c *http.Client, i int, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, l.base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", fmt.Sprint("Bearer viewer-", i))
	return c.Do(req)
}

// browser is a client with connections of its own.
func browser(http2 bool) *http.Client {
	return &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: http2, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

func (l *load) streamHTTP1(i int) error { return l.stream(browser(false), i) }
func (l *load) streamHTTP2(i int) error { return l.stream(browser(true), i) }

func (l *load) stream(c *http.Client, i int) error {
	resp, err := l.get(c, i, "/sse?room=42")
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if c.Transport.(*http.Transport).ForceAttemptHTTP2 != (resp.ProtoMajor == 2) {
		return fmt.Errorf("a stream came over %s", resp.Proto)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	joined := false
	for lines.Scan() {
		if !joined && bytes.Contains(lines.Bytes(), []byte(wire.OpJoined)) {
			joined = true
			l.in.Done()
		}
		l.count(lines.Bytes())
	}
	return fmt.Errorf("a stream ended: %w", lines.Err())
}

func (l *load) pollHTTP1(i int) error { return l.poll(browser(false), i) }
func (l *load) pollHTTP2(i int) error { return l.poll(browser(true), i) }

func (l *load) poll(c *http.Client, i int) error {
	r := &returner{t: l.t, base: l.base, room: "42", client: *c, entered: l.in.Done, header: http.Header{"Authorization": {fmt.Sprint("Bearer viewer-", i)}}}
	r.each = func(m *wire.Message) {
		for i := range m.Events {
			l.count(m.Events[i].Body)
		}
	}
	_, bye := r.visit(l.t.Context(), "/poll")
	return fmt.Errorf("a poll ended: %v", bye)
}
