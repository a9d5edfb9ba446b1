package im

import (
	"context"
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
	flow    flow
	limits  roomLimits
	modes   atomic.Pointer[Modes] // as the fold has them; nil: none
	claims  claims
	held    heldQueue
	slowed  slowed
	calls   calls

	mu      sync.Mutex // guards the fields below; neither the log nor code of the host is called under it
	gone    bool       // unloaded: whoever finds it asks the hub for a new one
	users   int        // calls that work with it
	used    time.Time
	members []*member
	cursors []*fanout.Cursor     // of members, at the same index
	staff   map[*member]struct{} // those of members who see held messages

	epoch    string
	received uint64 // seq of the last event that the log delivered
	incoming []*Event
	fold     *fold // nil until the room is open
	feed     fanout.Feed
	waiters  []waiter
	departed []departure          // sessions that a control event put out, and that are to be told
	kicks    map[string]time.Time // of users, lately
	pursuit  *pursuit             // the following that counts
	stop     func()               // ends it; nil while there is none
	broken   bool                 // it has ended by itself
	cause    error                // why
	renewing bool                 // somebody is at work to follow again
	unsaved  int                  // events folded since the last snapshot
	online   int                  // the count that was last told
	onlineAt time.Time            // when
	merging  map[Kind]*merge
	planned  plan   // what the hub's agenda has for the room
	owners   owners // of keys of the state
	watches  []*stateWatch
	barrier  *barrier // that is to be appended next, for calls of Sync that wait
	syncing  bool     // somebody appends barriers
	arrivals arrivals // whom sessions have not been told of
	entries  entries  // what sessions get that enter now
	// deletions moves, with mu held, when further events are hidden than before: what was read before that has to be
	// looked through again.
	deletions atomic.Uint64
	told      told // what is of interest now and not later

	announcing bool // a flush is planned that tells who is in the room

	due   time.Time // when the hub looks after the room; guarded by agenda.mu
	place int       // in the agenda, from 1 on; 0: none; guarded by agenda.mu
}

// member is one session in one room.
type member struct {
	core    *core
	session *Session
	next    *member     // of the session; guarded by session.mu
	asked   int64       // when it asked to enter, as hub.clock
	slot    int32       // index in core.members
	tier    fanout.Tier // that the client has chosen; guarded by core.mu
}

// waiter waits until the room has received a position, or has begun anew.
type waiter struct {
	pos  Position
	done chan struct{}
}

// departure is a session that was put out of the room.
type departure struct {
	member *member
	cursor *fanout.Cursor
	why    *Error
}

// passedLocked reports whether the room has received pos, or never will.
func (c *core) passedLocked(pos Position) bool {
	if c.epoch != pos.Epoch {
		return !c.broken && !c.renewing
	}
	return c.received >= pos.Seq
}

func (c *core) wakeWaitersLocked() {
	kept := c.waiters[:0]
	for _, w := range c.waiters {
		if c.passedLocked(w.pos) {
			close(w.done)
		} else {
			kept = append(kept, w)
		}
	}
	clear(c.waiters[len(kept):])
	c.waiters = kept
}

// await returns when the room has received pos. If the log was lost meanwhile,
// what became of pos is not known.
func (c *core) await(ctx context.Context, pos Position) error {
	c.mu.Lock()
	w := waiter{pos, make(chan struct{})}
	if c.passedLocked(pos) {
		close(w.done)
	} else {
		c.waiters = append(c.waiters, w)
	}
	c.mu.Unlock()
	select {
	case <-w.done:
	case <-ctx.Done():
		return &Error{Code: CodeTimeout, cause: ctx.Err()}
	case <-c.hub.life.Done():
		return ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != pos.Epoch {
		return &Error{Code: CodeTimeout, cause: ErrGap}
	}
	return nil
}

// sealLocked folds and encodes what came in since the last time. Whoever seals
// calls obey after the lock is released.
func (c *core) sealLocked(now time.Time) {
	if len(c.incoming) == 0 {
		return
	}
	items := make([]fanout.Item, 0, len(c.incoming))
	deletions := c.fold.deletions
	for _, e := range c.incoming {
		c.observeCall(e)
		shown, ask := c.fold.apply(e)
		if shown != nil {
			items = append(items, fanout.Item{Seq: e.Pos.Seq, Lane: laneOf(e.Class), JSON: encodeEvent(shown), Key: c.fold.key, From: e.From.ID})
		}
		if ask != nil {
			c.obeyLocked(ask)
		}
	}
	if c.fold.deletions != deletions {
		items = c.withdrawLocked(items)
	}
	c.unsaved += len(c.incoming)
	clear(c.incoming)
	c.incoming = c.incoming[:0]
	c.feed.Push(items, c.fold.seq, now)
	c.used = now
	c.followFoldLocked(now, c.halfGrace())
}

// obeyLocked puts out the sessions that a control event names. They are no
// members any more when it returns; obey tells them.
func (c *core) obeyLocked(ask *control) {
	why := &Error{Code: CodeKicked, Reason: ask.Reason}
	if ask.Type == controlClose {
		why.Code = CodeRoomClosed
		c.held.signal()
	}
	if ask.Type == controlKick {
		c.noteKickLocked(ask.User)
	}
	if ask.Type != controlClose && ask.Type != controlKick {
		return
	}
	for i := len(c.members) - 1; i >= 0; i-- {
		m := c.members[i]
		if ask.Type == controlClose || ask.Type == controlKick && m.session.User().ID == ask.User {
			c.departed = append(c.departed, departure{m, c.removeLocked(m), why})
		}
	}
}

// noteKickLocked remembers a kick for as long as a join that was admitted before
// it may still be under way.
func (c *core) noteKickLocked(user string) {
	now := time.Now()
	if c.kicks == nil {
		c.kicks = map[string]time.Time{}
	}
	for u, at := range c.kicks {
		if now.Sub(at) > 2*c.hub.opts.Timeouts.Hook {
			delete(c.kicks, u)
		}
	}
	c.kicks[user] = now
}

// obey tells the sessions that were put out.
func (c *core) obey() {
	c.mu.Lock()
	departed := c.departed
	c.departed = nil
	c.mu.Unlock()
	for _, d := range departed {
		d.member.session.left(d.member, d.cursor, 0, d.why)
	}
}

// Flush is fanout.Task: the engine calls it when the room is due.
func (c *core) Flush(now time.Time, dst []*fanout.Cursor) ([]*fanout.Cursor, fanout.View) {
	c.mu.Lock()
	c.sealLocked(now)
	again := c.announceLocked(now)
	dst = append(dst, c.cursors...)
	view := c.feed.View(c)
	departed := len(c.departed) > 0
	c.mu.Unlock()
	if again > 0 {
		c.ticket.WakeAfter(again)
	}
	if departed {
		c.hub.background(c.obey) // it tells the host's observer
	}
	return dst, view
}

// Since is fanout.Source.
func (c *core) Since(next uint64, dst []*fanout.Batch) ([]*fanout.Batch, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.feed.Since(next, dst)
}

// Name is fanout.Source.
func (c *core) Name() string { return c.id }

// Latest is fanout.Source.
func (c *core) Latest() *fanout.Shared { return c.latest.Load() }

// addLocked puts a session into the room, in the place of an earlier membership
// of it if that is still there.
func (c *core) addLocked(m *member, cursor *fanout.Cursor, old *member) {
	if old != nil && old.slot >= 0 {
		m.slot, old.slot = old.slot, -1
		c.members[m.slot], c.cursors[m.slot] = m, cursor
		delete(c.staff, old)
		c.noteStaffLocked(m)
		return
	}
	m.slot = int32(len(c.members))
	c.members = append(c.members, m)
	c.cursors = append(c.cursors, cursor)
	c.noteStaffLocked(m)
	c.ownerCameLocked(m.session.userID())
}

// remove takes a session out of the room and returns its cursor, nil if it was
// not in.
func (c *core) remove(m *member) *fanout.Cursor {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.removeLocked(m)
}

func (c *core) removeLocked(m *member) *fanout.Cursor {
	if m.slot < 0 {
		return nil
	}
	cursor, last := c.cursors[m.slot], len(c.members)-1
	c.members[m.slot], c.cursors[m.slot] = c.members[last], c.cursors[last]
	c.members[m.slot].slot = m.slot
	c.members[last], c.cursors[last] = nil, nil
	c.members, c.cursors = c.members[:last], c.cursors[:last]
	m.slot = -1
	delete(c.staff, m)
	c.used = time.Now()
	user := m.session.userID()
	c.arrivals.leave(user, c.used)
	c.ownerLeftLocked(user, c.used)
	return cursor
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
	return appendEvent(make([]byte, 0, wireSize(e)), e)
}

func appendEvent(dst []byte, e *Event) []byte {
	w := wire.Event{Seq: e.Pos.Seq, ID: e.ID, Kind: string(e.Kind), At: e.At.UnixMilli(), Body: e.Body, N: e.N, Merged: e.Class == Merged}
	if e.From.ID != "" {
		w.From = &wire.Author{ID: e.From.ID, Name: e.From.Name}
	}
	return wire.AppendEvent(dst, &w)
}
