// Package rig is what the servers of the comparison and the load generator agree
// on: how a server under test is started and told to publish, how a client joins,
// and what a message looks like so that it is counted whatever carries it.
//
// Every server runs in a process of its own. It publishes by itself, as a host
// would, so that nothing but fan-out is measured.
package rig

import (
	"net"
	"strconv"
	"time"
)

// Setup is what a scenario asks of a server.
type Setup struct {
	Rooms   int
	Deflate bool // permessage-deflate for clients that offer it
	// History is how many of the newest messages a client gets when it joins, where the
	// server has such a thing. The join storm asks for 20.
	History int
}

// Server is one implementation under test, inside its own process. It is made
// for one scenario and not used again.
type Server interface {
	// Serve answers clients that come to l until l is closed. It is called on a
	// goroutine of its own.
	Serve(l net.Listener) error
	// Publish sends one message to all clients of a room. It is called by one goroutine at
	// a time for each room, and may block.
	Publish(room int, message []byte) error
	// Close ends it.
	Close() error
}

// Peer is an implementation as the command knows it.
type Peer struct {
	Name    string // of the row in the table: "gws", "centrifuge, 20 ms write delay"
	Module  string // whose version the report gives: "github.com/lxzan/gws"; empty for this repository's own
	Dialect Dialect
	New     func(Setup) (Server, error)
	// Sheds says that it leaves messages out under load, as it should. It has no
	// part in what counts on every message.
	Sheds bool
	// Joins says that only its way to join is of interest: the rest is as its sibling.
	Joins bool
}

// Dialect is how a client speaks to a server over WebSocket.
type Dialect struct {
	// Path is the request target of the handshake of a client of the room.
	Path func(room int) string
	// Protocol is the subprotocol to offer, or empty.
	Protocol string
	// Hello is what the client sends, each in a text frame of its own, after the handshake. Nil: nothing.
	Hello func(room int) [][]byte
	// Joined is in the message that says that the client is in its room. Empty: it is after the handshake.
	Joined string
	// Stream is the request target of a stream of server-sent events that is in the room; Joined is
	// in it as well. Nil: there is no such thing.
	Stream func(room int) string
	// Poll is the request target of a long-poll that is in the room, of the form that this
	// repository has: with a query, to which &since=…&sid=… is added. Nil: there is no such thing.
	Poll func(room int) string
}

// Marker is in every message once and in nothing else that a server sends, in
// compressed frames as in plain ones: clients count it.
const Marker = `"bench":`

// Message returns a message of exactly size bytes, JSON, that was published at t:
//
//	{"bench":1764000000000000000,"n":17,"text":"…"}
//
// n counts the messages of a room from 1 on. size is at least 80. The text repeats
// itself no more than chat does.
func Message(dst []byte, n uint64, t time.Time, size int) []byte {
	start := len(dst)
	dst = append(dst, `{`+Marker...)
	dst = strconv.AppendInt(dst, t.UnixNano(), 10)
	dst = append(dst, `,"n":`...)
	dst = strconv.AppendUint(dst, n, 10)
	dst = append(dst, `,"text":"`...)
	for x := n*0x9E3779B97F4A7C15 + 1; len(dst)-start < size-2; x = x*6364136223846793005 + 1442695040888963407 {
		dst = append(dst, letters[x>>59])
	}
	return append(dst, `"}`...)
}

const letters = "etaoin shrdlu cmfwypvbgkqjxz etao"
