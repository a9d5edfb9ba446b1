package websocket

import (
	"sync/atomic"
	"time"

	"github.com/liveim/im/internal/sock"
	"github.com/liveim/im/internal/ws"
	"github.com/liveim/im/transport"
)

var (
	_ transport.Conn       = (*Conn)(nil)
	_ transport.Descriptor = (*Conn)(nil)
)

// pingFrame is an empty ping, as a server sends it.
var pingFrame = []byte{0x80 | byte(ws.OpPing), 0}

// Conn is the server's side of a WebSocket connection. [Upgrade] makes it. Its
// methods may be called from any goroutine, save that TrySend and Finish are
// called by one goroutine at a time, after Start. It ends with Abort, with Finish,
// or when the peer goes away; each time Session.Closed says so.
//
// Session.Closed gets nil if the close handshake was completed or the hub
// finished in order, io.EOF if the peer hung up without a close frame, and
// otherwise what went wrong. After Abort that is an error that wraps net.ErrClosed.
type Conn struct {
	sock    sock.Conn
	options *Options
	session transport.Session // set by Start
	state   atomic.Uint32     // flags below

	protocol int8             // in Options.Protocols; -1: none
	shared   transport.Format // made once: to make it is to allocate

	// pending is when the first byte of a half received message arrived, or nil. The
	// reader writes it.
	pending atomic.Pointer[time.Time]

	// The rest belongs to whoever reads.
	deaf   bool  // the parser has failed; input is discarded
	over   bool  // the session wants to hear no more
	edge   *edge // nil between the beginning and the end
	parser ws.Parser
}

// edge is what a connection has when it begins or ends.
type edge struct {
	early []byte // came together with the handshake
	cause error  // why the connection ends, if it is known before reading fails
}

const (
	stateFinishing  = 1 << iota // Finish was called
	stateFlushed                // all that was sent before Finish is with the kernel
	statePeerClosed             // the peer's close frame has arrived
	stateAborted                // Abort was called
)

func (c *Conn) is(flag uint32) bool { return c.state.Load()&flag != 0 }

// Start implements [transport.Conn].
func (c *Conn) Start(s transport.Session) {
	c.session = s
	var early []byte
	if c.edge != nil {
		early, c.edge = c.edge.early, nil
	}
	c.sock.Start(early)
}

// Protocol returns the subprotocol that was negotiated, or the empty string.
func (c *Conn) Protocol() string {
	if c.protocol < 0 {
		return ""
	}
	return c.options.Protocols[c.protocol]
}

// Private implements [transport.Conn]; it is [Text].
func (c *Conn) Private() transport.Format { return Text{} }

// Shared implements [transport.Conn]; it is [Deflated] if compression was
// negotiated, and [Text] otherwise.
func (c *Conn) Shared() transport.Format {
	return c.shared
}

// TrySend implements [transport.Conn].
func (c *Conn) TrySend(bufs [][]byte) (int, error) { return c.sock.TrySend(bufs) }

// Hold implements [transport.Descriptor].
func (c *Conn) Hold() (fd int, ok bool) { return c.sock.Hold() }

// Release implements [transport.Descriptor].
func (c *Conn) Release() { c.sock.Release() }

// Heartbeat implements [transport.Conn]; it is a ping.
func (c *Conn) Heartbeat() (wire []byte, answered bool) { return pingFrame, true }

// Farewell implements [transport.Conn]; it is a close frame. A code that must not
// be sent, such as 1005, makes one without a code. Reasons are cut to 123 bytes.
func (c *Conn) Farewell(code int, reason string) []byte {
	wire := ws.CloseCode(0)
	if code >= 0 && code <= 0xFFFF {
		wire = ws.CloseCode(code)
	}
	return ws.AppendFrame(nil, ws.OpClose, true, false, ws.AppendClose(nil, wire, reason))
}

// Finish implements [transport.Conn]. It half-closes the connection, so that the
// close frame is not lost to a reset, and closes it when both close frames were
// exchanged, when the peer has closed, or after Options.Linger.
func (c *Conn) Finish() {
	c.state.Or(stateFinishing)
	// If it fails, the connection is gone and the reader knows.
	_ = c.sock.SetReadDeadline(time.Now().Add(c.options.linger()))
	c.sock.CloseWrite()
}

// Abort implements [transport.Conn].
func (c *Conn) Abort() {
	c.state.Or(stateAborted)
	_ = c.sock.Close()
}

// Overdue implements [transport.Conn]: a message is half received for longer than
// Limits.MaxAssembly. now is compared on the monotonic clock.
func (c *Conn) Overdue(now time.Time) bool {
	pending := c.pending.Load()
	return pending != nil && now.Sub(*pending) > c.options.maxAssembly()
}

// room is called by the socket: there is room again after a short send, or,
// after Finish, everything is sent.
func (c *Conn) room() {
	if !c.is(stateFinishing) {
		c.session.Writable()
		return
	}
	c.state.Or(stateFlushed)
	c.closeIfDone()
}

// closeIfDone lets the reader end when both sides have said all they had to: the
// server is the one to close then (RFC 6455 section 7.1.1).
func (c *Conn) closeIfDone() {
	if c.is(stateFlushed) && c.is(statePeerClosed) {
		_ = c.sock.SetReadDeadline(time.Unix(1, 0)) // long ago
	}
}
