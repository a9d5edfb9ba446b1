package websocket_test

import (
	"sync"
	"testing"
	"time"

	"github.com/liveim/im/transport"
	"github.com/liveim/im/transport/websocket"
)

// session is the plainest hub: it answers Fail with the farewell.
type session struct {
	conn     *websocket.Conn
	received chan string
	failed   chan int
	closed   chan error

	mu     sync.Mutex // guards what follows, and serializes TrySend
	out    []byte     // not yet taken
	full   bool       // Writable is awaited
	finish bool       // Finish follows the last byte
}

var _ transport.Session = (*session)(nil)

func start(conn *websocket.Conn) *session {
	s := &session{
		conn:     conn,
		received: make(chan string, 64),
		failed:   make(chan int, 64),
		closed:   make(chan error, 1),
	}
	conn.Start(s)
	return s
}

func (s *session) Receive(msg []byte) error {
	s.received <- string(msg)
	return nil
}

func (s *session) Fail(code int, reason string) {
	s.failed <- code
	s.send(s.conn.Farewell(code, reason), true)
}

func (s *session) Control(wire []byte) { s.send(wire, false) }
func (s *session) Closed(err error)    { s.closed <- err }
func (s *session) Alive()              {}

func (s *session) Writable() {
	s.mu.Lock()
	s.full = false
	s.mu.Unlock()
	s.send(nil, false)
}

func (s *session) send(wire []byte, finish bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = append(s.out, wire...)
	s.finish = s.finish || finish
	if s.full {
		return
	}
	n, _ := s.conn.TrySend([][]byte{s.out}) // Closed follows an error
	s.out = s.out[n:]
	s.full = len(s.out) > 0
	if s.finish && !s.full {
		s.conn.Finish()
	}
}

// await takes a value that has to come.
func await[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	timeout := time.NewTimer(10 * time.Second)
	defer timeout.Stop()
	select {
	case v := <-ch:
		return v
	case <-timeout.C:
		t.Fatal("waited 10 s for what has to happen")
		panic("not reached")
	}
}

// end aborts and waits.
func (s *session) end(t *testing.T) {
	t.Helper()
	s.conn.Abort()
	await(t, s.closed)
}
