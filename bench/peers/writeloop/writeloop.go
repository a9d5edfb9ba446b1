//go:build linux

// Package writeloop is the least that a broadcast over WebSocket can be in Go: one
// write(2) of a frame that was made once for each viewer of the room, one after the
// other. What others cost is told in multiples of it.
//
// It is a yardstick and no server: it reads nothing, and a viewer that takes nothing
// holds up all others.
package writeloop

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/liveim/im/bench/rig"
	"golang.org/x/sys/unix"
)

// Peer is the write loop as a peer.
func Peer() rig.Peer {
	return rig.Peer{
		Name:    "write loop",
		Dialect: rig.Dialect{Path: func(room int) string { return fmt.Sprintf("/%d", room) }},
		New:     newServer,
	}
}

type server struct {
	setup  rig.Setup
	rooms  []room
	volley *volley // nil: each write enters the kernel by itself
}

type room struct {
	mu      sync.Mutex // protects what follows, and is held while the room is written to
	viewers []int      // descriptors
	frame   []byte
	deflate *flate.Writer
	small   bytes.Buffer
}

func newServer(setup rig.Setup) (rig.Server, error) {
	return &server{setup: setup, rooms: make([]room, setup.Rooms)}, nil
}

// Serve implements [rig.Server].
func (s *server) Serve(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			if err := s.admit(conn); err != nil {
				fmt.Fprintln(os.Stderr, "write loop:", err)
			}
			_ = conn.Close() // the room has a descriptor of its own
		}()
	}
}

// admit answers the handshake and puts the viewer into its room.
func (s *server) admit(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	r, err := http.ReadRequest(bufio.NewReaderSize(conn, 1024))
	if err != nil {
		return err
	}
	var number int
	if _, err := fmt.Sscanf(r.URL.Path, "/%d", &number); err != nil || number < 0 || number >= len(s.rooms) {
		return fmt.Errorf("there is no room at %q", r.URL.Path)
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
	if s.setup.Deflate && strings.Contains(r.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate") {
		answer += "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	}
	fd, err := duplicate(conn)
	if err != nil {
		return err
	}
	room := &s.rooms[number]
	room.mu.Lock() // a viewer that has its answer misses nothing
	defer room.mu.Unlock()
	if _, err := conn.Write([]byte(answer + "\r\n")); err != nil {
		_ = unix.Close(fd)
		return err
	}
	room.viewers = append(room.viewers, fd)
	return nil
}

// duplicate returns a descriptor of the connection that Go's poller does not know.
func duplicate(conn net.Conn) (fd int, err error) {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	if e := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		return -1, e
	}
	return fd, os.NewSyscallError("fcntl", err)
}

// Publish implements [rig.Server].
func (s *server) Publish(number int, message []byte) error {
	room := &s.rooms[number]
	room.mu.Lock()
	defer room.mu.Unlock()
	if err := room.encode(message, s.setup.Deflate); err != nil {
		return err
	}
	if s.volley != nil {
		return s.volley.publish(room)
	}
	left := room.viewers[:0]
	for _, fd := range room.viewers {
		if err := write(fd, room.frame); err != nil {
			_ = unix.Close(fd)
			continue
		}
		left = append(left, fd)
	}
	room.viewers = left
	return nil
}

// encode makes the frame of a message.
func (r *room) encode(message []byte, deflate bool) (err error) {
	head := byte(0x81)
	if deflate {
		head |= 0x40
		r.small.Reset()
		if r.deflate == nil {
			if r.deflate, err = flate.NewWriter(&r.small, flate.BestSpeed); err != nil {
				return err
			}
		} else {
			r.deflate.Reset(&r.small)
		}
		if _, err := r.deflate.Write(message); err != nil {
			return err
		}
		if err := r.deflate.Flush(); err != nil {
			return err
		}
		message = bytes.TrimSuffix(r.small.Bytes(), []byte("\x00\x00\xff\xff"))
	}
	if len(message) > 65535 {
		return fmt.Errorf("a message of %d bytes: want at most 65535", len(message))
	}
	r.frame = append(r.frame[:0], head)
	if len(message) < 126 {
		r.frame = append(r.frame, byte(len(message)))
	} else {
		r.frame = binary.BigEndian.AppendUint16(append(r.frame, 126), uint16(len(message)))
	}
	r.frame = append(r.frame, message...)
	return nil
}

// write writes all of b, and waits for the viewer if it must.
func write(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Write(fd, b)
		b = b[max(n, 0):]
		switch {
		case err == syscall.EAGAIN:
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1); err != nil && err != unix.EINTR {
				return err
			}
		case err != nil && err != syscall.EINTR:
			return err
		}
	}
	return nil
}

// Close implements [rig.Server].
func (s *server) Close() error {
	for i := range s.rooms {
		room := &s.rooms[i]
		room.mu.Lock()
		for _, fd := range room.viewers {
			_ = unix.Close(fd)
		}
		room.viewers = nil
		room.mu.Unlock()
	}
	return nil
}
