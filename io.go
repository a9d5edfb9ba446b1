package im

import (
	"fmt"

	"github.com/liveim/im/internal/fanout"
	"github.com/liveim/im/internal/netpoll"
	"github.com/liveim/im/internal/uring"
)

// IO is a way to read from and write to plain TCP connections that a hub has taken
// over from the HTTP server, which is what WebSocket and SSE over HTTP/1.1 use.
// Connections over TLS, those that a listener of the host wraps, and HTTP/2 are
// always served as with IOPortable. All ways deliver the same.
type IO uint8

const (
	// IOAuto is the best that the system has.
	IOAuto IO = iota
	// IOUring has a flush hand its sends to the kernel together, through io_uring.
	// Linux has it; containers often forbid it, gVisor and Docker's default among them.
	IOUring
	// IOWrite has a flush make a system call for each session. On Linux.
	IOWrite
	// IOPortable has a goroutine read each connection, and others write.
	IOPortable
)

// String returns "auto", "io_uring", "write" or "portable".
func (i IO) String() string {
	switch i {
	case IOAuto:
		return "auto"
	case IOUring:
		return "io_uring"
	case IOWrite:
		return "write"
	case IOPortable:
		return "portable"
	}
	return fmt.Sprintf("IO(%d)", uint8(i))
}

// validate reports whether the system has what was asked for.
func (i IO) validate() error {
	switch {
	case i > IOPortable:
		return fmt.Errorf("im: Options.IO is %v: want IOAuto, IOUring, IOWrite or IOPortable", i)
	case i == IOUring:
		if err := uring.Probe(); err != nil {
			return fmt.Errorf("im: Options.IO is IOUring: use IOAuto, which does without where it must: %w", err)
		}
	case i == IOWrite && !netpoll.Available:
		return fmt.Errorf("im: Options.IO is IOWrite: use IOAuto, which does without where it must: %w", netpoll.ErrUnavailable)
	}
	return nil
}

// batching is how flushes send.
func (i IO) batching() *fanout.Batching {
	return fanout.NewBatching(i == IOAuto && netpoll.Available || i == IOUring)
}

// io is the way in use.
func (h *Hub) io() IO {
	switch {
	case h.opts.IO == IOPortable || !netpoll.Available:
		return IOPortable
	case h.batching.Active():
		return IOUring
	}
	return IOWrite
}
