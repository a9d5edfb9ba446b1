package sock

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im/internal/netpoll"
)

// Handler is told what happens on a [Conn]. Input and Ended are called by one
// goroutine at a time, Writable by any. They are called with no lock held and may
// block; while Input does, nothing is read, which is the back-pressure.
type Handler interface {
	// Input takes what has arrived, at least one byte, which is valid until it
	// returns and may be written to. A panic or a Goexit in it ends reading.
	Input(data []byte)
	// Ended says that nothing will be read any more, and why: io.EOF at the end
	// of input, [os.ErrDeadlineExceeded], an error that wraps [net.ErrClosed] after
	// Close, or what went wrong. It is the last call of the reader.
	Ended(err error)
	// Writable is called once after each short TrySend, as soon as there is room
	// again, and once after CloseWrite. It may call TrySend. A panic in it closes the
	// connection.
	Writable()
}

// Conn is a connection that sends without blocking and is read without a buffer
// of its own. Make one with [New].
//
// TrySend and CloseWrite are called by one goroutine at a time, Start once, the
// other methods by any goroutine. It ends with Close, after which the owner calls
// [Conn.Wait].
type Conn struct {
	handler Handler
	slow    *portable       // nil on the polled path
	poller  *netpoll.Poller // nil on the portable path
	fd      int32
	uses    atomic.Int32  // of fd: one while it is open, and one for each system call or batch that runs
	turn    atomic.Uint32 // who reads
	state   atomic.Uint32 // flags below; some are written under mu

	tasks sync.WaitGroup // that may call Writable; Add under mu, while not closed

	mu  sync.Mutex // guards what follows
	end *ending    // nil for most of a connection's life
}

// ending is what a connection has when it comes to its end.
type ending struct {
	err    error       // first failure of a send
	linger *time.Timer // until the read deadline; on the polled path
}

// endLocked returns the ending, to write to it.
func (c *Conn) endLocked() *ending {
	if c.end == nil {
		c.end = new(ending)
	}
	return c.end
}

// stopLocked stops the timer of the deadline.
func (c *Conn) stopLocked() {
	if c.end != nil && c.end.linger != nil {
		c.end.linger.Stop()
		c.end.linger = nil
	}
}

const (
	stateBusy    = 1 << iota // a parcel is being written
	stateEnding              // CloseWrite was called
	stateClosed              // Close was called
	stateShort               // a send came up short and Writable is owed
	stateGone                // the peer has closed or reset: read on to the end
	stateExpired             // the read deadline has passed
)

// errClosed is what becomes of a connection after Close. It wraps [net.ErrClosed].
var errClosed = fmt.Errorf("sock: the connection was closed here: %w", net.ErrClosed)

// errExited ends reading when Input has ended its goroutine.
var errExited = errors.New("sock: host code called runtime.Goexit; return instead")

// New returns a Conn that owns nc, whose deadlines must be clear. h is called from
// Start on.
func New(nc net.Conn, h Handler) *Conn {
	c := new(Conn)
	c.Init(nc, h, false)
	return c
}

// Init is New for a Conn that is a part of something else. portably asks for the
// portable path. It is called once, before anything else.
func (c *Conn) Init(nc net.Conn, h Handler, portably bool) {
	c.handler = h
	if portably || !c.takeOver(nc) {
		c.slow = &portable{conn: nc}
	}
}

// Start begins to read. early is what was read before, and is the first input; it
// may be empty.
func (c *Conn) Start(early []byte) {
	if c.slow != nil {
		go c.readAlone(early)
		return
	}
	c.startPolled(early)
}

// Polled reports whether the descriptor was taken over.
func (c *Conn) Polled() bool { return c.slow == nil }

// SetReadDeadline makes reading end with [os.ErrDeadlineExceeded] at t. The zero
// time removes the deadline.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.slow != nil {
		return c.slow.conn.SetReadDeadline(t)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopLocked()
	if c.state.Load()&stateClosed != 0 {
		return errClosed
	}
	switch wait := time.Until(t); {
	case t.IsZero():
		c.state.And(^uint32(stateExpired))
	case wait <= 0:
		c.expire()
	default:
		c.endLocked().linger = time.AfterFunc(wait, c.expire)
	}
	return nil
}

func (c *Conn) expire() {
	c.state.Or(stateExpired)
	c.schedule()
}

// Close closes the connection at once, which ends reading. It does not block for
// the peer and may be called more than once.
func (c *Conn) Close() error {
	c.mu.Lock()
	closed := c.state.Or(stateClosed)&stateClosed != 0
	c.stopLocked()
	c.mu.Unlock()
	switch {
	case closed:
		return nil
	case c.slow != nil:
		return c.slow.close()
	}
	c.Release() // that it is open
	c.schedule()
	return nil
}

// Wait returns when Writable will not be called any more, and nothing is sent.
// Close comes first. It must not be called by Writable.
func (c *Conn) Wait() { c.tasks.Wait() }

// Err returns why sending failed, or nil if it did not. Failing sends close the
// connection, and reading then says only that.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil {
		return nil
	}
	return c.end.err
}

// fail notes why the connection is lost and closes it.
func (c *Conn) fail(err error) error {
	c.mu.Lock()
	if e := c.endLocked(); e.err == nil && c.state.Load()&stateClosed == 0 {
		e.err = err
	}
	c.mu.Unlock()
	_ = c.Close()
	return err
}

// closedErr returns why the connection is closed.
func (c *Conn) closedErr() error {
	if err := c.Err(); err != nil {
		return err
	}
	return errClosed
}

// TrySend sends the concatenation of bufs as far as that is possible without
// blocking, and returns how many bytes it took; those reach the peer in order
// unless the connection fails. It keeps neither bufs nor the buffers.
//
// A short count with a nil error means that Writable is called once, when there
// is room; do not call TrySend before. That may happen before TrySend has
// returned. An error means that the connection is closed.
//
// On the portable path a full connection holds at most 32 KiB and a goroutine.
func (c *Conn) TrySend(bufs [][]byte) (int, error) {
	total := 0
	for _, b := range bufs {
		total += len(b)
	}
	switch {
	case c.state.Load()&stateClosed != 0:
		return 0, c.closedErr()
	case total == 0:
		return 0, nil
	case c.slow != nil:
		return c.park(bufs, total)
	}
	return c.sendPolled(bufs, total)
}

// CloseWrite ends the sending side after what TrySend took: the peer reads EOF
// then. Connections that cannot be half closed stay as they are. It does not
// block. Writable is called one last time when it has taken effect, perhaps
// before CloseWrite returns and on its goroutine. No TrySend follows.
func (c *Conn) CloseWrite() {
	c.mu.Lock()
	state := c.state.Load()
	if state&(stateClosed|stateEnding) != 0 {
		c.mu.Unlock()
		return
	}
	c.state.Or(stateEnding)
	spawn := state&stateBusy == 0 && c.slow != nil
	if spawn {
		c.tasks.Add(1)
	}
	c.mu.Unlock()
	switch {
	case spawn:
		go c.halfCloseAlone()
	case c.slow == nil:
		c.shutdown()
		c.handler.Writable()
	}
}

// survive is deferred at the root of what calls Writable, because a panic there
// would take the host's process.
func (c *Conn) survive(doing string) {
	if v := recover(); v != nil {
		_ = c.fail(fmt.Errorf("sock: panic while %s: %v\n%s", doing, v, debug.Stack()))
	}
}

// reading calls read, which returns why reading has ended, or nil if it goes on at
// another time. It survives what host code does in it.
func (c *Conn) reading(read func() error) {
	err := errExited
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("sock: panic in host code: %v\n%s", v, debug.Stack())
		}
		if err != nil {
			c.turn.Store(over)
			c.handler.Ended(err)
		}
	}()
	err = read()
}

// sysError gives a system call's error its name, as package net does.
func sysError(call string, err error) error { return os.NewSyscallError(call, err) }
