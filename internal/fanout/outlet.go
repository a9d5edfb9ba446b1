package fanout

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im/transport"
)

// Limits bounds what an outlet sends and keeps. All must be positive.
type Limits struct {
	// Queue is how many bytes of messages for one session may wait before
	// [Outlet.Offer] refuses and [Outlet.Ready] blocks.
	Queue int
	// Send is about how many bytes are handed to the connection at once.
	Send int
	// VolatileAge is the age at which volatile events are no longer worth sending.
	VolatileAge time.Duration
}

// Common is what the outlets of a hub have in common. It must not be changed after the
// first one was made.
type Common struct {
	Limits
	Counters *Counters
	// Lost is told once of each cursor that fell out of its feed. It is called with
	// the turn to send in hand, so it must only note the cursor and return; it may be nil
	// if no cursor enters.
	Lost func(*Cursor)
	// Panicked, if not nil, is told of a panic of a connection, which ends it.
	Panicked func(any)
}

// Outlet is the sending side of one session. All methods are safe for use by
// many goroutines. Sending is done by whoever has something new, one at a time;
// nobody waits for anybody.
type Outlet struct {
	// What most deliveries look at stands together and first: a flush goes through
	// all sessions of a room, and each line of memory that it needs of one is a wait.
	turn turn
	// news says that there may be something to send beside what only delivers.
	news atomic.Bool
	// corked says that what is queued leaves with the next flush of somebody else, or when
	// it is uncorked.
	corked atomic.Bool
	// The fields up to mu belong to whoever has the turn.
	full bool // the connection took less than it was offered
	// ending says that only the last message is left in the queue: cursors go no
	// further than the head as it was when this was found.
	ending bool
	last   bool    // the last message is under way
	over   bool    // nothing is to be sent any more
	alone  bool    // all sessions with such a cursor as only have the same marks
	only   *Cursor // the session's only cursor; nil: look at cursors, since its marks tell of others
	lag    *lag    // nil while the connection has always taken everything
	shared transport.Format
	conn   transport.Conn
	rest   *[]byte // of a message that was sent in part
	common *Common

	mu      sync.Mutex // guards the fields below; never held while anything is called
	backlog *backlog   // nil while nothing waits for this session alone
	cursors []*Cursor  // replaced, never changed in place
	closing bool       // the last note is in the queue
	gone    bool       // Closed was called
	lowered bool       // counts in Counters.Lowered
	marks   bool       // conn is a transport.Marker; never changed
}

// backlog is what waits for one session alone. Most sessions have none most of the time.
type backlog struct {
	queue   []note // in order
	queued  int    // bytes of queue
	control []byte
	drained chan struct{}
	// fullSince is since when the connection has taken nothing although
	// something waits; zero if nothing waits.
	fullSince time.Time
}

var backlogs = sync.Pool{New: func() any { return new(backlog) }}

// backlogLocked returns what waits, to add to it.
func (o *Outlet) backlogLocked() *backlog {
	if o.backlog == nil {
		o.backlog = backlogs.Get().(*backlog)
	}
	return o.backlog
}

// tidyLocked gives the backlog back if it is empty.
func (o *Outlet) tidyLocked() {
	b := o.backlog
	if b != nil && len(b.queue) == 0 && b.control == nil && b.drained == nil && b.fullSince.IsZero() {
		const most = 64 // notes that are kept room for
		if cap(b.queue) > most {
			b.queue = nil
		}
		o.backlog = nil
		backlogs.Put(b)
	}
}

// pendingLocked is what waits, to look at.
func (o *Outlet) pendingLocked() backlog {
	if o.backlog == nil {
		return backlog{}
	}
	return *o.backlog
}

// note is one message of the queue.
type note struct {
	wire   []byte
	tail   []byte  // what follows it, shared with others
	enters *Cursor // becomes active behind this message
	ends   *Cursor // was in its place before
	final  bool
}

// NewOutlet returns the outlet of a session on conn.
func NewOutlet(conn transport.Conn, common *Common) *Outlet {
	_, marks := conn.(transport.Marker)
	return &Outlet{conn: conn, shared: conn.Shared(), common: common, marks: marks}
}

// Send queues a message for this session and sends it. It reports false if the
// session is closing.
func (o *Outlet) Send(message []byte) bool {
	return o.push(note{wire: o.encode(message)}, false)
}

// Offer is Send for messages that may be left out: it also reports false, and
// does nothing, if the queue is full.
func (o *Outlet) Offer(message []byte) bool {
	return o.push(note{wire: o.encode(message)}, true)
}

// Enter sends message, which says that the session is in a room, and has c
// deliver what follows it. replaced, if not nil, delivers nothing more from the
// moment of the call.
func (o *Outlet) Enter(message []byte, c, replaced *Cursor) bool {
	return o.EnterWith(message, nil, c, replaced)
}

// EnterWith is Enter with a message in two parts. The outlet keeps tail, which many may share, and
// makes a copy of head.
func (o *Outlet) EnterWith(head, tail []byte, c, replaced *Cursor) bool {
	n := note{enters: c, ends: replaced}
	if f, ok := o.conn.Private().(transport.Splitter); ok && len(tail) > 0 {
		n.wire, n.tail = f.AppendHead(make([]byte, 0, len(head)+overhead), head, len(tail)), tail
	} else {
		n.wire = o.encode(slices.Concat(head, tail))
	}
	o.mu.Lock()
	o.removeLocked(replaced)
	ok := o.pushLocked(n)
	if ok {
		o.cursors = append(slices.Clone(o.cursors), c) // pushLocked has told the news
	}
	o.mu.Unlock()
	if ok {
		o.Flush()
	}
	return ok
}

// Leave ends what c delivers and then sends message.
func (o *Outlet) Leave(c *Cursor, message []byte) bool {
	o.mu.Lock()
	o.removeLocked(c)
	ok := o.pushLocked(note{wire: o.encode(message), ends: c})
	o.mu.Unlock()
	if ok {
		o.Flush()
	}
	return ok
}

// Drop ends what c delivers, without a word.
func (o *Outlet) Drop(c *Cursor) {
	o.mu.Lock()
	o.removeLocked(c)
	o.mu.Unlock()
}

// Control sends wire bytes that the transport owes the peer. A newer one
// replaces one that waits.
func (o *Outlet) Control(wire []byte) {
	o.mu.Lock()
	if !o.closing && len(wire) > 0 {
		o.backlogLocked().control = wire
		o.news.Store(true)
	}
	o.mu.Unlock()
	o.Flush()
}

// Finish sends message, if it is not nil, and then ends the connection with the
// transport's farewell. What is queued, and what the cursors are behind, goes out
// before. Only the first call counts.
func (o *Outlet) Finish(message []byte, code int, reason string) {
	var wire []byte
	if message != nil {
		wire = o.encode(message)
	}
	wire = append(wire, o.conn.Farewell(code, reason)...)
	o.mu.Lock()
	ok := o.pushLocked(note{wire: wire, final: true})
	o.closing = true
	o.mu.Unlock()
	if ok {
		o.Flush()
	}
}

const overhead = 16 // bytes of a frame

// encode makes the wire form of a message for this session.
func (o *Outlet) encode(message []byte) []byte {
	return o.conn.Private().Append(make([]byte, 0, len(message)+overhead), message)
}

func (o *Outlet) push(n note, mayRefuse bool) bool {
	o.mu.Lock()
	ok := (!mayRefuse || o.pendingLocked().queued+len(n.wire) <= o.common.Queue) && o.pushLocked(n)
	o.mu.Unlock()
	if ok && !o.corked.Load() {
		o.Flush()
	}
	return ok
}

func (o *Outlet) pushLocked(n note) bool {
	if o.closing {
		return false
	}
	b := o.backlogLocked()
	b.queue = append(b.queue, n)
	b.queued += len(n.wire) + len(n.tail)
	o.news.Store(true)
	return true
}

func (o *Outlet) removeLocked(c *Cursor) {
	if i := slices.Index(o.cursors, c); c != nil && i >= 0 {
		o.cursors = slices.Delete(slices.Clone(o.cursors), i, i+1)
		o.news.Store(true)
	}
}

// Cork has messages gather until Uncork, or until something else is sent: the
// answers to many requests leave together.
func (o *Outlet) Cork() { o.corked.Store(true) }

// Uncork ends Cork and sends what has gathered. It does nothing if the outlet is
// not corked.
func (o *Outlet) Uncork() {
	if o.corked.Swap(false) {
		o.Flush()
	}
}

// Ready returns nil if the queue has room, else a channel that is closed when
// it has. A session does not read the next request before that, so that a client that
// asks without reading the answers stops itself.
func (o *Outlet) Ready() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.backlog
	if b == nil || b.queued <= o.common.Queue {
		return nil
	}
	if b.drained == nil {
		b.drained = make(chan struct{})
	}
	return b.drained
}

// Queued returns how many bytes wait for this session alone.
func (o *Outlet) Queued() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pendingLocked().queued
}

// BlockedFor returns for how long the connection has taken nothing although
// something waits; 0 if nothing waits.
func (o *Outlet) BlockedFor(now time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	since := o.pendingLocked().fullSince
	if since.IsZero() {
		return 0
	}
	return now.Sub(since)
}
