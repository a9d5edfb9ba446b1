package websocket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/liveim/im/internal/sock"
	"github.com/liveim/im/internal/ws"
)

// farFuture is later than every limit of the codec.
const farFuture = 100 * 365 * 24 * time.Hour

// errAborted is the outcome after Abort. It wraps [net.ErrClosed].
var errAborted = fmt.Errorf("websocket: aborted by the hub: %w", net.ErrClosed)

// events are a Conn as its socket sees it.
type events Conn

var _ sock.Handler = (*events)(nil)

// Input implements [sock.Handler]. It blocks while the session does.
func (e *events) Input(data []byte) { (*Conn)(e).feed(data) }

// Writable implements [sock.Handler].
func (e *events) Writable() { (*Conn)(e).room() }

// Ended implements [sock.Handler].
func (e *events) Ended(err error) { (*Conn)(e).end(err) }

// feed works on input.
func (c *Conn) feed(data []byte) {
	if c.deaf {
		return
	}
	now := time.Now()
	if err := c.parser.Feed(now, data, (*receiver)(c)); err != nil {
		c.deaf = true
		c.pending.Store(nil)
		if !c.quiet() {
			c.violated(err)
		}
		return
	}
	c.notePending(now)
}

// notePending mirrors the parser's clock of half received messages for Overdue,
// which other goroutines call. What completes one resets the mirror; a ping
// between two fragments does so too, but then the parser itself keeps the time.
func (c *Conn) notePending(now time.Time) {
	switch {
	case !c.parser.Overdue(now.Add(farFuture)):
		c.pending.Store(nil)
	case c.pending.Load() == nil:
		since := now // a variable of its own: the parameter would be allocated at every call
		c.pending.Store(&since)
	}
}

// quiet reports whether the session is to be left alone: it has failed or
// refused a message, or the hub has finished.
func (c *Conn) quiet() bool { return c.over || c.is(stateFinishing) }

func (c *Conn) fail(code int, reason string) {
	c.over = true
	c.session.Fail(code, reason)
}

// violated tells the session what the peer did wrong.
func (c *Conn) violated(err error) {
	c.edge = &edge{cause: err}
	var violation *ws.CloseError
	if !errors.As(err, &violation) {
		violation = &ws.CloseError{Code: ws.CloseInternalError, Reason: "the connection was lost; connect again"}
	}
	c.fail(int(violation.Code), violation.Reason)
}

// end closes the connection and tells the session. err is what reading ended with.
func (c *Conn) end(err error) {
	_ = c.sock.Close()
	c.sock.Wait()
	c.parser.Release()
	c.pending.Store(nil)
	// There is nobody left to tell about a panic in Closed, but the process of
	// the host must survive it.
	defer func() { _ = recover() }()
	c.session.Closed(c.outcome(err))
}

// outcome chooses what Session.Closed is told.
func (c *Conn) outcome(readErr error) error {
	hungUp := errors.Is(readErr, io.EOF)
	timedOut := errors.Is(readErr, os.ErrDeadlineExceeded)
	switch {
	case c.edge != nil && c.edge.cause != nil:
		return c.edge.cause
	case c.sock.Err() != nil:
		return c.sock.Err()
	case c.is(statePeerClosed) && (timedOut || hungUp):
		return nil
	case c.is(stateFinishing) && hungUp:
		return nil
	case c.is(stateFinishing) && timedOut:
		return fmt.Errorf("websocket: the peer did not close within %v: %w", c.options.linger(), readErr)
	case c.is(stateAborted) && !hungUp:
		return errAborted
	}
	return readErr
}

// receiver is a Conn as the parser sees it.
type receiver Conn

var _ ws.Handler = (*receiver)(nil)

// Message implements [ws.Handler]. Nothing here is an error for the parser, so
// that it goes on to look for the peer's close frame.
func (r *receiver) Message(op ws.Opcode, payload []byte) error {
	c := (*Conn)(r)
	c.pending.Store(nil) // the time that Receive takes is not the peer's
	switch {
	case c.quiet():
	case op != ws.OpText:
		c.violated(&ws.CloseError{Code: ws.CloseUnsupportedData, Reason: "send text messages, not binary ones"})
	default:
		c.over = c.session.Receive(payload) != nil
	}
	return nil
}

// Ping implements [ws.Handler].
func (r *receiver) Ping(payload []byte) error {
	c := (*Conn)(r)
	c.pending.Store(nil)
	if !c.quiet() {
		c.session.Control(ws.AppendFrame(nil, ws.OpPong, true, false, payload))
	}
	return nil
}

// Pong implements [ws.Handler].
func (r *receiver) Pong([]byte) error {
	c := (*Conn)(r)
	c.pending.Store(nil)
	if !c.quiet() {
		c.session.Alive()
	}
	return nil
}

// Close implements [ws.Handler].
func (r *receiver) Close(code ws.CloseCode, reason string) error {
	c := (*Conn)(r)
	c.state.Or(statePeerClosed)
	if !c.quiet() {
		c.fail(int(code), reason)
	}
	c.closeIfDone()
	return nil
}
