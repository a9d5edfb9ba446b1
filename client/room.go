package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"time"

	"github.com/liveim/im"
)

// Room is a room that the client is in, from [Client.Join] to [Room.Leave], or
// until the server puts it out. Most programs read [Room.Updates] and call [Room.Send].
//
// All methods may be called from many goroutines at once, also while one
// iterates over the updates.
type Room struct {
	c    *Client
	name string
	// noUpdates says that the application does not take updates.
	noUpdates bool
	// first gets the outcome of the first join.
	first chan error

	// The rest is protected by Client.mu.

	view  view
	queue queue
	seen  im.Position // behind the last update that the application took
	tier  Tier
	err   error // why this is over

	people   people
	reacting map[im.Kind]*reactions

	in      bool  // joined on the present connection
	joining *call // the join under way
	entered bool  // the outcome of the first join is known
	lagging bool  // something was dropped because the queue was full
	retry   backoff
	timer   *time.Timer // joins again
}

// Tier says which events of a room are delivered.
type Tier string

// The tiers.
const (
	TierFull     Tier = "full"     // everything, the default
	TierReduced  Tier = "reduced"  // no volatile events
	TierCritical Tier = "critical" // critical events only
)

// JoinOptions are the optional parts of [Client.Join].
type JoinOptions struct {
	// Since is where to go on, as [Room.Position] returned it, perhaps in another
	// run of the program. The first update is then [Resumed], or [Reset] if
	// the server could not. Zero means the newest events.
	Since im.Position
	// Tier defaults to TierFull.
	Tier Tier
	// Buffer is how many updates are kept for the application before it counts
	// as slow; see the package documentation. It may be exceeded by what one
	// message of the server holds. Defaults to 1024.
	Buffer int
	// NoUpdates is for applications that do not read updates. Position, State and
	// Online go on working.
	NoUpdates bool
}

// defaultBuffer is JoinOptions.Buffer if that is 0.
const defaultBuffer = 1024

// Join enters a room. It returns once the server has let the client in; if that
// refuses, with its *im.Error. A client that is in the room already gets
// [ErrJoined]. If ctx ends first, the client is not in the room.
//
// Read the updates of the room, or set JoinOptions.NoUpdates: otherwise its buffer
// becomes full, and holds up the connection. opts may be nil.
func (c *Client) Join(ctx context.Context, room string, opts *JoinOptions) (*Room, error) {
	var opt JoinOptions
	if opts != nil {
		opt = *opts
	}
	if opt.Buffer < 0 {
		return nil, fmt.Errorf("client: JoinOptions.Buffer is %d: want a positive number, or 0 for the default of %d", opt.Buffer, defaultBuffer)
	}
	if opt.Buffer == 0 {
		opt.Buffer = defaultBuffer
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r := &Room{
		c:         c,
		name:      room,
		noUpdates: opt.NoUpdates,
		first:     make(chan error, 1),
		view:      view{pos: opt.Since},
		queue:     queue{limit: opt.Buffer},
		seen:      opt.Since,
		tier:      opt.Tier,
		retry:     backoff{min: c.opt.BackoffMin, max: c.opt.BackoffMax},
	}
	if err := c.enterRoom(r); err != nil {
		return nil, err
	}
	select {
	case err := <-r.first:
		if err != nil {
			c.withdraw(r, err)
			return nil, err
		}
		return r, nil
	case <-ctx.Done():
		c.withdraw(r, ErrLeft)
		return nil, fmt.Errorf("client: join %q: %w", room, context.Cause(ctx))
	}
}

func (c *Client) enterRoom(r *Room) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	if c.rooms[r.name] != nil {
		return ErrJoined
	}
	c.rooms[r.name] = r
	if c.session != nil {
		c.join(r)
	}
	return nil
}

// withdraw gives up a join for which nobody waits any more. The server may
// have let the client in meanwhile, and then must let it out.
func (c *Client) withdraw(r *Room, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := r.in || r.joining != nil || isTimeout(err)
	c.drop(r, err)
	if asked && c.session != nil && c.rooms[r.name] == nil {
		c.leaveUnheard(r.name)
	}
}

func isTimeout(err error) bool { return errors.Is(err, &im.Error{Code: im.CodeTimeout}) }

// Name returns the room's name.
func (r *Room) Name() string { return r.name }

// Next returns the next update, and waits for it if need be until ctx ends.
// After the last one it returns the error that [Room.Err] returns. If several
// goroutines call it, each update goes to one of them.
func (r *Room) Next(ctx context.Context) (Update, error) {
	for ctx.Err() == nil {
		r.c.mu.Lock()
		it, ok := r.pop()
		err, news := r.err, r.queue.wait()
		r.c.mu.Unlock()
		if ok {
			return it.update, nil
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-news:
		case <-ctx.Done():
		}
	}
	return nil, context.Cause(ctx)
}

// Updates yields the updates of the room in order, until ctx ends or the client
// is out of the room: [Room.Err] tells the two apart. It may be used again to
// go on. See [Update] for what there is.
func (r *Room) Updates(ctx context.Context) iter.Seq[Update] {
	return func(yield func(Update) bool) {
		for {
			u, err := r.Next(ctx)
			if err != nil || !yield(u) {
				return
			}
		}
	}
}

// Events is [Room.Updates] for applications that need to know neither where
// something is missing nor what is replayed: it yields the events and nothing else.
func (r *Room) Events(ctx context.Context) iter.Seq[*im.Event] {
	return func(yield func(*im.Event) bool) {
		for u := range r.Updates(ctx) {
			if e, ok := u.(Event); ok && !yield(e.Event) {
				return
			}
		}
	}
}

// Err returns why the client is out of the room: [ErrLeft] after Leave, the
// server's *im.Error, or why the client has ended. It is nil before that.
func (r *Room) Err() error {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.err
}

// Position returns the place behind the last update that the application has
// taken. Keep it, and hand it to JoinOptions.Since to go on from there in
// another run of the program. It is zero before the end of the first [Reset]
// with its events.
func (r *Room) Position() im.Position {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.seen
}

// Online returns how many are in the room, as the server said last.
func (r *Room) Online() int {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.view.online
}

// State returns a copy of the room's state as of the newest event that has come. It may
// be ahead of the updates that the application has taken.
func (r *Room) State() map[string]Cell {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return maps.Clone(r.view.state)
}

// Get returns one key of the room's state, as [Room.State] would, and its
// version for [IfVersion]. Without the key, ok is false and version 0.
func (r *Room) Get(key string) (value json.RawMessage, version uint64, ok bool) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	cell, ok := r.view.state[key]
	return cell.Value, cell.Version, ok
}

// pop takes an update out for the application, and goes on with a room that was
// too full. Client.mu is held.
func (r *Room) pop() (item, bool) {
	it, ok := r.queue.pop()
	if !ok {
		return it, false
	}
	r.seen = it.pos
	if r.queue.full && r.queue.len() <= r.queue.limit/2 {
		r.queue.full = false
		r.c.full--
		if s := r.c.session; s != nil {
			s.wakeReader()
			if r.lagging && r.in {
				r.c.join(r)
			}
		}
		r.lagging = false
	}
	return it, true
}

// push hands updates to the application. Without any, it notes the position only.
// Client.mu is held.
func (r *Room) push(items ...item) {
	switch {
	case r.noUpdates:
		r.seen = r.view.pos
	case len(items) > 0:
		r.queue.push(items...)
	case !r.queue.advance(r.view.pos):
		r.seen = r.view.pos
	}
}

// enter tells the outcome of the first join, once.
func (r *Room) enter(err error) {
	if !r.entered {
		r.entered = true
		r.first <- err
	}
}

// offline notes that the connection is gone.
func (r *Room) offline() {
	r.in, r.joining = false, nil
	r.stopTimer()
}

func (r *Room) stopTimer() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}
