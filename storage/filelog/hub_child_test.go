package filelog_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/storage/filelog"
)

// What a child of the test binary is told by its environment.
const (
	hubDir  = "FILELOG_TEST_HUB"       // the directory of the log
	hubAddr = "FILELOG_TEST_HUB_ADDR"  // where to listen
	hubWhen = "FILELOG_TEST_HUB_POINT" // the point at which it is to die
)

// The points of F4.
const (
	beforeStore = "before store"
	afterStore  = "after store"
	afterAck    = "after ack" // the parent kills: it knows what has arrived
	inFanOut    = "in the middle of fan-out"
)

// unlimited has no client refused for its speed.
var unlimited = im.Limits{
	User:     map[im.Kind]im.Limit{im.Chat: im.Unlimited, im.Danmaku: im.Unlimited},
	Room:     map[im.Kind]im.Limit{im.Chat: im.Unlimited, im.Danmaku: im.Unlimited},
	Requests: im.Unlimited, Connection: im.Unlimited,
}

// killResume is how many events a viewer may have missed and still resume: so few that those who come back late begin
// anew.
const killResume = 100

// shownWithin is how long viewers may take to be shown a danmaku before the process ends. The log writes it a few
// milliseconds after that.
const shownWithin = 4 * time.Millisecond

func soak() bool { return os.Getenv("IM_SOAK") == "1" }

// calm is a machine that is never pressed: what a hub leaves out then is not the matter here.
func calm() float64 { return 0 }

// TestChildHub is the child: a hub on a file log that serves until it is killed. In a run of its own it does nothing.
func TestChildHub(t *testing.T) {
	dir := os.Getenv(hubDir)
	if dir == "" {
		return
	}
	log, err := filelog.Open(dir, &filelog.Options{SegmentBytes: 256 << 10, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	killer := &killer{point: os.Getenv(hubWhen)}
	soon, cancel := context.WithTimeout(context.Background(), firstFlight)
	defer cancel()
	hub, err := im.New(imtest.BearerUser, &im.Options{
		Log: &mortalLog{Log: log, killer: killer, flown: make(chan struct{}), late: soon.Done()}, Limits: unlimited, Pressure: calm, Bounds: im.Bounds{ResumeEvents: killResume},
		FlushGap: time.Millisecond, // so that a danmaku is shown before it is written
		Logger:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		t.Fatal(err)
	}
	hub.Handle("gift.send", func(ctx context.Context, r *im.Request) (any, error) {
		e, err := hub.Room(r.Room).Send(ctx, im.Gift, r.Body)
		if err != nil {
			return nil, err
		}
		return e.Pos.String(), nil
	})
	ln := listenAgain(t, os.Getenv(hubAddr))
	if killer.point == inFanOut {
		ln = mortalListener{ln, killer}
	}
	go func() { _ = (&http.Server{Handler: hub, ReadHeaderTimeout: 10 * time.Second}).Serve(ln) }()
	for commands := bufio.NewScanner(os.Stdin); commands.Scan(); {
		killer.arm(commands.Text())
	}
	os.Exit(1) // the parent is gone
}

// listenAgain takes the address over from a child that died a moment ago. Its port may be in use for as long as a
// connection of somebody else happens to have it.
func listenAgain(t *testing.T, addr string) net.Listener {
	for deadline := time.Now().Add(5 * time.Second); ; runtime.Gosched() {
		ln, err := net.Listen("tcp", addr)
		if err == nil {
			return ln
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// killer ends the process at a point, once it is armed.
type killer struct {
	point string
	holds atomic.Bool // what is not volatile waits for the end

	mu      sync.Mutex // protects the fields below
	armed   bool
	appends int      // of clients' events, that pass first
	viewers int      // that get the event; the process ends before the next one does
	target  []byte   // the body of that event
	shown   []string // who has got it
}

func (k *killer) arm(command string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, err := fmt.Sscan(command, &k.appends, &k.viewers)
	k.armed = err == nil
}

// due reports whether the append of these events is the one.
func (k *killer) due(events []*im.Event) bool {
	if len(events) == 0 || events[0].Kind != im.Chat && events[0].Kind != im.Gift {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.armed {
		return false
	}
	if k.appends--; k.appends >= 0 {
		return false
	}
	k.armed = false
	k.target = events[0].Body
	return true
}

// write writes for a connection. The event in question is written under the lock, so that nobody has it at the end of
// whom this has not told: each viewer counts once, however often it is written to.
func (k *killer) write(c *mortalConn, b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.target == nil || !bytes.Contains(b, k.target) || !strings.HasPrefix(c.user, "viewer-") || slices.Contains(k.shown, c.user) {
		return c.Conn.Write(b)
	}
	if len(k.shown) == k.viewers {
		fmt.Println("shown", string(k.target), strings.Join(k.shown, " "))
		die()
	}
	k.shown = append(k.shown, c.user)
	return c.Conn.Write(b)
}

// die is kill -9 of oneself. It does not return.
func die() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Kill()
	}
	select {}
}

// mortalLog is a file log, all its abilities included, during whose Append the process may die.
type mortalLog struct {
	*filelog.Log
	killer *killer
	flown  chan struct{}   // closed when a danmaku was stored
	late   <-chan struct{} // closed when it is no longer waited for
	once   sync.Once
}

// firstFlight is how long chat and gifts wait for a danmaku to be the first event of this life. That takes
// the place of one that was lost with the last life, if any does.
const firstFlight = 500 * time.Millisecond

func (l *mortalLog) Append(ctx context.Context, room string, events []*im.Event) ([]im.Appended, error) {
	due := l.killer.due(events)
	if due && l.killer.point == beforeStore {
		l.killer.holds.Store(true)
	}
	if l.killer.holds.Load() {
		return l.appendLast(ctx, room, events)
	}
	if len(events) > 0 && lasting(events[0]) {
		select {
		case <-l.flown:
		case <-l.late:
		}
	}
	out, err := l.Log.Append(ctx, room, events)
	if len(events) > 0 && events[0].Kind == im.Danmaku {
		l.once.Do(func() { close(l.flown) })
	}
	if due && l.killer.point == afterStore {
		die()
	}
	return out, err
}

// appendLast ends the process once a danmaku has gone out that is not on disk yet: its position was seen. Nothing else is
// stored any more.
func (l *mortalLog) appendLast(ctx context.Context, room string, events []*im.Event) ([]im.Appended, error) {
	if len(events) == 0 || events[0].Class != im.Volatile {
		select {}
	}
	out, err := l.Log.Append(ctx, room, events)
	time.AfterFunc(shownWithin, die)
	return out, err
}

// mortalListener makes connections during whose writes the process may die.
type mortalListener struct {
	net.Listener
	killer *killer
}

func (l mortalListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &mortalConn{Conn: c, killer: l.killer}, nil
}

type mortalConn struct {
	net.Conn
	killer *killer
	user   string // known from the welcome on, which is the first that is written
}

func (c *mortalConn) Write(b []byte) (int, error) {
	if c.user == "" {
		if _, rest, ok := bytes.Cut(b, []byte(`"user":{"id":"`)); ok {
			user, _, _ := bytes.Cut(rest, []byte(`"`))
			c.user = string(user)
		}
	}
	return c.killer.write(c, b)
}
