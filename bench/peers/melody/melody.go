// Package melody is a server of the comparison made with github.com/olahol/melody.
package melody

import (
	"bytes"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im/bench/peers/internal/rooms"
	"github.com/liveim/im/bench/rig"
	"github.com/olahol/melody"
)

// Server is written as the library's README and examples do it (v1.4.0): HandleRequest in an HTTP handler, rooms by
// a key of the session, defaults throughout (a queue of 256 messages a session, pings every 54 seconds), except:
//
//   - The sessions of a room are kept in a list of their own and written to one by one, as BroadcastMultiple does.
//     BroadcastFilter, which the examples use, would look at every session of every room for each message.
//   - Config.WriteWait is a minute instead of 10 seconds: a client is not to be given up while the machine is busy.
//   - Session.Write drops the message when the session's queue is full and reports ErrMessageBufferFull to the
//     error handler, before it returns. The comparison must not lose messages, so the publisher then waits until the
//     session has sent something (HandleSentMessage) and writes again. While no queue is full this
//     costs one atomic load for each sent message.
//
// The library knows no prepared messages: each connection frames, and deflates, for itself. Deflate is
// Upgrader.EnableCompression: no context takeover, level 1, every message whatever its size.
type Server struct {
	rooms.HTTP
	melody   *melody.Melody
	rooms    rooms.Map[rooms.Members[*member]]
	handlers sync.WaitGroup

	// waiting is how many publishers wait for a full queue. They wait on moved, which is told of
	// every sent message meanwhile, and of every session that ends.
	waiting atomic.Int32
	mu      sync.Mutex
	moved   *sync.Cond // of mu
}

// member is a session in its room.
type member struct {
	*melody.Session
	full bool // set while Write runs: it dropped the message. The publisher's alone, of which there is one at a time
}

const memberKey = "member"

// New returns a server for the scenario.
func New(setup rig.Setup) (rig.Server, error) {
	s := &Server{melody: melody.New()}
	s.moved = sync.NewCond(&s.mu)
	s.melody.Config.WriteWait = time.Minute
	s.melody.Upgrader.EnableCompression = setup.Deflate
	s.melody.HandleConnect(func(session *melody.Session) {
		m := session.MustGet(memberKey).(*member)
		m.Session = session
		s.roomOf(session).Add(m)
	})
	s.melody.HandleDisconnect(func(session *melody.Session) {
		s.tellPublishers() // first: leaving the room waits for them
		s.roomOf(session).Remove(session.MustGet(memberKey).(*member))
	})
	s.melody.HandleError(func(session *melody.Session, err error) {
		if errors.Is(err, melody.ErrMessageBufferFull) {
			session.MustGet(memberKey).(*member).full = true
		}
	})
	s.melody.HandleSentMessage(func(*melody.Session, []byte) {
		if s.waiting.Load() > 0 {
			s.tellPublishers()
		}
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", s.join)
	s.HTTP = rooms.NewHTTP(mux)
	return s, nil
}

const roomKey = "room"

func (s *Server) roomOf(session *melody.Session) *rooms.Members[*member] {
	return session.MustGet(roomKey).(*rooms.Members[*member])
}

func (s *Server) join(w http.ResponseWriter, r *http.Request) {
	n, ok := rooms.Of(w, r)
	if !ok {
		return
	}
	s.handlers.Add(1)
	defer s.handlers.Done()
	_ = s.melody.HandleRequestWithKeys(w, r, map[string]any{roomKey: s.rooms.Get(n), memberKey: &member{}}) // has answered an error
}

// Publish implements rig.Server.
func (s *Server) Publish(room int, message []byte) error {
	message = bytes.Clone(message)
	s.rooms.Get(room).Each(func(m *member) {
		if s.write(m, message) {
			return
		}
		s.waiting.Add(1)
		s.mu.Lock()
		for !s.write(m, message) {
			s.moved.Wait()
		}
		s.mu.Unlock()
		s.waiting.Add(-1)
	})
	return nil
}

// write reports whether the message is in the session's queue, or the session is gone.
func (s *Server) write(m *member, message []byte) bool {
	m.full = false
	return m.Write(message) != nil || !m.full
}

func (s *Server) tellPublishers() {
	s.mu.Lock()
	s.moved.Broadcast()
	s.mu.Unlock()
}

// Close ends the server and its connections.
func (s *Server) Close() error {
	err := s.HTTP.Close()
	s.rooms.All(func(room *rooms.Members[*member]) {
		room.Each(func(m *member) { _ = m.WebsocketConnection().Close() })
	})
	s.handlers.Wait()
	return errors.Join(err, s.melody.Close())
}
