package pipe

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/liveim/im/transport"
)

var _ transport.Conn = (*Conn)(nil)

// Options are the optional parameters of [New]. A field that is zero or negative
// means its default, and so does a nil *Options.
type Options struct {
	// Buffer is how many bytes the hub can send that the peer has not read.
	// Defaults to 64 KiB.
	Buffer int
	// MaxMessage is the largest message that the peer may send, in bytes. A
	// larger one closes with 1009. Defaults to 64 KiB.
	MaxMessage int
	// Linger is how long a pipe that was finished waits for the peer to read the
	// rest or to close. Defaults to 2 seconds.
	Linger time.Duration
}

const (
	defaultBuffer     = 64 << 10
	defaultMaxMessage = 64 << 10
	defaultLinger     = 2 * time.Second
)

// withDefaults returns a copy of o in which every field is set.
func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Buffer <= 0 {
		d.Buffer = defaultBuffer
	}
	if d.MaxMessage <= 0 {
		d.MaxMessage = defaultMaxMessage
	}
	if d.Linger <= 0 {
		d.Linger = defaultLinger
	}
	return d
}

// errAborted is what both sides get after Abort. It wraps [net.ErrClosed].
var errAborted = fmt.Errorf("pipe: aborted by the hub: %w", net.ErrClosed)

// errExited is the cause when host code ended a goroutine within the session.
var errExited = errors.New("pipe: the session called runtime.Goexit; return from its methods instead")

// Conn is the hub's side of a pipe, a [transport.Conn]. Its methods may be called
// from any goroutine, save that TrySend and Finish are called by one at a time.
// It ends with Abort, with Finish once the peer has read everything, or with
// [Peer.Close]; then Session.Closed is called from a goroutine of its own.
//
// Session.Closed gets io.EOF if the peer closed, nil if the peer read everything
// up to Finish, and an error otherwise.
type Conn struct {
	options Options
	started chan struct{} // closed by Start
	ended   chan struct{} // closed when the pipe ends
	arrived chan struct{} // holds a token if there may be something to receive
	reading chan struct{} // holds a token while nobody acts as the reader
	uses    sync.WaitGroup

	mu       sync.Mutex // guards what follows; nothing is called under it
	session  transport.Session
	buf      []byte // sent and not yet received
	short    bool   // a TrySend came up short
	finished bool
	over     bool // the session wants to hear no more
	alive    bool // the peer owes an Alive
	isEnded  bool
	cause    error       // why it ended
	linger   *time.Timer // nil before Finish
}

// New returns the two ends of a pipe. o may be nil.
func New(o *Options) (*Conn, *Peer) {
	c := &Conn{
		options: o.withDefaults(),
		started: make(chan struct{}),
		ended:   make(chan struct{}),
		arrived: make(chan struct{}, 1),
		reading: make(chan struct{}, 1),
	}
	c.reading <- struct{}{}
	p := &Peer{conn: c, receiving: make(chan struct{}, 1)}
	p.receiving <- struct{}{}
	return c, p
}

// Start implements [transport.Conn]. The session is called on the goroutines
// that call the peer's methods.
func (c *Conn) Start(s transport.Session) {
	c.mu.Lock()
	c.session = s
	ended := c.isEnded
	c.mu.Unlock()
	close(c.started)
	if ended {
		go c.close()
	}
}

// Private implements [transport.Conn]; it is [Lines].
func (c *Conn) Private() transport.Format { return Lines{} }

// Shared implements [transport.Conn]; it is [Lines].
func (c *Conn) Shared() transport.Format { return Lines{} }

// Heartbeat implements [transport.Conn].
func (c *Conn) Heartbeat() (wire []byte, answered bool) { return heartbeat, true }

// Farewell implements [transport.Conn]: the peer gets it as a *[CloseError].
func (c *Conn) Farewell(code int, reason string) []byte { return appendFarewell(nil, code, reason) }

// TrySend implements [transport.Conn]. It copies the bytes.
func (c *Conn) TrySend(bufs [][]byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isEnded {
		return 0, c.sendError()
	}
	n := 0
	for _, b := range bufs {
		room := c.options.Buffer - len(c.buf)
		if len(b) > room {
			c.short = true
			b = b[:room]
		}
		c.buf = append(c.buf, b...)
		n += len(b)
		if c.short {
			break
		}
	}
	if n > 0 {
		c.signal()
	}
	return n, nil
}

// sendError returns why nothing can be sent any more. mu is held.
func (c *Conn) sendError() error {
	if c.cause == nil || errors.Is(c.cause, io.EOF) {
		return fmt.Errorf("pipe: send after the end: %w", net.ErrClosed)
	}
	return c.cause
}

// signal wakes a Recv. It does not block.
func (c *Conn) signal() {
	select {
	case c.arrived <- struct{}{}:
	default:
	}
}

// Finish implements [transport.Conn].
func (c *Conn) Finish() {
	c.mu.Lock()
	if !c.isEnded && !c.finished {
		c.finished = true
		c.linger = time.AfterFunc(c.options.Linger, func() {
			c.end(fmt.Errorf("pipe: the peer did not read the rest within %v", c.options.Linger))
		})
	}
	c.mu.Unlock()
	c.signal()
}

// Abort implements [transport.Conn].
func (c *Conn) Abort() { c.end(errAborted) }

// Overdue implements [transport.Conn]; messages arrive whole, so it is false.
func (c *Conn) Overdue(time.Time) bool { return false }

// end ends the pipe, once.
func (c *Conn) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isEnded {
		return
	}
	c.isEnded, c.cause = true, cause
	if c.linger != nil {
		c.linger.Stop()
	}
	close(c.ended)
	if c.session != nil {
		go c.close()
	}
}

// close is the goroutine that calls Closed, when nothing else uses the session
// any more. It ends when the methods of the session that run have returned.
func (c *Conn) close() {
	c.uses.Wait()
	// There is nobody left to tell about a panic in Closed, but the process of
	// the host must survive it.
	defer func() { _ = recover() }()
	c.session.Closed(c.cause)
}

// use calls f with the session, unless the pipe has ended, and reports whether f
// returned in order. A panic in f, or runtime.Goexit, ends the pipe.
func (c *Conn) use(f func(transport.Session)) (ok bool) {
	c.mu.Lock()
	s := c.session
	if c.isEnded || s == nil {
		c.mu.Unlock()
		return false
	}
	c.uses.Add(1)
	c.mu.Unlock()
	defer c.uses.Done()
	defer func() {
		if v := recover(); v != nil {
			c.end(fmt.Errorf("pipe: panic in the session: %v\n%s", v, debug.Stack()))
		} else if !ok {
			c.end(errExited)
		}
	}()
	f(s)
	return true
}
