package sock

import (
	"crypto/tls"
	"io"
	"net"
)

// portable is what a connection needs on the portable path.
type portable struct {
	conn  net.Conn
	short bool // a TrySend came up short and Writable is owed; guarded by Conn.mu
}

const (
	probeSize     = 512 // bytes, what a portable connection keeps while it waits
	maxEmptyReads = 100 // in a row, before a connection counts as broken
)

// readAlone is the goroutine that reads. It ends when the connection does.
func (c *Conn) readAlone(early []byte) {
	c.reading(func() error {
		if len(early) > 0 {
			c.handler.Input(early)
		}
		return c.readLoop()
	})
}

// readLoop reads into a small buffer of its own, and into a pooled one while more
// arrives than that takes.
func (c *Conn) readLoop() error {
	probe := make([]byte, probeSize)
	for {
		n, err := readSome(c.slow.conn, probe)
		if n > 0 {
			c.handler.Input(probe[:n])
		}
		if err == nil && n == probeSize {
			err = c.readMuch()
		}
		if err != nil {
			return err
		}
	}
}

// readMuch reads until less arrives than a pooled buffer takes.
func (c *Conn) readMuch() error {
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	for {
		n, err := readSome(c.slow.conn, b.b[:])
		if n > 0 {
			c.handler.Input(b.b[:n])
		}
		if err != nil || n < readSize {
			return err
		}
	}
}

// readSome is a Read that does not come back with nothing.
func readSome(conn net.Conn, b []byte) (n int, err error) {
	for range maxEmptyReads {
		if n, err = conn.Read(b); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

func (p *portable) close() error {
	if t, ok := p.conn.(*tls.Conn); ok {
		// tls.Conn.Close waits up to five seconds for room for its alert.
		return t.NetConn().Close()
	}
	return p.conn.Close()
}

// park hands bytes on to a goroutine that writes them, and returns how many were
// taken.
func (c *Conn) park(bufs [][]byte, total int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state := c.state.Load(); {
	case state&stateClosed != 0:
		if c.end != nil && c.end.err != nil {
			return 0, c.end.err
		}
		return 0, errClosed
	case state&stateBusy != 0:
		c.slow.short = true
		return 0, nil
	}
	p := newParcel(bufs, total)
	n := len(p.b)
	c.slow.short = n < total
	c.state.Or(stateBusy)
	c.tasks.Add(1)
	go c.flush(p)
	return n, nil
}

// flush is a goroutine that writes one parcel and then says that there is room,
// if anybody has asked. Close ends it.
func (c *Conn) flush(p *parcel) {
	defer c.tasks.Done()
	defer c.survive("sending")
	if _, err := c.slow.conn.Write(p.b); err != nil {
		// The parcel is not used again: a frame of HTTP/2 may still be read from it when its
		// stream is over.
		_ = c.fail(err)
		return
	}
	p.free()
	c.mu.Lock()
	state := c.state.Load()
	short := c.slow.short
	c.slow.short = false
	c.state.And(^uint32(stateBusy))
	c.mu.Unlock()
	switch {
	case state&stateClosed != 0:
	case state&stateEnding != 0:
		c.halfClose()
	case short:
		c.handler.Writable()
	}
}

// halfCloseAlone is a goroutine, because a TLS alert may have to wait for room.
// Close ends it.
func (c *Conn) halfCloseAlone() {
	defer c.tasks.Done()
	defer c.survive("closing a connection")
	c.halfClose()
}

func (c *Conn) halfClose() {
	if h, ok := c.slow.conn.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite() // a connection that is gone already is as good
	}
	c.handler.Writable()
}
