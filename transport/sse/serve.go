package sse

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"

	"github.com/liveim/im/internal/sock"
)

// errExited is the cause when host code ended the serving goroutine.
var errExited = errors.New("sse: the session called runtime.Goexit; return from its methods instead")

// errAborted is the outcome after Abort. It wraps [net.ErrClosed].
var errAborted = fmt.Errorf("sse: aborted by the hub: %w", net.ErrClosed)

// violation is what a client is told, and the cause, that sends on its stream.
const violation = "nothing can be sent on a stream of events; use POST"

// serve waits for the end of a response, in the handler of its request.
func (c *Conn) serve() {
	err := errExited
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("sse: panic: %v\n%s", v, debug.Stack())
		}
		c.end(err)
	}()
	err = c.response.wait()
}

// events are a Conn as its socket sees it.
type events Conn

var _ sock.Handler = (*events)(nil)

// Input implements [sock.Handler].
func (e *events) Input([]byte) { (*Conn)(e).violated() }

// Writable implements [sock.Handler].
func (e *events) Writable() { (*Conn)(e).room() }

// Ended implements [sock.Handler].
func (e *events) Ended(err error) { (*Conn)(e).end(err) }

// violated tells the session, once, that the peer sent something. What follows
// is read and discarded until the hub has finished, so that the last message is
// not lost to a reset.
func (c *Conn) violated() {
	if c.finishing.Load() {
		return
	}
	err := errors.New("sse: the peer sent something: " + violation)
	if c.cause.CompareAndSwap(nil, &err) {
		c.inlet.Fail(1002, violation)
	}
}

// end closes the connection and tells the session. err is what serving ended with.
func (c *Conn) end(err error) {
	_ = c.sock.Close()
	c.sock.Wait()
	if c.response != nil {
		c.response.release()
	}
	c.inlet.End(c.outcome(err))
}

// outcome chooses what Session.Closed is told.
func (c *Conn) outcome(err error) error {
	hungUp := errors.Is(err, io.EOF)
	timedOut := errors.Is(err, os.ErrDeadlineExceeded)
	cause := c.cause.Load()
	switch {
	case cause != nil:
		return *cause
	case c.sock.Err() != nil:
		return c.sock.Err()
	case c.finishing.Load() && (hungUp || c.flushed.Load() && timedOut):
		return nil
	case c.finishing.Load() && timedOut:
		return fmt.Errorf("sse: the peer did not take the rest and close within %v: %w", c.options.linger(), err)
	case c.aborted.Load() && !hungUp:
		return errAborted
	}
	return err
}
