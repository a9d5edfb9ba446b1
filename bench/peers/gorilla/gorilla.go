// Package gorilla is two servers of the comparison made with
// github.com/gorilla/websocket.
package gorilla

import (
	"bytes"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
	"github.com/liveim/im/bench/peers/internal/rooms"
	"github.com/liveim/im/bench/rig"
)

const (
	sendQueue       = 256       // messages that may wait for one client, as in the chat example
	bufferSize      = 1024      // bytes of the read buffer and, where messages are prepared, of the write buffer: the chat example's
	batchBufferSize = 64 * 1024 // bytes of the write buffer where messages are batched: a batch is not cut into fragments
)

// Server has the form of the library's chat example (v1.5.3, examples/chat/client.go):
// two goroutines for each connection, of which one reads and the other writes what comes
// through a buffered channel of 256 messages. Three things differ. A publisher waits for a full
// channel, as the comparison must not lose messages, where the example gives the client up. It
// walks the room itself instead of going through the hub's goroutine, which saves a hop. And there are
// no pings and deadlines, which would cost a ticker for each connection and a timer for each write.
//
// How the messages are written is M's part: see NewPrepared and NewBatching.
//
// Write buffers come from a pool (documentation of Upgrader.WriteBufferPool: "useful when the
// application has a modest volume of writes across a large number of connections"). Deflate is the
// library's: no context takeover, level 1, every message whatever its size.
type Server[M any] struct {
	rooms.HTTP
	upgrader websocket.Upgrader
	prepare  func([]byte) (M, error)
	write    func(*websocket.Conn, M, <-chan M) error
	rooms    rooms.Map[rooms.Members[*client[M]]]
	pumps    sync.WaitGroup
}

type client[M any] struct {
	conn *websocket.Conn
	send chan M
	gone chan struct{} // closed when it reads no more: nobody may wait for its channel then
}

// NewPrepared returns a server that makes one PreparedMessage of each message and writes it to each
// client by itself: the documentation's way "to efficiently send a message payload to multiple
// connections", where framing and deflating are done once.
func NewPrepared(setup rig.Setup) (rig.Server, error) {
	prepare := func(message []byte) (*websocket.PreparedMessage, error) {
		return websocket.NewPreparedMessage(websocket.TextMessage, message)
	}
	write := func(conn *websocket.Conn, m *websocket.PreparedMessage, _ <-chan *websocket.PreparedMessage) error {
		return conn.WritePreparedMessage(m)
	}
	return newServer(setup, bufferSize, prepare, write), nil
}

// NewBatching returns a server that writes as the chat example does: all that waits for a client goes
// into one WebSocket message, separated by line ends. That saves system calls in a storm, but with deflate
// each connection compresses for itself.
func NewBatching(setup rig.Setup) (rig.Server, error) {
	prepare := func(message []byte) ([]byte, error) { return bytes.Clone(message), nil }
	return newServer(setup, batchBufferSize, prepare, writeBatch), nil
}

func newServer[M any](setup rig.Setup, writeBuffer int, prepare func([]byte) (M, error), write func(*websocket.Conn, M, <-chan M) error) *Server[M] {
	s := &Server[M]{
		upgrader: websocket.Upgrader{
			ReadBufferSize:    bufferSize,
			WriteBufferSize:   writeBuffer,
			WriteBufferPool:   &sync.Pool{},
			EnableCompression: setup.Deflate,
		},
		prepare: prepare,
		write:   write,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", s.join)
	s.HTTP = rooms.NewHTTP(mux)
	return s
}

func (s *Server[M]) join(w http.ResponseWriter, r *http.Request) {
	n, ok := rooms.Of(w, r)
	if !ok {
		return
	}
	conn, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	c := &client[M]{conn: conn, send: make(chan M, sendQueue), gone: make(chan struct{})}
	room := s.rooms.Get(n)
	room.Add(c)
	s.pumps.Go(func() { s.writePump(c) })
	s.pumps.Go(func() {
		c.read()
		close(c.gone)
		room.Remove(c)
	})
}

// read answers pings until the connection ends.
func (c *client[M]) read() {
	defer func() { _ = c.conn.Close() }()
	for {
		if _, _, err := c.conn.NextReader(); err != nil {
			return
		}
	}
}

func (s *Server[M]) writePump(c *client[M]) {
	defer func() { _ = c.conn.Close() }()
	for {
		select {
		case m := <-c.send:
			if err := s.write(c.conn, m, c.send); err != nil {
				return
			}
		case <-c.gone:
			return
		}
	}
}

// writeBatch writes the message and those that wait behind it, as long as they surely fit into the write buffer.
func writeBatch(conn *websocket.Conn, message []byte, waiting <-chan []byte) error {
	w, err := conn.NextWriter(websocket.TextMessage)
	if err != nil {
		return err
	}
	size := len(message)
	_, err = w.Write(message)
	for n := len(waiting); n > 0 && err == nil && size < batchBufferSize/2; n-- {
		message = <-waiting
		size += len(message)
		if _, err = w.Write(newline); err == nil {
			_, err = w.Write(message)
		}
	}
	if err != nil {
		return err
	}
	return w.Close()
}

var newline = []byte{'\n'}

// Publish implements rig.Server.
func (s *Server[M]) Publish(room int, message []byte) error {
	m, err := s.prepare(message)
	if err != nil {
		return err
	}
	s.rooms.Get(room).Each(func(c *client[M]) {
		select {
		case c.send <- m:
		case <-c.gone:
		}
	})
	return nil
}

// Close ends the server and its connections.
func (s *Server[M]) Close() error {
	err := s.HTTP.Close()
	s.rooms.All(func(room *rooms.Members[*client[M]]) {
		room.Each(func(c *client[M]) { _ = c.conn.Close() })
	})
	s.pumps.Wait()
	return err
}
