package client

import (
	"context"
	"time"

	"github.com/liveim/im/internal/wire"
)

// session is the client's side of one connection: what is to be sent, and when
// the server was heard last. The goroutine of Client.run reads, another one writes.
type session struct {
	conn Conn
	ctx  context.Context         // ends with the session
	fail context.CancelCauseFunc // the first cause is why it ended

	written chan struct{} // capacity 1: there is something to write
	reads   chan struct{} // capacity 1: look again whether to read

	// Protected by Client.mu.
	out    [][]byte
	heard  time.Time
	paused bool // the reader waits for the application
}

func newSession(ctx context.Context, conn Conn) *session {
	s := &session{
		conn:    conn,
		written: make(chan struct{}, 1),
		reads:   make(chan struct{}, 1),
		heard:   time.Now(),
	}
	s.ctx, s.fail = context.WithCancelCause(ctx)
	return s
}

// push queues one encoded request. Client.mu is held.
func (s *session) push(data []byte) {
	s.out = append(s.out, data)
	signal(s.written)
}

func (s *session) wakeReader() { signal(s.reads) }

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// serve runs a welcomed connection until it ends, and returns why. rest is what
// came right behind the welcome. attach makes the session that of the client.
func (c *Client) serve(conn Conn, attach func(*session), rest []wire.Message) error {
	s := newSession(c.ctx, conn)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		c.write(s)
	}()
	attach(s)
	s.fail(c.read(s, rest))
	_ = conn.Close()
	<-stopped
	c.detach(s)
	return context.Cause(s.ctx)
}

// attach makes s the connection of the client, and joins its rooms. See joinRooms.
func (c *Client) attach(s *session, asked map[string]entry, joining []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
	c.joinRooms(asked, joining)
	c.resend(nil)
}

func (c *Client) detach(*session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = nil
	for _, r := range c.rooms {
		r.offline()
	}
	c.interrupt()
}

// read handles what the server says until the connection ends.
func (c *Client) read(s *session, msgs []wire.Message) error {
	for {
		if err := c.handle(s, msgs); err != nil {
			return err
		}
		if err := c.awaitReader(s); err != nil {
			return err
		}
		data, err := s.conn.Recv(s.ctx)
		if err != nil {
			return err
		}
		if msgs, err = decode(data); err != nil {
			return err
		}
	}
}

// awaitReader blocks while a room is full, which is the back-pressure, unless a
// request waits for its answer.
func (c *Client) awaitReader(s *session) error {
	for {
		c.mu.Lock()
		s.paused = c.full > 0 && len(c.calls) == 0
		paused := s.paused
		if !paused {
			s.heard = time.Now()
		}
		c.mu.Unlock()
		if !paused {
			return nil
		}
		select {
		case <-s.reads:
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
}

// write sends what is queued, and asks for a sign of life when there was none
// for long, until the session ends.
func (c *Client) write(s *session) {
	guard := newWatch(c.pingAfter(), c.opt.AnswerTimeout)
	alarm := time.NewTimer(guard.first())
	defer alarm.Stop()
	for {
		if err := c.flush(s); err != nil {
			c.failLater(s, err)
			return
		}
		select {
		case <-s.written:
		case <-s.ctx.Done():
			return
		case now := <-alarm.C:
			next, err := c.guard(s, &guard, now)
			if err != nil {
				s.fail(err)
				return
			}
			alarm.Reset(next)
		}
	}
}

// flush sends all that is queued.
func (c *Client) flush(s *session) error {
	for {
		c.mu.Lock()
		if len(s.out) == 0 {
			c.mu.Unlock()
			return nil
		}
		msg, rest := batch(s.out)
		s.out = rest
		c.mu.Unlock()
		ctx, cancel := context.WithTimeoutCause(s.ctx, c.opt.AnswerTimeout, errSlowWrite)
		err := s.conn.Send(ctx, msg)
		cancel()
		if err != nil {
			return err
		}
	}
}

// failLater ends the session for a failed write, but leaves the reader a moment
// to find out why the server closed it.
func (c *Client) failLater(s *session, err error) {
	grace := time.NewTimer(time.Second)
	defer grace.Stop()
	select {
	case <-grace.C:
		s.fail(err)
	case <-s.ctx.Done():
	}
}
