// Package coder is a server of the comparison made with github.com/coder/websocket.
package coder

import (
	"bytes"
	"context"
	"net/http"
	"sync"

	"github.com/coder/websocket"
	"github.com/liveim/im/bench/peers/internal/rooms"
	"github.com/liveim/im/bench/rig"
)

// sendQueue is how many messages may wait for one client. The library's chat example has 16 and drops the
// client beyond; here the publisher waits, so a longer queue keeps it from waiting for a hiccup.
const sendQueue = 256

// Server has the form of the library's chat example (v1.8.15, internal/examples/chat): a subscriber is a buffered
// channel of messages, CloseRead reads and answers control frames, and the handler's goroutine writes, one
// Conn.Write a message. Two things differ. A publisher waits for a full channel, as the comparison must not lose
// messages. And a write has no timeout, which would cost a context and a timer for each message: it ends
// with its connection.
//
// The library has no prepared message: each connection frames, and deflates, for itself. Deflate is
// CompressionNoContextTakeover with its default threshold: messages below 512 bytes go as they are.
type Server struct {
	rooms.HTTP
	options  websocket.AcceptOptions
	rooms    rooms.Map[rooms.Members[*subscriber]]
	handlers sync.WaitGroup
}

type subscriber struct {
	conn     *websocket.Conn
	messages chan *message
	gone     chan struct{} // closed when it writes no more: nobody may wait for its channel then
}

// message is shared by all subscribers. A channel of pointers to it is a third as large as one of slices.
type message struct{ text []byte }

// New returns a server for the scenario.
func New(setup rig.Setup) (rig.Server, error) {
	s := &Server{}
	if setup.Deflate {
		s.options.CompressionMode = websocket.CompressionNoContextTakeover
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", s.subscribe)
	s.HTTP = rooms.NewHTTP(mux)
	return s, nil
}

func (s *Server) subscribe(w http.ResponseWriter, r *http.Request) {
	n, ok := rooms.Of(w, r)
	if !ok {
		return
	}
	s.handlers.Add(1)
	defer s.handlers.Done()
	conn, err := websocket.Accept(w, r, &s.options)
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }()

	sub := &subscriber{conn: conn, messages: make(chan *message, sendQueue), gone: make(chan struct{})}
	room := s.rooms.Get(n)
	room.Add(sub)
	defer room.Remove(sub)
	defer close(sub.gone) // before Remove, which waits for the publisher

	ctx := conn.CloseRead(context.Background())
	for {
		select {
		case m := <-sub.messages:
			if err := conn.Write(context.Background(), websocket.MessageText, m.text); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// Publish implements rig.Server.
func (s *Server) Publish(room int, text []byte) error {
	m := &message{bytes.Clone(text)}
	s.rooms.Get(room).Each(func(sub *subscriber) {
		select {
		case sub.messages <- m:
		case <-sub.gone:
		}
	})
	return nil
}

// Close ends the server and its connections.
func (s *Server) Close() error {
	err := s.HTTP.Close()
	s.rooms.All(func(room *rooms.Members[*subscriber]) {
		var all []*subscriber
		room.Each(func(sub *subscriber) { all = append(all, sub) })
		for _, sub := range all { // CloseNow waits for the reader, whose handler waits for the room
			_ = sub.conn.CloseNow()
		}
	})
	s.handlers.Wait()
	return err
}
