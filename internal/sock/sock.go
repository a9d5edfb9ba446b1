package sock

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a connection that sends without blocking and reads without holding
// a buffer. Make one with [New].
//
// TrySend and CloseWrite are called by one goroutine at a time, Read by one
// goroutine at a time; Close, Err and SetReadDeadline by any. It ends with
// Close, after which the owner calls [Conn.Wait].
//
// An idle Conn owns no goroutine. One exists while a send waits for room, or
// while it is written where writing can block.
type Conn struct {
	conn     net.Conn
	raw      syscall.RawConn // nil on the portable path
	writable func()

	// Cached method values: a closure a call would be an allocation a call.
	tryWrite func(fd uintptr) bool
	tryRead  func(fd uintptr) bool
	write    *writeOp // what TrySend is doing, nil between calls
	read     readOp   // what Read is doing
	probe    *Buffer  // first buffer of a portable Read, nil until used

	state   atomic.Uint32  // flags below; written under mu, read without
	flusher sync.WaitGroup // transient goroutines; Add under mu, while not closed

	mu    sync.Mutex // guards short, err and changes of state
	short bool       // a TrySend came up short and Writable is owed
	err   error      // first failure of a send
}

const (
	stateBusy   = 1 << iota // a parcel is being written
	stateEnding             // CloseWrite was called
	stateClosed             // Close was called
)

// errClosed is returned by sends after Close. It wraps [net.ErrClosed].
var errClosed = fmt.Errorf("sock: send on a connection that was closed here: %w", net.ErrClosed)

// New returns a Conn that owns c. writable is called once after each short
// TrySend, from a goroutine of its own and with no lock held, as soon as there
// is room again; it may call TrySend. Deadlines for writing must be clear.
func New(c net.Conn, writable func()) *Conn {
	s := &Conn{conn: c, writable: writable}
	if raw := rawConn(c); raw != nil {
		s.raw = raw
		s.tryWrite = s.writeReady
		s.tryRead = s.readReady
	}
	return s
}

// NetConn returns the connection that New was given. Reading, writing and
// closing it is the Conn's business.
func (c *Conn) NetConn() net.Conn { return c.conn }

// Native reports whether sends are system calls of the caller's goroutine.
func (c *Conn) Native() bool { return c.raw != nil }

// SetReadDeadline makes Read fail with an error that wraps
// [os.ErrDeadlineExceeded] at t, even one that is waiting. The zero time
// removes the deadline.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.conn.SetReadDeadline(t) }

// Close closes the connection at once, which fails what waits to read or write.
// It does not block for the peer and may be called more than once.
func (c *Conn) Close() error {
	c.mu.Lock()
	closed := c.state.Load()&stateClosed != 0
	c.state.Or(stateClosed)
	c.mu.Unlock()
	if closed {
		return nil
	}
	if t, ok := c.conn.(*tls.Conn); ok {
		// tls.Conn.Close waits up to five seconds for room for its alert.
		return t.NetConn().Close()
	}
	return c.conn.Close()
}

// Wait returns when every goroutine of the Conn has ended and writable will not
// be called any more. Close comes first. It must not be called by writable.
func (c *Conn) Wait() { c.flusher.Wait() }

// Err returns why sending failed, or nil if it did not. Failing sends close the
// connection, and Read then says only that.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// fail notes why the connection is lost and closes it.
func (c *Conn) fail(err error) error {
	c.mu.Lock()
	if c.err == nil && c.state.Load()&stateClosed == 0 {
		c.err = err
	}
	c.mu.Unlock()
	_ = c.Close()
	return err
}

// CloseWrite ends the sending side after what TrySend took: the peer reads EOF
// then. Connections that cannot be half closed stay as they are. It does not
// block. writable is called one last time when it has taken effect, perhaps
// before CloseWrite returns and on its goroutine. No TrySend follows.
func (c *Conn) CloseWrite() {
	c.mu.Lock()
	state := c.state.Load()
	if state&(stateClosed|stateEnding) != 0 {
		c.mu.Unlock()
		return
	}
	c.state.Or(stateEnding)
	spawn := state&stateBusy == 0 && c.raw == nil
	if spawn {
		c.flusher.Add(1)
	}
	c.mu.Unlock()
	switch {
	case spawn:
		go c.halfCloseAlone()
	case state&stateBusy == 0:
		c.halfClose() // shutdown(2), which does not block
	}
}

// halfCloseAlone is a goroutine, because a TLS alert may have to wait for room.
// Close ends it.
func (c *Conn) halfCloseAlone() {
	defer c.flusher.Done()
	defer c.survive("closing a connection")
	c.halfClose()
}

func (c *Conn) halfClose() {
	if h, ok := c.conn.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite() // a connection that is gone already is as good
	}
	c.writable()
}

// survive is deferred at the root of each goroutine, because a panic there
// would take the host's process.
func (c *Conn) survive(doing string) {
	if v := recover(); v != nil {
		_ = c.fail(fmt.Errorf("sock: panic while %s: %v\n%s", doing, v, debug.Stack()))
	}
}

// closedLocked returns why nothing can be sent any more. mu is held.
func (c *Conn) closedLocked() error {
	if c.err != nil {
		return c.err
	}
	return errClosed
}

// sysError gives a system call's error its name, as package net does.
func sysError(call string, err error) error { return os.NewSyscallError(call, err) }
