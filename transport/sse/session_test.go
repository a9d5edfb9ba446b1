package sse_test

import (
	"testing"
	"time"

	"github.com/liveim/im/transport"
	"github.com/liveim/im/transport/sse"
)

// session is the plainest hub: it answers Fail by finishing.
type session struct {
	conn     *sse.Conn
	received chan string
	failed   chan int
	room     chan struct{}
	closed   chan error
}

var _ transport.Session = (*session)(nil)

func start(conn *sse.Conn) *session {
	s := &session{
		conn:     conn,
		received: make(chan string, 64),
		failed:   make(chan int, 64),
		room:     make(chan struct{}, 1),
		closed:   make(chan error, 1),
	}
	conn.Start(s)
	return s
}

func (s *session) Receive(msg []byte) error {
	s.received <- string(msg)
	return nil
}

func (s *session) Fail(code int, _ string) {
	s.failed <- code
	s.conn.Finish()
}

func (s *session) Control([]byte)   {}
func (s *session) Alive()           {}
func (s *session) Writable()        { s.room <- struct{}{} }
func (s *session) Closed(err error) { s.closed <- err }

// send sends what has to fit.
func (s *session) send(t *testing.T, bufs ...[]byte) {
	t.Helper()
	for _, b := range bufs {
		for len(b) > 0 {
			n, err := s.conn.TrySend([][]byte{b})
			if err != nil {
				t.Fatal(err)
			}
			if b = b[n:]; len(b) > 0 {
				await(t, s.room)
			}
		}
	}
}

// end aborts and waits.
func (s *session) end(t *testing.T) {
	t.Helper()
	s.conn.Abort()
	await(t, s.closed)
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
