//go:build linux && !portable

package sock

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"github.com/liveim/im/internal/netpoll"
)

// takeOver takes the descriptor of a connection that bytes reach by it alone. A
// type that embeds one of these may do more than that, and is left alone.
//
// There is no way to have package net let go of a descriptor, so it is doubled and
// the first one closed, which also takes it out of Go's poller. Both are the same
// connection to the kernel, with the same options.
func (c *Conn) takeOver(conn net.Conn) bool {
	var source syscall.Conn
	switch conn := conn.(type) {
	case *net.TCPConn:
		source = conn
	case *net.UnixConn:
		if conn.LocalAddr().Network() != "unix" {
			return false // datagrams have no partial writes
		}
		source = conn
	default:
		return false
	}
	raw, err := source.SyscallConn()
	if err != nil {
		return false
	}
	poller, err := netpoll.Join()
	if err != nil {
		return false
	}
	fd, errno := uintptr(0), syscall.EBADF
	_ = raw.Control(func(old uintptr) { // does nothing if the connection is closed
		fd, _, errno = syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
	})
	if errno != 0 {
		poller.Leave()
		return false
	}
	_ = conn.Close()
	c.fd, c.poller = int32(fd), poller
	c.uses.Store(1)
	return true
}

// startPolled puts the descriptor into the poller.
func (c *Conn) startPolled(early []byte) {
	if len(early) > 0 {
		c.turn.Store(reads)
	} else {
		c.turn.Store(idle)
	}
	if fd, open := c.Hold(); open {
		err := c.poller.Add(fd, c)
		c.Release()
		if err != nil {
			_ = c.fail(err)
		}
	}
	if c.state.Load() != 0 { // closed, or past its deadline, before it began
		c.schedule()
	}
	if len(early) > 0 {
		c.poller.Go(&firstTask{c, early})
	}
}

// Hold returns the descriptor, which is neither closed nor used for another
// connection before Release. It reports false, and needs no Release, if the connection
// is closed or on the portable path.
func (c *Conn) Hold() (fd int, ok bool) {
	for {
		n := c.uses.Load()
		if n == 0 {
			return 0, false
		}
		if c.uses.CompareAndSwap(n, n+1) {
			return int(c.fd), true
		}
	}
}

// Release ends Hold. The last one after Close closes the descriptor.
func (c *Conn) Release() {
	if c.uses.Add(-1) > 0 {
		return
	}
	c.poller.Remove(int(c.fd))
	_ = syscall.Close(int(c.fd))
	c.poller.Leave()
}

// shutdown ends the sending side.
func (c *Conn) shutdown() {
	if fd, ok := c.Hold(); ok {
		_ = syscall.Shutdown(fd, syscall.SHUT_WR) // a connection that is gone already is as good
		c.Release()
	}
}

// drain passes on what is there. It returns nil when there is nothing more, and
// the next edge brings the next call.
func (c *Conn) drain() error {
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	for {
		if c.state.Load()&stateExpired != 0 {
			return os.ErrDeadlineExceeded
		}
		fd, ok := c.Hold()
		if !ok || c.state.Load()&stateClosed != 0 {
			if ok {
				c.Release()
			}
			return c.closedErr()
		}
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b.b[0])), readSize)
		c.Release()
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN:
			return nil
		case errno != 0:
			return sysError("read", errno)
		case n == 0:
			return io.EOF
		}
		c.handler.Input(b.b[:n])
		if n < readSize && c.state.Load()&stateGone == 0 {
			return nil // what comes from here on is an edge of its own
		}
	}
}

// sendPolled writes what the socket takes.
func (c *Conn) sendPolled(bufs [][]byte, total int) (int, error) {
	fd, ok := c.Hold()
	if !ok {
		return 0, c.closedErr()
	}
	n, err := write(fd, bufs, total)
	if err == nil && n < total {
		// The edge may come before the flag is set; after Rearm there is another one.
		c.state.Or(stateShort)
		err = c.poller.Rearm(fd)
	}
	c.Release()
	if err != nil {
		return n, c.fail(err)
	}
	return n, nil
}
