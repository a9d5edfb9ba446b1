//go:build unix && !portable

package sock

import (
	"io"
	"net"
	"syscall"
)

// rawConn returns access to the descriptor of a connection that bytes reach by
// it alone, or nil. A type that embeds one of these may do more than that.
func rawConn(c net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	var err error
	switch c := c.(type) {
	case *net.TCPConn:
		raw, err = c.SyscallConn()
	case *net.UnixConn:
		if c.LocalAddr().Network() != "unix" {
			return nil // datagrams have no partial writes
		}
		raw, err = c.SyscallConn()
	}
	if err != nil {
		return nil
	}
	return raw
}

// readReady reads what is there into a pooled buffer. It is called with a
// descriptor that does not block, and returns false to wait for readability.
func (c *Conn) readReady(fd uintptr) bool {
	b := getBuffer()
	for {
		n, err := syscall.Read(int(fd), b.data)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			b.Free()
			return false
		case err != nil:
			b.Free()
			c.read = readOp{err: sysError("read", err)}
		case n == 0:
			b.Free()
			c.read = readOp{err: io.EOF}
		default:
			b.n = n
			c.read = readOp{buf: b}
		}
		return true
	}
}

// writeReady tries to write and never waits.
func (c *Conn) writeReady(fd uintptr) bool {
	c.write.run(int(fd))
	return true
}
