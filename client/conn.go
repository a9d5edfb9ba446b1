package client

import "context"

// Conn is one connection to a server: it carries messages, whole and in order,
// both ways. A client uses one until the first error, then closes it and gets
// another.
//
// Send and Recv are each called by one goroutine at a time, and both may run at
// once. Close may be called at any time.
//
// An *im.Error anywhere in an error of Send or Recv says by its code whether
// and when to connect again; other errors lead to a new connection after a
// backoff.
type Conn interface {
	// Send sends one message, a JSON text. It may block until the context ends,
	// but not for the peer to do anything but receive. It does not keep msg.
	Send(ctx context.Context, msg []byte) error
	// Recv returns the next message, which then belongs to the caller until the
	// next call of Recv. It blocks until there is one or the context ends; after
	// that the Conn need not be usable any more.
	Recv(ctx context.Context) (msg []byte, err error)
	// Close ends the connection and unblocks the other methods. Only the first
	// call has an effect.
	Close() error
}

// Pulse is an optional ability of a [Conn] whose protocol has signs of life of
// its own, such as the pings of WebSocket. Without it only messages count as such.
type Pulse interface {
	// Heard returns how often the peer has given a sign of life so far, messages
	// aside.
	Heard() uint64
}
