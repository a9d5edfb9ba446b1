package sse

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/liveim/im/internal/inlet"
	"github.com/liveim/im/internal/sock"
	"github.com/liveim/im/transport"
)

var (
	_ transport.Conn       = (*Conn)(nil)
	_ transport.Marker     = (*Conn)(nil)
	_ transport.Descriptor = (*Conn)(nil)
)

// Conn is the server's side of a stream of events. [Accept] makes it. Its methods
// may be called from any goroutine, save that TrySend and Finish are called by
// one goroutine at a time, after Start. It ends with Abort, with Finish, or when
// the peer goes away; each time Session.Closed says so.
//
// Session.Closed gets nil if the hub finished in order, io.EOF if the peer hung
// up, and otherwise what went wrong. After Abort that is an error that wraps
// net.ErrClosed.
type Conn struct {
	options  *Options
	rooms    []string
	sock     sock.Conn
	response *response // nil if the connection was taken over
	inlet    inlet.Inlet
	halves   bool // the sending side can be closed alone
	early    bool // something came behind the request; what, is of no interest

	phase     atomic.Uint32         // flags below; of a response
	finishing atomic.Bool           // Finish was called
	flushed   atomic.Bool           // all is sent, and only closing tells the peer
	aborted   atomic.Bool           // Abort was called
	cause     atomic.Pointer[error] // why the connection ends, if that is known before it has ended
}

const (
	phaseStarted = 1 << iota // Start was called
	phaseLeft                // Wait has returned, and nobody serves
)

func newConn(rooms []string, o *Options) *Conn {
	c := &Conn{options: o, rooms: slices.Clone(rooms)}
	c.inlet.Init(c.lose)
	return c
}

// Start implements [transport.Conn].
func (c *Conn) Start(s transport.Session) {
	c.inlet.Start(s)
	if c.response == nil {
		var early []byte
		if c.early {
			early = make([]byte, 1)
		}
		c.sock.Start(early)
		return
	}
	if c.phase.Or(phaseStarted)&phaseLeft != 0 {
		c.inlet.End(errAborted)
	}
	close(c.response.started)
}

// Wait keeps the handler of the request until the stream has ended, where the
// HTTP server keeps the connection, and returns at once where it was taken over.
// The handler calls it last, after Start or Abort.
func (c *Conn) Wait() {
	if c.response == nil {
		return
	}
	select {
	case <-c.response.started:
	case <-c.response.stopped:
		if c.phase.Or(phaseLeft)&phaseStarted == 0 { // aborted before Start
			c.response.release()
			return
		}
	}
	c.serve()
}

// Receive passes a message that came by another request to the session. It waits
// for Start and for other calls, and returns when the session has worked on msg,
// which is not kept. The error is that of the session, or one that wraps
// net.ErrClosed if the session takes no more.
func (c *Conn) Receive(msg []byte) error { return c.inlet.Receive(msg) }

// Private implements [transport.Conn]; it is [Event].
func (c *Conn) Private() transport.Format { return Event{} }

// Shared implements [transport.Conn]; it is [Event].
func (c *Conn) Shared() transport.Format { return Event{} }

// Mark implements [transport.Marker]; it is an id field with the positions of the
// rooms that Accept was given, in that order, and nothing without rooms.
func (c *Conn) Mark(position func(room string) (epoch string, seq uint64)) []byte {
	if len(c.rooms) == 0 {
		return nil
	}
	return appendMark(make([]byte, 0, 8+32*len(c.rooms)), c.rooms, position)
}

// Alone implements [transport.Marker].
func (c *Conn) Alone(room string) bool { return len(c.rooms) == 1 && c.rooms[0] == room }

// TrySend implements [transport.Conn].
func (c *Conn) TrySend(bufs [][]byte) (int, error) { return c.sock.TrySend(bufs) }

// Hold implements [transport.Descriptor].
func (c *Conn) Hold() (fd int, ok bool) { return c.sock.Hold() }

// Release implements [transport.Descriptor].
func (c *Conn) Release() { c.sock.Release() }

// Heartbeat implements [transport.Conn]; it is a comment, which is not answered.
func (c *Conn) Heartbeat() (wire []byte, answered bool) { return comment, false }

// Farewell implements [transport.Conn]; the stream has none.
func (c *Conn) Farewell(int, string) []byte { return nil }

// Finish implements [transport.Conn]. A connection that was taken over is half
// closed, so that the last message is not lost to a reset, and is closed when the
// peer has closed or after Options.Linger. A response, and a connection that
// cannot be half closed, ends when all is sent.
func (c *Conn) Finish() {
	c.finishing.Store(true)
	c.inlet.Quiet()
	if c.response != nil {
		c.response.expire(c.options.linger())
	} else {
		// If it fails, the connection is gone and the reader knows.
		_ = c.sock.SetReadDeadline(time.Now().Add(c.options.linger()))
	}
	c.sock.CloseWrite()
}

// Abort implements [transport.Conn].
func (c *Conn) Abort() {
	c.aborted.Store(true)
	_ = c.sock.Close()
}

// Overdue implements [transport.Conn]; nothing is expected of the peer.
func (c *Conn) Overdue(time.Time) bool { return false }

// room is called by the socket: there is room again after a short send, or,
// after Finish, everything is sent.
func (c *Conn) room() {
	switch {
	case !c.finishing.Load():
		c.inlet.Writable()
	case !c.halves:
		c.flushed.Store(true)
		_ = c.sock.SetReadDeadline(longAgo) // lets the reader end
	}
}

// lose ends the connection because of err.
func (c *Conn) lose(err error) {
	c.cause.CompareAndSwap(nil, &err)
	_ = c.sock.Close()
}
