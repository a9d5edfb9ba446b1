//go:build linux

package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// stage is how far a client is.
type stage uint8

const (
	idle       stage = iota
	connecting       // until the socket is writable
	asking           // until the answer's head is there
	entering         // until it says that the client is in its room
	watching
	ended
)

// conn is one client.
type conn struct {
	scanner
	index int
	fd    int
	stage stage
	head  []byte // of the answer, as far as it is here
	poll  *polling
	kept  int // bytes of tail
	tail  [keep]byte
}

func (c *conn) begin(s *Swarm, index int) {
	c.index, c.fd = index, -1
	if index%s.opts.Sample == 0 {
		c.sample = &sample{}
	}
	c.joined = s.opts.Dialect.Joined
	if s.opts.Way == Poll {
		c.poll = &polling{}
	}
}

func (c *conn) room(s *Swarm) int { return c.index % s.opts.Rooms }

// connect starts the way to the server.
func (c *conn) connect(s *Swarm) (err error) {
	if c.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return os.NewSyscallError("socket", err)
	}
	c.stage = connecting
	// Closing resets the connection: no port stays in TIME_WAIT for the next round.
	if err := unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Connect(c.fd, &s.target); err != nil && err != unix.EINPROGRESS {
		return os.NewSyscallError("connect", err)
	}
	return c.watch(s, unix.EPOLL_CTL_ADD, unix.EPOLLOUT)
}

// watch asks the poller for events of the connection.
func (c *conn) watch(s *Swarm, op int, events uint32) error {
	// The field that is called Fd is for the caller's use.
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(s.poller, op, c.fd, &unix.EpollEvent{Events: events, Fd: int32(c.index)}))
}

// end closes the connection.
func (c *conn) end() {
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
	}
	c.fd, c.stage = -1, ended
}

// ready handles an event of the connection. The connection has to be ended if it
// returns an error.
func (c *conn) ready(s *Swarm) error {
	switch c.stage {
	case ended:
		return nil // by an event that came before in the same batch
	case connecting:
		return c.connected(s)
	}
	b := s.buffer[keep:]
	n, err := unix.Read(c.fd, b)
	switch {
	case err != nil && again(err):
		return nil
	case err != nil:
		return os.NewSyscallError("read", err)
	case n == 0:
		return errEnd
	}
	s.bytes += uint64(n)
	s.now = 0
	from := keep - c.kept
	copy(s.buffer[from:keep], c.tail[:c.kept])
	return c.feed(s, s.buffer[from:keep+n])
}

func (c *conn) connected(s *Swarm) error {
	code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	if err != nil {
		return os.NewSyscallError("connect", err)
	}
	if err := c.watch(s, unix.EPOLL_CTL_MOD, unix.EPOLLIN); err != nil {
		return err
	}
	c.stage = asking
	return c.send(c.request(s))
}

// feed takes what has come, with what was left over before in front of it.
func (c *conn) feed(s *Swarm, b []byte) error {
	if c.stage == asking && c.poll == nil {
		c.head = append(c.head, b...)
		c.kept = 0
		end := bytes.Index(c.head, []byte("\r\n\r\n"))
		switch {
		case end < 0 && len(c.head) > 16<<10:
			return errors.New("the head of the answer has no end")
		case end < 0:
			return nil
		}
		if err := c.answered(s, c.head[:end+2]); err != nil {
			return err
		}
		b, c.head = c.head[end+4:], nil
		c.stage = entering
	}
	used, err := c.consume(s, b)
	if err != nil {
		return err
	}
	c.kept = copy(c.tail[:], b[used:])
	if c.kept < len(b)-used {
		return fmt.Errorf("%d bytes were left over", len(b)-used)
	}
	if c.stage == entering && c.joined == "" {
		c.stage = watching
		c.message = nil
		s.joined++
	}
	return nil
}

func (c *conn) consume(s *Swarm, b []byte) (used int, err error) {
	switch s.opts.Way {
	case Stream:
		return c.stream(&s.tally, b)
	case Poll:
		return len(b), c.polled(s, b)
	}
	return c.take(&s.tally, b)
}

// send writes something that is small beside the socket's buffer.
func (c *conn) send(b []byte) error {
	n, err := unix.Write(c.fd, b)
	if err == nil && n < len(b) {
		err = unix.EAGAIN
	}
	return os.NewSyscallError("write", err)
}

// appendFrame appends a client's frame. Its mask is a constant, which costs nobody anything.
func appendFrame(dst []byte, op byte, payload []byte) []byte {
	dst = append(dst, finBit|op)
	if len(payload) < 126 {
		dst = append(dst, 0x80|byte(len(payload)))
	} else {
		dst = append(dst, 0x80|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(payload)))
	}
	mask := [4]byte{0x5a, 0x3c, 0x96, 0xe1}
	dst = append(dst, mask[:]...)
	for i, b := range payload {
		dst = append(dst, b^mask[i%4])
	}
	return dst
}
