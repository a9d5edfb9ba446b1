package fanout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport"
)

// lines is a format: a letter that names it, the message, a line break.
type lines byte

const (
	private lines = 'p'
	shared  lines = 's'
)

func (f lines) Append(dst, message []byte) []byte {
	return append(append(append(dst, byte(f)), message...), '\n')
}

// conn is a transport.Conn whose peer reads as many bytes as the test says. It
// notes every break of the contract of package transport.
type conn struct {
	during func() // runs within TrySend
	err    error  // of the next TrySend

	busy atomic.Bool // in TrySend or Finish

	mu       sync.Mutex // guards the fields below
	window   int        // bytes that fit now
	sent     []byte
	sends    int
	short    bool // Writable is owed
	finished int
	aborted  int
	broken   []string // of the contract
	lent     []loan
}

// loan is a buffer that TrySend was given and may read for ever.
type loan struct{ buf, was []byte }

var errDead = errors.New("the connection is dead")

const unlimited = 1 << 26

func (c *conn) Private() transport.Format       { return private }
func (c *conn) Shared() transport.Format        { return shared }
func (c *conn) Start(transport.Session)         {}
func (c *conn) Heartbeat() ([]byte, bool)       { return nil, false }
func (c *conn) Overdue(time.Time) bool          { return false }
func (c *conn) Farewell(n int, s string) []byte { return fmt.Appendf(nil, "!%d %s\n", n, s) }

func (c *conn) TrySend(bufs [][]byte) (int, error) {
	defer c.enter("TrySend")()
	if c.during != nil {
		c.during()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sends++
	if c.short {
		c.broken = append(c.broken, "TrySend before Writable")
	}
	if c.finished+c.aborted > 0 {
		c.broken = append(c.broken, "TrySend after the end")
	}
	if c.err != nil {
		return 0, c.err
	}
	n := 0
	for _, b := range bufs {
		if len(b) == 0 {
			c.broken = append(c.broken, "TrySend of an empty buffer")
		}
		c.lent = append(c.lent, loan{b, bytes.Clone(b)})
		take := min(len(b), c.window)
		c.sent = append(c.sent, b[:take]...)
		c.window -= take
		n += take
		if take < len(b) {
			c.short = true
			break
		}
	}
	return n, nil
}

func (c *conn) Finish() {
	defer c.enter("Finish")()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finished++
}

func (c *conn) Abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aborted++
}

// enter notes two calls at a time of what one goroutine may call.
func (c *conn) enter(what string) (leave func()) {
	if !c.busy.CompareAndSwap(false, true) {
		c.mu.Lock()
		c.broken = append(c.broken, what+" by two goroutines at a time")
		c.mu.Unlock()
		return func() {}
	}
	return func() { c.busy.Store(false) }
}

// widen makes room for n bytes more and reports whether Writable must be called.
func (c *conn) widen(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.window += n
	owed := c.short && c.window > 0
	c.short = c.short && !owed
	return owed
}

// stall has the connection take nothing more for now.
func (c *conn) stall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.window = 0
}

// read lets the peer read n bytes.
func (c *conn) read(o *Outlet, n int) {
	if c.widen(n) {
		o.Writable()
	}
}

// got returns what was sent so far.
func (c *conn) got() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.sent)
}

// check fails the test if the outlet has broken the contract.
func (c *conn) check(t testing.TB) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.broken {
		t.Errorf("the contract of transport.Conn was broken: %s", b)
	}
	for _, l := range c.lent {
		if !bytes.Equal(l.buf, l.was) {
			t.Errorf("a buffer was changed after it was sent: %q is now %q", l.was, l.buf)
		}
	}
	if c.finished > 1 {
		t.Errorf("Finish was called %d times", c.finished)
	}
}

// room is a Source on a feed.
type room struct {
	mu   sync.Mutex // guards feed
	feed Feed
	news atomic.Pointer[Shared]
}

var roomy = &FeedLimits{Batches: 1 << 10, Bytes: 1 << 20, BatchBytes: 1 << 16}

func newRoom(name string, seq uint64, l *FeedLimits) *room { return &room{feed: NewFeed(name, seq, l)} }

func (r *room) Since(next uint64, dst []*Batch) ([]*Batch, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.feed.Since(next, dst)
}

func (r *room) Name() string { return r.feed.room }

func (r *room) Latest() *Shared { return r.news.Load() }

func (r *room) online(n int) {
	r.news.Store(NewShared(wire.AppendOnline(nil, r.feed.room, n, nil, nil)))
}

// push seals one batch: a letter an event, c, n or v for its lane.
func (r *room) push(now time.Time, lanes string) { r.pushTo(now, lanes, 0) }

func (r *room) pushTo(now time.Time, lanes string, seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.feed.Push(makeItems(r.feed.Seq(), lanes), seq, now)
}

// cursor returns a cursor at the head of the room.
func (r *room) cursor(o *Outlet, t Tier) *Cursor {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := NewCursor(nil, "e", r, o, t, r.feed.Next(), r.feed.Seq())
	return c
}

func makeItems(after uint64, lanes string) []Item {
	items := make([]Item, len(lanes))
	for i := range items {
		seq := after + 1 + uint64(i)
		e := wire.Event{Seq: seq, ID: fmt.Sprint("e", seq), Kind: lanes[i : i+1], At: 1}
		items[i] = Item{Seq: seq, Lane: Lane(bytes.IndexByte([]byte("cnv"), lanes[i])), JSON: wire.AppendEvent(nil, &e)}
		if c := lanes[i]; c >= 'A' && c <= 'Z' { // a new value of this key
			items[i].Lane, items[i].Key = Critical, lanes[i:i+1]
		}
	}
	return items
}

// rig is an outlet with all that belongs to it.
type rig struct {
	*Outlet
	conn  *conn
	stats Counters
	gone  []*Cursor // were reported as lost
}

var testLimits = &Common{Limits: Limits{Queue: 1 << 10, Send: 1 << 16, VolatileAge: time.Second}}

// newRig returns an outlet whose peer reads window bytes to begin with.
func newRig(t testing.TB, window int, l *Common) *rig {
	r := &rig{conn: &conn{window: window}}
	own := *l
	own.Counters, own.Lost = &r.stats, func(c *Cursor) { r.gone = append(r.gone, c) }
	r.Outlet = NewOutlet(r.conn, &own)
	t.Cleanup(func() { r.conn.check(t) })
	return r
}

// enter lets a session into the room with a message "joined".
func (r *rig) enter(room *room, t Tier) *Cursor {
	c := room.cursor(r.Outlet, t)
	r.Enter([]byte(`{"op":"joined"}`), c, nil)
	return c
}

func (r *rig) read(n int) { r.conn.read(r.Outlet, n) }

// expect compares what the peer got with messages in the short form of brief.
func (r *rig) expect(t testing.TB, want ...string) {
	t.Helper()
	if got := brief(t, r.conn.got()); !slices.Equal(got, want) {
		t.Errorf("the peer got\n\t%q\nwant\n\t%q", got, want)
	}
}

// failer is what helpers need of a test, be it a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// decode splits a stream into messages. The stream must end with a whole one.
func decode(t failer, stream string) []wire.Message {
	t.Helper()
	var all []wire.Message
	for _, line := range bytes.SplitAfter([]byte(stream), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var m wire.Message
		if line[0] == '!' || line[0] == '?' {
			all = append(all, wire.Message{Op: string(bytes.TrimSpace(line))})
			continue
		}
		if line[len(line)-1] != '\n' || line[0] != byte(private) && line[0] != byte(shared) {
			t.Fatalf("the stream does not parse at %q", line)
		}
		if err := json.Unmarshal(line[1:], &m); err != nil {
			t.Fatalf("the stream does not parse at %q: %v", line, err)
		}
		all = append(all, m)
	}
	return all
}

// brief decodes a stream into words: "0>2 c1 n2" is a batch, "gap 3 2>9" says
// that 3 events were missed from 2 to 9, "online 5" is a count; others are their "op".
func brief(t failer, stream string) []string {
	t.Helper()
	var words []string
	for _, m := range decode(t, stream) {
		w := m.Op
		switch m.Op {
		case wire.OpEvents:
			w = fmt.Sprintf("%d>%d", m.Prev, m.To)
			for _, e := range m.Events {
				w += fmt.Sprint(" ", e.Kind, e.Seq)
			}
		case wire.OpGap:
			w = fmt.Sprintf("gap %d %d>%d", m.Missed, m.Prev, m.To)
		case wire.OpTier:
			w += " " + m.Tier + m.By
			if m.To != m.Prev {
				w += fmt.Sprintf(" %d>%d", m.Prev, m.To)
			}
		case wire.OpOnline:
			w = fmt.Sprint("online ", m.Count)
		}
		words = append(words, w)
	}
	return words
}

// Queue is Send without sending: the message leaves with whatever does next.
func (o *Outlet) Queue(message []byte) bool {
	n := note{wire: o.encode(message)}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pushLocked(n)
}
