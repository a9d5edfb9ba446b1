package longpoll

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/liveim/im/internal/inlet"
	"github.com/liveim/im/transport"
)

var _ transport.Conn = (*Conn)(nil)

// errAborted is the outcome after Abort. It wraps [net.ErrClosed].
var errAborted = fmt.Errorf("longpoll: aborted by the hub: %w", net.ErrClosed)

// Conn is the server's side of a client that asks again and again. Its methods may
// be called from any goroutine, save that TrySend and Finish are called by one
// goroutine at a time, after Start; most callers want [Conn.ServePoll]. It ends with
// Abort, with Finish, or when the client does not ask again; each time
// Session.Closed says so.
//
// Session.Closed gets nil if the hub finished and everything was written into
// responses, an error that wraps io.EOF if the client stayed away for Options.Idle,
// and otherwise what went wrong. After Abort that is an error that wraps
// net.ErrClosed.
type Conn struct {
	options *Options
	inlet   inlet.Inlet

	mu       sync.Mutex // guards what follows; nothing is called under it
	poll     *poll      // the request that waits, nil between requests
	spare    *poll      // for the next one
	writing  int        // responses that are being written
	answer   answer     // taken for poll
	short    bool       // a TrySend came up short and Writable is owed
	finished bool
	ended    bool
	cause    error       // of the end
	idle     time.Time   // since when no request waits or is written
	linger   *time.Timer // after Finish
}

// New returns a Conn that no request has been made for. o may be nil. The Conn
// ends if there is none within Options.Idle.
func New(o *Options) *Conn {
	if o == nil {
		o = new(Options)
	}
	c := &Conn{options: o, idle: time.Now()}
	c.inlet.Init(c.end)
	return c
}

// Start implements [transport.Conn].
func (c *Conn) Start(s transport.Session) { c.inlet.Start(s) }

// Receive passes a message that came by another request to the session. It waits
// for Start and for other calls, and returns when the session has worked on msg,
// which is not kept. The error is that of the session, or one that wraps
// net.ErrClosed if the session takes no more.
func (c *Conn) Receive(msg []byte) error { return c.inlet.Receive(msg) }

// Private implements [transport.Conn]; it is [Element].
func (c *Conn) Private() transport.Format { return Element{} }

// Shared implements [transport.Conn]; it is [Element].
func (c *Conn) Shared() transport.Format { return Element{} }

// TrySend implements [transport.Conn]. It takes nothing while no request waits,
// and elements up to Options.MaxAnswer while one does. It keeps the buffers, not
// copies, until they are written.
func (c *Conn) TrySend(bufs [][]byte) (int, error) {
	total := 0
	for _, b := range bufs {
		total += len(b)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.poll
	n := 0
	switch {
	case c.ended:
		return 0, c.sendError()
	case total == 0:
		return 0, nil
	case p != nil && !p.full:
		n = c.answer.add(bufs, total, c.options.maxAnswer())
		p.full = n < total || c.answer.whole >= c.options.maxAnswer()
		switch {
		case p.full:
			p.signal()
		case c.answer.whole > 0:
			p.gather(c.options.gather())
		}
	}
	c.short = n < total
	return n, nil
}

// sendError returns why nothing can be sent any more. mu is held.
func (c *Conn) sendError() error {
	if c.cause == nil {
		return errAborted
	}
	return c.cause
}

// Heartbeat implements [transport.Conn]; there is none: the requests are the
// signs of life.
func (c *Conn) Heartbeat() (wire []byte, answered bool) { return nil, false }

// Farewell implements [transport.Conn]; there is none.
func (c *Conn) Farewell(int, string) []byte { return nil }

// Finish implements [transport.Conn]. The request that waits is answered with
// the rest. If the client still has to ask for something, it has Options.Linger to
// do so.
func (c *Conn) Finish() {
	c.inlet.Quiet()
	c.mu.Lock()
	if c.ended || c.finished {
		c.mu.Unlock()
		return
	}
	c.finished = true
	done := c.poll == nil && c.writing == 0 && !c.short
	if !done {
		c.linger = time.AfterFunc(c.options.linger(), func() {
			c.end(fmt.Errorf("longpoll: the client did not take the rest within %v", c.options.linger()))
		})
	}
	if c.poll != nil {
		c.poll.signal()
	}
	c.mu.Unlock()
	if done {
		c.end(nil)
	}
}

// Abort implements [transport.Conn]. A request that waits is answered with [].
func (c *Conn) Abort() { c.end(errAborted) }

// Overdue implements [transport.Conn]: the client has not asked again within
// Options.Idle. There is nobody to say goodbye to then, so the Conn has ended when it
// returns true, and what the hub does about it has no effect any more.
func (c *Conn) Overdue(now time.Time) bool {
	c.mu.Lock()
	away := !c.finished && c.poll == nil && c.writing == 0 && now.Sub(c.idle) > c.options.idle()
	var cause error
	if away {
		cause = fmt.Errorf("longpoll: the client did not ask again within %v: %w", c.options.idle(), io.EOF)
	}
	first := away && c.endLocked(cause)
	c.mu.Unlock()
	if first {
		c.inlet.End(cause)
	}
	return first
}

// end ends the Conn, once.
func (c *Conn) end(cause error) {
	c.mu.Lock()
	first := c.endLocked(cause)
	c.mu.Unlock()
	if first {
		c.inlet.End(cause)
	}
}

// endLocked reports whether it was not ended before. mu is held.
func (c *Conn) endLocked(cause error) (first bool) {
	if c.ended {
		return false
	}
	c.ended, c.cause = true, cause
	c.answer, c.spare = answer{}, nil
	if c.linger != nil {
		c.linger.Stop()
	}
	if c.poll != nil {
		c.poll.signal()
	}
	return true
}
