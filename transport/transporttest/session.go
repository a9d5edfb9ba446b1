package transporttest

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
)

// session is a transport.Session that records what it is told and what is
// against the rules. Its hooks are set before Start.
type session struct {
	onReceive  func(msg []byte) error
	onWritable func()

	received chan []byte
	alive    chan struct{}
	control  chan []byte
	failed   chan CloseError
	writable chan struct{}
	closed   chan error
	dead     chan struct{} // closed by the first Closed

	started   atomic.Bool
	inReader  atomic.Int32 // calls of the reading goroutine that run
	inAny     atomic.Int32 // calls that run
	writables atomic.Int64

	mu     sync.Mutex // guards what follows
	over   string     // the call after which the reader must be silent
	gone   bool       // Closed was called
	broken []string   // rules that were broken
}

// backlog is how much a session records before its methods block. Cases stay
// below it.
const backlog = 4096

func newSession() *session {
	return &session{
		received: make(chan []byte, backlog),
		alive:    make(chan struct{}, backlog),
		control:  make(chan []byte, backlog),
		failed:   make(chan CloseError, backlog),
		writable: make(chan struct{}, backlog),
		closed:   make(chan error, backlog),
		dead:     make(chan struct{}),
	}
}

func (s *session) breaks(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = append(s.broken, fmt.Sprintf(format, args...))
}

// enter notes a call; the result notes its end.
func (s *session) enter(method string, reader bool) (leave func()) {
	s.inAny.Add(1)
	if !s.started.Load() {
		s.breaks("%s was called before Start", method)
	}
	s.mu.Lock()
	gone, over := s.gone, s.over
	s.mu.Unlock()
	if gone {
		s.breaks("%s was called after Closed, which has to be last", method)
	}
	if !reader {
		return func() { s.inAny.Add(-1) }
	}
	if over != "" {
		s.breaks("%s was called after %s; only Writable and Closed may follow it", method, over)
	}
	if s.inReader.Add(1) > 1 {
		s.breaks("%s was called while another call of the reader ran; they take turns", method)
	}
	return func() { s.inReader.Add(-1); s.inAny.Add(-1) }
}

func (s *session) silence(after string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over == "" {
		s.over = after
	}
}

// Receive implements transport.Session.
func (s *session) Receive(msg []byte) error {
	defer s.enter("Receive", true)()
	if s.onReceive != nil {
		err := s.onReceive(msg)
		if err != nil {
			s.silence("an error of Receive")
		}
		return err
	}
	s.received <- bytes.Clone(msg)
	return nil
}

// Alive implements transport.Session.
func (s *session) Alive() {
	defer s.enter("Alive", true)()
	s.alive <- struct{}{}
}

// Control implements transport.Session.
func (s *session) Control(wire []byte) {
	defer s.enter("Control", true)()
	s.control <- wire
}

// Fail implements transport.Session.
func (s *session) Fail(code int, reason string) {
	defer s.enter("Fail", true)()
	s.silence("Fail")
	s.failed <- CloseError{code, reason}
}

// Writable implements transport.Session.
func (s *session) Writable() {
	defer s.enter("Writable", false)()
	s.writables.Add(1)
	if s.onWritable != nil {
		s.onWritable()
	}
	s.writable <- struct{}{}
}

// Closed implements transport.Session.
func (s *session) Closed(err error) {
	defer s.enter("Closed", false)()
	if n := s.inAny.Load() - 1; n > 0 {
		s.breaks("Closed was called while %d other calls ran; it has to wait for them", n)
	}
	s.mu.Lock()
	first := !s.gone
	s.gone = true
	s.mu.Unlock()
	if first {
		close(s.dead)
	}
	s.closed <- err
}
