//go:build linux

package load

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/liveim/im/bench/rig"
	"golang.org/x/sys/unix"
)

// Way is how clients watch.
type Way uint8

// The ways. All but WebSocket need a server that has them; see [rig.Dialect].
const (
	WebSocket Way = iota
	Stream        // server-sent events
	Poll          // long-poll
)

// Options are the clients of a swarm.
type Options struct {
	Address  string // of the server, host:port
	Clients  int
	Rooms    int // client i is in room i modulo Rooms. Zero means 1
	Dialect  rig.Dialect
	Way      Way
	Deflate  bool // offer permessage-deflate
	InFlight int  // how many clients join at a time. Zero means 256
	Sample   int  // of every Sample-th client all latencies and numbers are looked at. Zero means 16
	Size     int  // of the messages. Zero means that it is not known
}

// Swarm is the clients. It is used by one goroutine, and does something only while that
// is in Join or Run.
type Swarm struct {
	opts    Options
	target  unix.SockaddrInet4
	poller  int
	events  []unix.EpollEvent
	buffer  []byte // keep bytes for what was left over, then what is read
	conns   []conn
	started int // clients that have begun to connect
	joined  int
	gone    int   // clients that were in and whose connection has ended
	fault   error // why the first of these ended
	bytes   uint64
	tally
}

// bufferSize is what one read may bring. A batch for a client is rarely larger.
const bufferSize = 256 << 10

// New prepares a swarm. Nothing is connected before Join. Close ends it.
func New(o Options) (*Swarm, error) {
	if o.Rooms == 0 {
		o.Rooms = 1
	}
	if o.InFlight == 0 {
		o.InFlight = 256
	}
	if o.Sample == 0 {
		o.Sample = 16
	}
	if o.Size == 0 {
		o.Size = smallest
	}
	if o.Size < smallest {
		return nil, fmt.Errorf("messages of %d bytes: want at least %d", o.Size, smallest)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil && uint64(o.Clients)+100 > limit.Max {
		return nil, fmt.Errorf("%d clients need as many descriptors, and this process may have %d: raise the hard limit (ulimit -Hn)", o.Clients, limit.Max)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, os.NewSyscallError("setrlimit", err)
	}
	addr, err := net.ResolveTCPAddr("tcp4", o.Address)
	if err != nil {
		return nil, err
	}
	s := &Swarm{opts: o, target: unix.SockaddrInet4{Port: addr.Port}, events: make([]unix.EpollEvent, 1024), buffer: make([]byte, keep+bufferSize)}
	copy(s.target.Addr[:], addr.IP.To4())
	s.skip = o.Size - 1 // the marker is the second byte of a message
	if s.poller, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	s.conns = make([]conn, o.Clients)
	for i := range s.conns {
		s.conns[i].begin(s, i)
	}
	return s, nil
}

// Join connects all clients, and returns how long it took until the last of them was in
// its room. The first that is refused is an error.
func (s *Swarm) Join(limit time.Duration) (took time.Duration, err error) {
	begun := time.Now()
	for s.joined < len(s.conns) {
		for s.started < len(s.conns) && s.started-s.joined < s.opts.InFlight {
			if err := s.conns[s.started].connect(s); err != nil {
				return 0, err
			}
			s.started++
		}
		if err := s.step(100 * time.Millisecond); err != nil {
			return 0, err
		}
		if s.fault != nil {
			return 0, fmt.Errorf("after %d of %d clients had joined: %w", s.joined, len(s.conns), s.fault)
		}
		if time.Since(begun) > limit {
			return 0, fmt.Errorf("%d of %d clients have joined in %v", s.joined, len(s.conns), limit)
		}
	}
	return time.Since(begun), nil
}

// Run has the clients read until done says so, which it is asked at least as often as every says.
func (s *Swarm) Run(every time.Duration, done func() bool) error {
	for !done() {
		if err := s.step(every); err != nil {
			return err
		}
	}
	return nil
}

// step handles what is ready, or waits for it.
func (s *Swarm) step(wait time.Duration) error {
	n, err := unix.EpollWait(s.poller, s.events, int(max(1, wait.Milliseconds())))
	if err == unix.EINTR {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("epoll_wait", err)
	}
	for i := range n {
		c := &s.conns[s.events[i].Fd] // the index of the client, not a descriptor
		if err := c.ready(s); err != nil {
			c.end()
			s.gone++
			if s.fault == nil {
				s.fault = err
			}
		}
	}
	return nil
}

// Totals is what a swarm has counted.
type Totals struct {
	Messages   uint64 // to all clients together
	Bytes      uint64 // that were read from the sockets, since the first connection
	Doubles    uint64 // messages that a client of the sample got again
	Disordered uint64 // messages that a client of the sample got after a later one
	Gone       int    // clients whose connection has ended
	Plain      int    // clients that offered compression in vain
	Fault      error  // why the first of those that are gone ended
}

// Totals returns what was counted since the start.
func (s *Swarm) Totals() Totals {
	t := Totals{Messages: s.messages, Bytes: s.bytes, Gone: s.gone, Fault: s.fault}
	for i := range s.conns {
		c := &s.conns[i]
		if c.sample != nil {
			t.Doubles += c.sample.doubles
			t.Disordered += c.sample.disordered
		}
		if s.opts.Deflate && c.stage == watching && !c.deflate {
			t.Plain++
		}
	}
	return t
}

// Messages is how many messages all clients together have got.
func (s *Swarm) Messages() uint64 { return s.messages }

// Bytes is how many bytes were read from the sockets.
func (s *Swarm) Bytes() uint64 { return s.bytes }

// Lowest is what the client that got least has got. Clients that are gone do not
// count, or a server would wait for them for ever.
func (s *Swarm) Lowest() uint64 {
	lowest := ^uint64(0)
	for i := range s.conns {
		if c := &s.conns[i]; c.stage != ended {
			lowest = min(lowest, c.got)
		}
	}
	return lowest
}

// Missing returns how many deliveries are missing, and how many there are too many, if
// published tells how many messages each room had.
func (s *Swarm) Missing(published []uint64) (missing, surplus uint64) {
	for i := range s.conns {
		want, got := published[i%s.opts.Rooms], s.conns[i].got
		missing += max(want, got) - got
		surplus += max(want, got) - want
	}
	return missing, surplus
}

// Latency returns the times from publication to arrival at the clients of the sample.
func (s *Swarm) Latency() *Histogram { return &s.latency }

// ResetLatency forgets them.
func (s *Swarm) ResetLatency() { s.latency = Histogram{} }

// Close ends all connections, without waiting for the server.
func (s *Swarm) Close() error {
	var all error
	for i := range s.conns {
		s.conns[i].end()
	}
	if s.poller >= 0 {
		all = os.NewSyscallError("close", unix.Close(s.poller))
	}
	s.poller = -1
	return all
}

// errEnd is the error of a connection that the server has ended.
var errEnd = errors.New("the server ended the connection")

// errFull is the error of a socket that has no room.
var errFull = syscall.EAGAIN

// again reports whether a socket is only not ready.
func again(err error) bool { return err == syscall.EAGAIN || err == syscall.EINTR }
