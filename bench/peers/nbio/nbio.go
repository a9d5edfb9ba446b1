// Package nbio is a server of the comparison made with github.com/lesismal/nbio.
package nbio

import (
	"net"
	"net/http"
	"sync"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"
	"github.com/liveim/im/bench/peers/internal/rooms"
	"github.com/liveim/im/bench/rig"
)

// Server is written as the library's README advises for many connections (v1.6.8): the library's own HTTP engine
// (nbhttp.Engine) in the default mode IOModNonBlocking, in which its pollers handle all connections and none has a
// goroutine or a buffer. Publish calls Conn.WriteMessage for each connection, which writes to the socket at once,
// and what the socket does not take is kept by the library and written by the poller.
//
//   - Config.Listen hands the engine the listener that the comparison made. NPoller, the epoll mode (level triggered)
//     and the pools are the defaults.
//   - ReleaseWebsocketPayload returns payloads of clients to the pool after the handler: the default engine's setting.
//   - MaxWriteBufferSize is the default, no limit: with a limit a slow client would be closed. The library gives
//     a publisher no way to wait for what is kept. Publish is slowed only by its own writes.
//   - Upgrader.KeepaliveTime is 0: the default of 120 seconds closes clients that say nothing.
//
// The library knows no prepared messages: each connection frames, and deflates, for itself. Deflate is
// Upgrader.EnableCompression: no context takeover, level 1, every message whatever its size.
type Server struct {
	upgrader *websocket.Upgrader
	rooms    rooms.Map[room]
	stop     chan struct{}
	once     sync.Once // closes stop
}

type room = rooms.Members[*websocket.Conn]

// New returns a server for the scenario.
func New(setup rig.Setup) (rig.Server, error) {
	logging.SetLevel(logging.LevelError) // it tells of every start on standard output
	upgrader := websocket.NewUpgrader()
	upgrader.KeepaliveTime = 0
	upgrader.EnableCompression(setup.Deflate)
	upgrader.OnClose(leave)
	return &Server{upgrader: upgrader, stop: make(chan struct{})}, nil
}

// Serve implements rig.Server.
func (s *Server) Serve(l net.Listener) error {
	listener := &listener{Listener: l, ended: make(chan struct{}), released: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", s.join)
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network:                 "tcp",
		Addrs:                   []string{l.Addr().String()},
		Listen:                  func(string, string) (net.Listener, error) { return listener, nil },
		Handler:                 mux,
		IOMod:                   nbhttp.IOModNonBlocking,
		ReleaseWebsocketPayload: true,
	})
	if err := engine.Start(); err != nil {
		return err
	}
	select {
	case <-listener.ended:
	case <-s.stop:
	}
	engine.Stop()
	return nil
}

func (s *Server) join(w http.ResponseWriter, r *http.Request) {
	n, ok := rooms.Of(w, r)
	if !ok {
		return
	}
	conn, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	// The library handles what the client sends, and its end, after this handler.
	room := s.rooms.Get(n)
	conn.SetSession(room)
	room.Add(conn)
}

func leave(conn *websocket.Conn, _ error) {
	if room, ok := conn.Session().(*room); ok {
		room.Remove(conn)
	}
}

// Publish implements rig.Server.
func (s *Server) Publish(room int, message []byte) error {
	s.rooms.Get(room).Each(func(conn *websocket.Conn) {
		_ = conn.WriteMessage(websocket.TextMessage, message) // a connection that is gone says so to OnClose
	})
	return nil
}

// Close ends Serve and with it the connections.
func (s *Server) Close() error {
	s.once.Do(func() { close(s.stop) })
	return nil
}

// listener keeps the engine from spinning: it calls Accept again and again when the listener
// is closed, until it is stopped.
type listener struct {
	net.Listener
	end, release    sync.Once
	ended, released chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		l.end.Do(func() { close(l.ended) })
		<-l.released
	}
	return conn, err
}

func (l *listener) Close() error {
	l.release.Do(func() { close(l.released) })
	return l.Listener.Close()
}
