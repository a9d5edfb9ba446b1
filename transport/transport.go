// Package transport is the seam between the hub and the ways in which clients
// reach it. A transport turns bytes of a network into messages and back; the hub
// knows rooms, users and rights. Neither knows the other: the hub sees a [Conn],
// the transport sees a [Session].
//
// What a room delivers is encoded once per [Format] and shared by all sessions
// that use it, so a Conn gets wire bytes to send, never messages to encode. The
// hub calls a Conn from few goroutines that serve thousands of sessions,
// therefore sending never blocks: a Conn takes what fits now and says when there
// is room again.
//
// The package transporttest is this contract as a test suite.
package transport

import "time"

// Format turns one message, a JSON text without line breaks, into the bytes
// that carry it on the wire: a WebSocket frame, a deflated frame, an SSE event.
// The concatenation of encoded messages is a valid stream.
//
// Formats are compared with ==: two sessions share bytes if their formats are
// equal. Implementations are therefore small comparable values, safe for use by
// many goroutines at once.
type Format interface {
	// Append appends the wire form of message to dst and returns the result. It
	// does not keep message.
	Append(dst, message []byte) []byte
}

// Splitter is an optional ability of a Format whose wire form ends with the message as it is,
// so that the end of a message can be shared by messages that begin differently.
type Splitter interface {
	// AppendHead appends the wire form of a message up to the end of head, which is how
	// the message begins. The n bytes that follow are sent behind it.
	AppendHead(dst, head []byte, n int) []byte
}

// Conn is one open connection to a client, as the hub sees it. The transport
// makes it; the hub owns it from [Conn.Start] on.
//
// TrySend and Finish are called by one goroutine at a time, after Start; the
// other methods from any, at any time. A Conn that is aborted before Start is
// closed and needs no Start; if Start follows, Session.Closed follows it.
type Conn interface {
	// Start begins to read from the peer and to call s. It returns at once and is
	// called once. Before Start no method of a session is called.
	Start(s Session)

	// Private is the format of messages that only this session gets, Shared that
	// of messages that many get. They differ where sharing pays for more work,
	// for example compression.
	Private() Format
	Shared() Format

	// TrySend sends the concatenation of bufs as far as that is possible without
	// blocking, and returns how many bytes it took. Bytes that were taken are sent
	// in order. The Conn may read the buffers until they are sent, so nobody may
	// change them any more; it must not keep the slice bufs itself.
	//
	// A short count with a nil error means that the connection is full: the Conn
	// then calls Session.Writable once, as soon as there is room again, and
	// TrySend is not called before. Writable may run before TrySend has returned.
	// An error means that the connection is dead; Session.Closed follows. Writable
	// is not owed any more after Finish, Abort or an error.
	TrySend(bufs [][]byte) (n int, err error)

	// Heartbeat returns wire bytes that keep the connection in use, or nil if the
	// transport has no such thing. The caller must not change them. answered says
	// that a living peer answers them, so that Session.Alive is called, and that
	// silence means a dead one. Where it is false silence means nothing, and the
	// transport finds dead peers by itself.
	Heartbeat() (wire []byte, answered bool)

	// Farewell returns wire bytes that end the stream in the transport's own
	// way, for example a close frame, or nil. code is a WebSocket close code; one
	// that Session.Fail has passed is always allowed.
	Farewell(code int, reason string) []byte

	// Finish ends the connection in order after the last bytes were taken by
	// TrySend: it lets them reach the peer, waits a short time for the peer to
	// close, then closes. It does not block. No TrySend follows.
	Finish()

	// Abort closes the connection now. It may be called more than once, and
	// unblocks whatever the Conn is doing.
	Abort()

	// Overdue reports whether the peer has broken a time limit of the transport,
	// for example by never completing a message. The hub asks about once a second.
	// now has to carry a monotonic reading, as that of time.Now does.
	Overdue(now time.Time) bool
}

// Marker is an optional ability of a Conn whose stream carries the client's
// positions beside the messages, for example in the id field of an SSE event. A
// Conn without it has nothing to be told.
type Marker interface {
	// Mark returns the wire bytes that belong right before a message after which
	// the client's positions are what position reports: of a room the epoch and
	// the sequence number, and an empty epoch if the client is not in that room.
	// They may be nil. Mark calls position before it returns and not later; the
	// caller owns the result.
	//
	// The mark and its message are one piece: nothing else may come between
	// their bytes, not even a heartbeat.
	Mark(position func(room string) (epoch string, seq uint64)) []byte

	// Alone reports whether marks tell the position in that room and nothing else. The
	// mark of a position is then the same for all Conns that say so of the room and whose
	// Shared formats are equal, and they may share its bytes.
	Alone(room string) bool
}

// Descriptor is an optional ability of a Conn whose bytes reach the peer by one
// descriptor of the system and nothing else, so that the sends of many connections
// can enter the kernel together.
type Descriptor interface {
	// Hold returns the descriptor of a socket that does not block. Until Release
	// it is neither closed nor given to another connection, whatever becomes of
	// this one. It reports false, and needs no Release, if there is none now: send with
	// TrySend then.
	//
	// Who holds it and is the one to call TrySend may send to it, and then tells by TrySend
	// what is still to be sent: a full socket, and one that has failed, are
	// noticed there.
	Hold() (fd int, ok bool)
	Release()
}

// Session is the hub's side of a connection, as the transport sees it.
//
// Receive, Alive, Control and Fail are called by one goroutine at a time, the
// one that reads. They may block while the hub works on a message, which is the
// back-pressure: a transport does not read on before Receive has returned. The
// transport holds no lock while it calls them. They may call the Conn, but must
// not wait for Closed. After Finish the transport stops to call them.
//
// A method that panics, or ends its goroutine, ends the connection and not the
// process: Closed says what happened.
type Session interface {
	// Receive takes one message of the peer. It does not keep msg. An error means
	// that the session is over: the transport discards further input and calls
	// nothing but Writable and Closed, until the hub ends the Conn with Finish or
	// Abort.
	Receive(msg []byte) error

	// Alive notes that the peer answered a heartbeat. Receive implies it.
	Alive()

	// Control asks to send wire bytes that the transport owes the peer by its own
	// protocol, such as a pong. At most one is kept: a newer one replaces one that
	// was not yet sent. wire is the session's from now on.
	Control(wire []byte)

	// Fail says that the peer has broken the transport's protocol, or has closed
	// it: the hub answers with Conn.Farewell(code, reason) and Conn.Finish. The
	// transport calls nothing but Writable and Closed afterwards.
	Fail(code int, reason string)

	// Writable says that the connection has room again after a short TrySend. It
	// may call TrySend, and may run at the same time as the methods of the reader.
	Writable()

	// Closed says that the connection is gone, and why: nil if it ended in order,
	// io.EOF if the peer hung up, and after Abort, unless something else came
	// first, an error that wraps net.ErrClosed. It is called exactly once, last,
	// and after every goroutine of the Conn has stopped to use the session.
	Closed(err error)
}
