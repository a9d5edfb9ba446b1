package sock

import (
	"io"
	"sync"
)

const (
	readSize  = 8 << 10 // a pooled buffer, in bytes
	probeSize = 512     // what a portable connection keeps while it waits

	maxEmptyReads = 100 // in a row, before a connection counts as broken
)

// Buffer is what one Read found. Free it when it has been worked on.
type Buffer struct {
	data   []byte
	n      int
	pooled bool
}

var buffers = sync.Pool{New: func() any { return &Buffer{data: make([]byte, readSize), pooled: true} }}

func getBuffer() *Buffer { return buffers.Get().(*Buffer) }

// Bytes returns what was read, at least one byte. It is valid until Free and
// may be written to.
func (b *Buffer) Bytes() []byte { return b.data[:b.n] }

// Free gives the buffer back. Free it once, before the next Read.
func (b *Buffer) Free() {
	if b.pooled {
		buffers.Put(b)
	}
}

// readOp is the outcome of a Read.
type readOp struct {
	buf *Buffer
	err error
}

// Read waits for input and returns what has arrived, at most 8 KiB. While it
// waits a native connection holds no buffer, a portable one 512 bytes. The error
// is io.EOF at the end of input, or that of the connection.
func (c *Conn) Read() (*Buffer, error) {
	if c.raw == nil {
		return c.readPortable()
	}
	if err := c.raw.Read(c.tryRead); err != nil {
		return nil, err
	}
	op := c.read
	c.read = readOp{}
	return op.buf, op.err
}

// readPortable reads into the connection's own small buffer, and into a pooled
// one while more arrives than that takes.
func (c *Conn) readPortable() (*Buffer, error) {
	if err := c.read.err; err != nil {
		return nil, err // came together with the last bytes
	}
	if c.probe == nil {
		c.probe = &Buffer{data: make([]byte, probeSize), n: 0}
	}
	b := c.probe
	if c.probe.n == probeSize {
		b = getBuffer()
		c.probe.n = 0
	}
	var err error
	for range maxEmptyReads {
		if b.n, err = c.conn.Read(b.data); b.n > 0 || err != nil {
			break
		}
	}
	switch {
	case b.n > 0:
		c.read.err = err
		if b.pooled && b.n == readSize {
			c.probe.n = probeSize // more is likely
		}
		return b, nil
	case err == nil:
		err = io.ErrNoProgress
	}
	b.Free()
	return nil, err
}
