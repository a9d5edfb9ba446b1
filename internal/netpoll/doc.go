// Package netpoll waits for many descriptors without a goroutine or a buffer for
// any of them.
//
// A [Poller] is an edge-triggered epoll set that is itself parked in Go's own
// poller: while nothing happens one goroutine waits for all descriptors, as cheaply
// as for one. What an edge brings about is done by a few goroutines that are kept for
// it, so that work on one connection may block and delays no other.
//
// It exists on Linux. Elsewhere, and with the build tag "portable", [Join] says
// that it is not there, and connections are read by goroutines.
package netpoll

import "errors"

// ErrUnavailable is the error of [Join] where there is no epoll.
var ErrUnavailable = errors.New("netpoll: this system has no epoll; read each connection on a goroutine")

// Watcher is told what happens on its descriptor.
type Watcher interface {
	// Ready says that there is input, or room for output, or that the peer has closed
	// or reset the connection (gone). It is called by the poller's one
	// goroutine: it hands work to [Poller.Go] and returns at once. A call may still
	// come after Remove.
	Ready(in, out, gone bool)
}

// Task is work that an edge has brought about.
type Task interface {
	// Do may block. It must not panic.
	Do()
}
