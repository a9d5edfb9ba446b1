// Package gws is a server of the comparison made with github.com/lxzan/gws.
package gws

import (
	"net/http"
	"sync"

	"github.com/liveim/im/bench/peers/internal/rooms"
	"github.com/liveim/im/bench/rig"
	"github.com/lxzan/gws"
)

// window is how many messages of a room may wait for its slowest client, give or
// take as many again.
const window = 512

// Server is written as the library's README advises (v1.8.9):
//
//   - Publish makes one Broadcaster a message ("the message is compressed only once"),
//     calls Broadcast for each connection and closes it: README, section Broadcast. Each
//     connection has a queue that a goroutine works off while there is something in it.
//   - The read loop has a goroutine of its own, so that the request can be collected:
//     README, section Attention.
//   - The text is not checked for UTF-8 ("turn off the performance will be better": option.go, the
//     default), and messages of clients are not handled in parallel (the default), as none come.
//   - Deflate is on for both sides without context takeover, with the library's default level (best
//     speed) and threshold: messages below 512 bytes go as they are.
//   - No deadlines: the README sets them only together with pings of its own, which cost a timer
//     for each connection.
//
// The queues of the library have no bound, so a publisher that is faster than its clients
// would fill the memory. Once in 512 messages Publish puts a mark into each queue (Conn.Async) and
// waits until all clients have passed the mark before; it has to wait only when a client is
// that far behind.
type Server struct {
	rooms.HTTP
	upgrader *gws.Upgrader
	rooms    rooms.Map[room]
	reading  sync.WaitGroup
}

type room struct {
	rooms.Members[*gws.Conn]

	// The publisher's alone, of which there is one at a time.
	published int
	mark      sync.WaitGroup // of the clients that have not passed the newest mark
}

// New returns a server for the scenario.
func New(setup rig.Setup) (rig.Server, error) {
	s := &Server{}
	s.upgrader = gws.NewUpgrader(handler{s: s}, &gws.ServerOption{
		PermessageDeflate: gws.PermessageDeflate{Enabled: setup.Deflate},
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", s.join)
	s.HTTP = rooms.NewHTTP(mux)
	return s, nil
}

const roomKey = "room"

func (s *Server) join(w http.ResponseWriter, r *http.Request) {
	n, ok := rooms.Of(w, r)
	if !ok {
		return
	}
	socket, err := s.upgrader.Upgrade(w, r)
	if err != nil {
		return
	}
	socket.Session().Store(roomKey, s.rooms.Get(n))
	s.reading.Go(socket.ReadLoop)
}

// Publish implements rig.Server.
func (s *Server) Publish(n int, message []byte) error {
	r := s.rooms.Get(n)
	b := gws.NewBroadcaster(gws.OpcodeText, message)
	r.Each(func(socket *gws.Conn) { _ = b.Broadcast(socket) }) // a connection that is gone says so to its read loop
	if err := b.Close(); err != nil {
		return err
	}
	if r.published++; r.published%window == 0 {
		r.mark.Wait()
		r.Each(func(socket *gws.Conn) {
			r.mark.Add(1)
			socket.Async(r.mark.Done)
		})
	}
	return nil
}

// Close ends the server and its connections.
func (s *Server) Close() error {
	err := s.HTTP.Close()
	s.rooms.All(func(r *room) {
		r.Each(func(socket *gws.Conn) { _ = socket.NetConn().Close() })
	})
	s.reading.Wait()
	return err
}

// handler is what the library tells of its connections.
type handler struct {
	gws.BuiltinEventHandler
	s *Server
}

func (h handler) OnOpen(socket *gws.Conn) { roomOf(socket).Add(socket) }

func (h handler) OnClose(socket *gws.Conn, _ error) { roomOf(socket).Remove(socket) }

func (h handler) OnPing(socket *gws.Conn, payload []byte) { _ = socket.WritePong(payload) }

func (h handler) OnMessage(_ *gws.Conn, message *gws.Message) { _ = message.Close() }

func roomOf(socket *gws.Conn) *room {
	r, _ := socket.Session().Load(roomKey)
	return r.(*room)
}
