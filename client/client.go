package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

// Client is one user's connection to a hub, kept up over disconnects, with the
// rooms that it is in. Make one with [Dial] and end it with [Client.Close]; most
// programs then call [Client.Join]. It ends by itself if the server refuses it
// for good: [Client.Done] and [Client.Err] tell.
//
// All methods may be called from many goroutines at once. The zero Client is
// not usable.
type Client struct {
	opt  Options
	dial dialFunc
	log  *slog.Logger

	ctx     context.Context // ends with the client
	stop    context.CancelCauseFunc
	ready   chan struct{} // closed at the first welcome
	done    chan struct{} // closed when the client has ended
	cids    string        // the beginning of this client's cids
	lastCID atomic.Uint64

	// mu protects everything below, and the rooms.
	mu        sync.Mutex
	err       error // why the client has ended
	status    ConnStatus
	user      im.User
	session   *session // nil while there is no connection
	heartbeat time.Duration
	rooms     map[string]*Room
	full      int // how many rooms have a full queue
	calls     map[uint64]*call
	lastID    uint64
	directs   queue
}

// directBuffer is how many direct messages are kept for the application.
const directBuffer = 256

// Dial connects to the hub at url, for example "wss://example.org/im/ws". It
// returns once the server has welcomed the client, or has refused it for good,
// for example with im.CodeUnauthorized. Until then it tries again as a client
// does after a disconnect, so give ctx a deadline; the error then tells what went
// wrong last. ctx bounds Dial only, not the client.
//
// opts may be nil.
func Dial(ctx context.Context, url string, opts *Options) (*Client, error) {
	opt, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _ string) (Conn, error) { return opt.Dial(ctx) }
	if opt.Dial == nil {
		if dial, err = webSocket(url, &opt); err != nil {
			return nil, err
		}
	}
	return start(ctx, opt, dial)
}

// start is Dial with a way to connect.
func start(ctx context.Context, opt Options, dial dialFunc) (*Client, error) {
	c := &Client{
		opt:     opt,
		dial:    dial,
		log:     opt.Logger,
		ready:   make(chan struct{}),
		done:    make(chan struct{}),
		cids:    rand.Text()[:16] + "-",
		rooms:   map[string]*Room{},
		calls:   map[uint64]*call{},
		directs: queue{limit: directBuffer},
	}
	c.ctx, c.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	go c.run()
	select {
	case <-c.ready:
		return c, nil
	case <-c.done:
		return nil, c.Err()
	case <-ctx.Done():
		last := c.Status().Err
		c.Close()
		if last == nil {
			return nil, fmt.Errorf("client: connect: %w", context.Cause(ctx))
		}
		return nil, fmt.Errorf("client: connect: %w; the last attempt: %w", context.Cause(ctx), last)
	}
}

// Close ends the client and its connection at once, and waits for its
// goroutine. Requests that are under way fail with [ErrClosed]; the updates
// that rooms hold can still be read. To be gone from the others' sight in order,
// call [Room.Leave] first. More calls do no harm.
//
// Close must not be called by Options.OnStatus or Options.Token.
func (c *Client) Close() {
	c.stop(ErrClosed)
	<-c.done
}

// Done returns a channel that is closed when the client has ended: after Close,
// or because the server refused it for good.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the client has ended: [ErrClosed], or an error that wraps the
// server's *im.Error. It is nil before that.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Status returns how the connection is doing. See also Options.OnStatus.
func (c *Client) Status() ConnStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// User returns who the server says this client is: ID, Name and Roles. A new
// connection or token may change name and roles.
func (c *Client) User() im.User {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.user
	u.Roles = slices.Clone(u.Roles)
	return u
}

// Rooms returns the rooms that the client is in, in no order, including those
// that a lost connection has to join again.
func (c *Client) Rooms() []*Room {
	c.mu.Lock()
	defer c.mu.Unlock()
	rooms := make([]*Room, 0, len(c.rooms))
	for _, r := range c.rooms {
		rooms = append(rooms, r)
	}
	return rooms
}

// Directs yields the messages for this user alone, which belong to no room and
// have no position. They are delivered at most once: what comes while there is
// no connection is lost, and of what nobody reads the newest 256 are kept. It
// ends with ctx or with the client.
func (c *Client) Directs(ctx context.Context) iter.Seq[*im.Event] {
	return func(yield func(*im.Event) bool) {
		for {
			ev, err := c.nextDirect(ctx)
			if err != nil || !yield(ev) {
				return
			}
		}
	}
}

func (c *Client) nextDirect(ctx context.Context) (*im.Event, error) {
	for ctx.Err() == nil {
		c.mu.Lock()
		it, ok := c.directs.pop()
		err, news := c.err, c.directs.wait()
		c.mu.Unlock()
		if ok {
			return it.update.(Event).Event, nil
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

// pushDirect keeps a direct message for Directs. c.mu is held.
func (c *Client) pushDirect(m *wire.Message) {
	ev := event("", &wire.Event{ID: m.Event, Kind: m.Kind, At: m.At, Body: m.Body})
	if c.directs.len() >= directBuffer {
		c.directs.pop()
	}
	c.directs.push(item{update: Event{Event: ev}})
}

// newCID returns a client id that this client has not used yet.
func (c *Client) newCID() string {
	return c.cids + strconv.FormatUint(c.lastCID.Add(1), 36)
}
