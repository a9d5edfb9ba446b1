// Package peers is the servers of the comparison that are made with other libraries,
// each as its own documentation advises for sending to many. What was chosen, and
// why, is said at each Server.
package peers

import (
	"github.com/liveim/im/bench/peers/centrifuge"
	"github.com/liveim/im/bench/peers/coder"
	"github.com/liveim/im/bench/peers/gorilla"
	"github.com/liveim/im/bench/peers/gws"
	"github.com/liveim/im/bench/peers/internal/rooms"
	"github.com/liveim/im/bench/peers/melody"
	"github.com/liveim/im/bench/peers/nbio"
	"github.com/liveim/im/bench/rig"
)

// Others returns the peers in the order of the table.
//
// Where Dialect.Joined is empty, a server answers the handshake before it puts the client into its room. It reads
// only then: a client that has got the pong for a ping is in the room for sure.
func Others() []rig.Peer {
	plain := rig.Dialect{Path: rooms.Path}
	return []rig.Peer{
		{Name: "centrifuge", Module: "github.com/centrifugal/centrifuge", Dialect: centrifuge.Dialect(), New: centrifuge.NewDefault},
		{Name: "centrifuge, 20 ms write delay", Module: "github.com/centrifugal/centrifuge", Dialect: centrifuge.Dialect(), New: centrifuge.NewTuned},
		{Name: "gws", Module: "github.com/lxzan/gws", Dialect: plain, New: gws.New},
		{Name: "gorilla", Module: "github.com/gorilla/websocket", Dialect: plain, New: gorilla.NewPrepared},
		{Name: "gorilla, chat example", Module: "github.com/gorilla/websocket", Dialect: plain, New: gorilla.NewBatching},
		{Name: "coder", Module: "github.com/coder/websocket", Dialect: plain, New: coder.New},
		{Name: "melody", Module: "github.com/olahol/melody", Dialect: plain, New: melody.New},
		{Name: "nbio", Module: "github.com/lesismal/nbio", Dialect: plain, New: nbio.New},
	}
}
