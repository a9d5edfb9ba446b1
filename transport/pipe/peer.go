package pipe

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/liveim/im/transport"
)

// Peer is the client's side of a pipe. Its methods may be called from any
// goroutine; calls of one kind take turns. It ends with Close, or when the hub
// ends the pipe.
type Peer struct {
	conn      *Conn
	receiving chan struct{} // holds a token while nobody is in Recv
	line      []byte        // beginning of the message that Recv is in; owned by the token
	farewell  *CloseError   // owned by the token
}

// errLineBreak is the answer to a message that the stream cannot carry.
var errLineBreak = errors.New("pipe: send JSON without line breaks; json.Compact removes them")

// Send gives the hub one message, a JSON text without line breaks, and returns
// when the hub has worked on it: the session's Receive runs on the caller's
// goroutine. It waits for the hub to start the pipe. msg is not kept.
//
// ctx bounds the wait for the hub's turn, not the hub's work. The error is that
// of ctx, io.ErrClosedPipe after the end, or that of a message which breaks the
// rules, upon which the hub closes.
func (p *Peer) Send(ctx context.Context, msg []byte) error {
	c := p.conn
	select {
	case <-c.started:
	case <-c.ended:
		return io.ErrClosedPipe
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-c.reading:
	case <-c.ended:
		return io.ErrClosedPipe
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer c.stopReading()
	switch {
	case c.quiet():
		return io.ErrClosedPipe
	case bytes.ContainsAny(msg, "\r\n"):
		c.fail(1007, "send JSON without line breaks")
		return errLineBreak
	case len(msg) > c.options.MaxMessage:
		c.fail(1009, "send smaller messages")
		return errors.New("pipe: send smaller messages, or raise Options.MaxMessage")
	}
	var refused error
	if !c.use(func(s transport.Session) { refused = s.Receive(msg) }) {
		return io.ErrClosedPipe
	}
	if refused != nil {
		c.mute()
	}
	return nil
}

// Recv returns the next message of the hub, which the caller owns. It waits for
// one until ctx ends. After the hub's farewell the error is a *[CloseError], at
// the end without one io.EOF.
func (p *Peer) Recv(ctx context.Context) ([]byte, error) {
	select {
	case <-p.receiving:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { p.receiving <- struct{}{} }()
	for {
		whole, last := p.take()
		switch {
		case whole:
			if msg := p.interpret(); msg != nil {
				return msg, nil
			}
			continue
		case last:
			return nil, p.closeError()
		}
		select {
		case <-p.conn.arrived:
		case <-p.conn.ended:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Close hangs up, as a client does that goes away: the hub's session is closed
// with io.EOF. What the hub has sent before can still be received. It does not
// block and may be called more than once.
func (p *Peer) Close() error {
	p.conn.end(io.EOF)
	return nil
}

func (p *Peer) closeError() error {
	if p.farewell != nil {
		return p.farewell
	}
	return io.EOF
}

// take moves the next line, or what there is of it, from the pipe to p.line.
// whole means that the line is complete, last that nothing more will come.
func (p *Peer) take() (whole, last bool) {
	c := p.conn
	c.mu.Lock()
	n := bytes.IndexByte(c.buf, '\n') + 1
	whole = n > 0
	if !whole {
		n = len(c.buf)
	}
	p.line = append(p.line, c.buf[:n]...)
	c.buf = c.buf[n:]
	if len(c.buf) == 0 {
		c.buf = nil
	}
	last = len(c.buf) == 0 && (c.finished || c.isEnded)
	writable := c.short && n > 0 && !c.finished
	c.short = c.short && !writable
	c.mu.Unlock()
	if writable {
		c.use(func(s transport.Session) { s.Writable() })
	}
	if last && !whole {
		c.end(nil) // read to the end, after Finish
	}
	return whole, last
}

// interpret returns the message in p.line, or nil if the line was for the pipe
// itself.
func (p *Peer) interpret() []byte {
	line := p.line
	p.line = nil
	if bytes.Equal(line, heartbeat) {
		p.conn.answer()
		return nil
	}
	line = line[:len(line)-1]
	if farewell := parseFarewell(line); farewell != nil {
		p.farewell = farewell
		return nil
	}
	return line
}

// answer notes that the peer is alive. The session hears of it from whoever acts
// as the reader: this goroutine, or else the one that is about to stop.
func (c *Conn) answer() {
	c.mu.Lock()
	c.alive = true
	c.mu.Unlock()
	c.passAlive()
}

// passAlive calls Session.Alive if that is owed and nobody else is the reader.
func (c *Conn) passAlive() {
	for {
		select {
		case <-c.reading:
		default:
			return
		}
		c.mu.Lock()
		owed := c.alive && !c.over && !c.finished
		c.alive = false
		c.mu.Unlock()
		if owed {
			c.use(func(s transport.Session) { s.Alive() })
		}
		c.reading <- struct{}{}
		if !c.owesAlive() {
			return
		}
	}
}

func (c *Conn) owesAlive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alive
}

// stopReading lets the next one act as the reader.
func (c *Conn) stopReading() {
	c.reading <- struct{}{}
	if c.owesAlive() {
		c.passAlive()
	}
}

// quiet reports whether the session is to be left alone.
func (c *Conn) quiet() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over || c.finished || c.isEnded
}

// mute notes that the session is to be left alone.
func (c *Conn) mute() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
}

// fail tells the session that the peer broke the rules.
func (c *Conn) fail(code int, reason string) {
	c.mute()
	c.use(func(s transport.Session) { s.Fail(code, reason) })
}
