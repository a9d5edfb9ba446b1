package im

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im/internal/fanout"
	"github.com/liveim/im/internal/wire"
)

// core is a room that is in use on this node: the fold of its log, the feed
// that its sessions read, and who they are. It follows the log: what other
// nodes append arrives here in the same way as what this one does.
type core struct {
	hub    *Hub
	id     string
	ticket *fanout.Ticket
	opened chan struct{} // closed when open has returned; openErr is set then
	// openErr is why the room could not be opened; such a core is not used again.
	openErr error
	latest  atomic.Pointer[fanout.Shared]

	mu      sync.Mutex // guards the fields below; neither the log nor code of the host is called under it
	gone    bool       // unloaded: whoever finds it asks the hub for a new one
	users   int        // calls that work with it
	used    time.Time
	members []*member
	cursors []*fanout.Cursor // of members, at the same index

	epoch    string
	received uint64 // seq of the last event that the log delivered
	backlog  uint64 // up to this seq events are history: folded, not delivered
	incoming []*Event
	fold     *fold
	feed     fanout.Feed
	waiters  []waiter
	stop     func() // ends the following; nil while there is none
	broken   bool   // the following has ended by itself
	cause    error  // why
	renewing bool   // somebody is at work to follow again
	unsaved  int    // events folded since the last snapshot
	savedAt  time.Time
	online   int       // the count that was last told
	onlineAt time.Time // when
	merging  map[Kind]*merge
}

// member is one session in one room.
type member struct {
	core    *core
	session *Session
	slot    int // index in core.members
	tier    fanout.Tier
}

// waiter waits until the fold has passed seq.
type waiter struct {
	seq  uint64
	done chan struct{}
}

// onlineEvery is the least time between two announcements of the online count.
const onlineEvery = time.Second

// deliver takes events from the log. It is called in order, may be under a lock
// of the log, and does not block.
func (c *core) deliver(events []*Event, err error) {
	c.mu.Lock()
	if c.gone || c.broken {
		c.mu.Unlock()
		return
	}
	if err != nil {
		c.broken, c.cause = true, err
		start := !c.renewing
		c.renewing = true
		c.mu.Unlock()
		if start {
			c.hub.background(c.refollow)
		}
		return
	}
	fresh := false
	for _, e := range events {
		if e.Pos.Epoch != c.epoch || e.Pos.Seq <= c.received {
			continue
		}
		c.received = e.Pos.Seq
		if e.Pos.Seq <= c.backlog {
			c.fold.apply(e)
			c.unsaved++
			continue
		}
		c.incoming = append(c.incoming, e)
		fresh = true
	}
	c.wakeWaitersLocked()
	c.mu.Unlock()
	if fresh {
		c.ticket.Wake()
	}
}

func (c *core) wakeWaitersLocked() {
	kept := c.waiters[:0]
	for _, w := range c.waiters {
		if w.seq <= c.received {
			close(w.done)
		} else {
			kept = append(kept, w)
		}
	}
	clear(c.waiters[len(kept):])
	c.waiters = kept
}

// sealLocked folds and encodes what came in since the last time. It returns
// what control events ask for, to be run after the lock is released.
func (c *core) sealLocked(now time.Time) (asks []func()) {
	if len(c.incoming) == 0 {
		return nil
	}
	items := make([]fanout.Item, 0, len(c.incoming))
	for _, e := range c.incoming {
		shown, ask := c.fold.apply(e)
		if ask != nil {
			asks = c.obeyLocked(asks, ask)
		}
		if shown != nil {
			items = append(items, fanout.Item{Seq: e.Pos.Seq, Lane: laneOf(e.Class), JSON: encodeEvent(shown)})
		}
	}
	c.unsaved += len(c.incoming)
	clear(c.incoming)
	c.incoming = c.incoming[:0]
	c.feed.Push(items, c.fold.seq, now)
	c.used = now
	return asks
}

// obeyLocked turns a control event into what this node has to do.
func (c *core) obeyLocked(asks []func(), ask *control) []func() {
	var leave []*member
	reason := &Error{Code: CodeKicked, Reason: ask.Reason}
	switch ask.Type {
	case controlClose:
		leave = append(leave, c.members...)
		reason.Code = CodeRoomClosed
	case controlKick:
		for _, m := range c.members {
			if u := m.session.User(); u.ID == ask.User {
				leave = append(leave, m)
			}
		}
	}
	for _, m := range leave {
		asks = append(asks, func() { m.session.leave(m, 0, reason) })
	}
	return asks
}

// Flush is fanout.Task: the engine calls it when the room is due.
func (c *core) Flush(now time.Time, dst []*fanout.Cursor) []*fanout.Cursor {
	c.mu.Lock()
	asks := c.sealLocked(now)
	again := c.announceLocked(now)
	dst = append(dst, c.cursors...)
	c.mu.Unlock()
	if again > 0 {
		c.ticket.WakeAfter(again)
	}
	if len(asks) > 0 {
		c.hub.background(func() {
			for _, ask := range asks {
				ask()
			}
		})
	}
	return dst
}

// announceLocked renews the online count that sessions are told. If it is too
// early for that it returns how long to wait.
func (c *core) announceLocked(now time.Time) (again time.Duration) {
	if c.online == len(c.members) {
		return 0
	}
	if next := c.onlineAt.Add(onlineEvery); next.After(now) {
		return next.Sub(now)
	}
	c.online, c.onlineAt = len(c.members), now
	c.latest.Store(fanout.NewShared(wire.AppendOnline(nil, c.id, c.online)))
	return 0
}

// Since is fanout.Source.
func (c *core) Since(next uint64, dst []*fanout.Batch) ([]*fanout.Batch, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.feed.Since(next, dst)
}

// Latest is fanout.Source.
func (c *core) Latest() *fanout.Shared { return c.latest.Load() }

// add puts a session into the room. The caller holds the lock.
func (c *core) addLocked(m *member, cursor *fanout.Cursor) {
	m.slot = len(c.members)
	c.members = append(c.members, m)
	c.cursors = append(c.cursors, cursor)
}

// remove takes a session out of the room and returns its cursor, nil if it was
// not in.
func (c *core) remove(m *member) *fanout.Cursor {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.slot < 0 {
		return nil
	}
	cursor, last := c.cursors[m.slot], len(c.members)-1
	c.members[m.slot], c.cursors[m.slot] = c.members[last], c.cursors[last]
	c.members[m.slot].slot = m.slot
	c.members[last], c.cursors[last] = nil, nil
	c.members, c.cursors = c.members[:last], c.cursors[:last]
	m.slot = -1
	c.used = time.Now()
	return cursor
}

// acquire keeps the core from being unloaded until release. It reports false if
// it is gone already.
func (c *core) acquire() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return false
	}
	c.users++
	return true
}

func (c *core) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users--
	c.used = time.Now()
}

// laneOf maps a delivery class to what may be left out of a delivery. Merged
// events are rare and carry totals, so they travel with normal ones.
func laneOf(c Class) fanout.Lane {
	switch c {
	case Critical:
		return fanout.Critical
	case Volatile:
		return fanout.Volatile
	}
	return fanout.Normal
}

// encodeEvent writes an event as clients get it.
func encodeEvent(e *Event) []byte {
	w := wire.Event{Seq: e.Pos.Seq, ID: e.ID, Kind: string(e.Kind), At: e.At.UnixMilli(), Body: e.Body}
	if e.From.ID != "" {
		w.From = &wire.Author{ID: e.From.ID, Name: e.From.Name}
	}
	return wire.AppendEvent(make([]byte, 0, len(e.Body)+len(e.ID)+len(w.Kind)+len(e.From.ID)+len(e.From.Name)+96), &w)
}
