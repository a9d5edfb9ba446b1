package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

// run keeps a connection until the client ends.
func (c *Client) run() {
	defer close(c.done)
	delays := backoff{min: c.opt.BackoffMin, max: c.opt.BackoffMax}
	renewed := c.opt.Token == nil
	var last error
	for {
		c.setStatus(ConnStatus{Phase: PhaseConnecting, Err: last})
		lasted, err := c.connect()
		if c.ctx.Err() != nil {
			c.shut(ErrClosed)
			return
		}
		if lasted > 0 {
			renewed = c.opt.Token == nil
			delays.reset(lasted)
		}
		final, advice := verdict(err, renewed)
		if final {
			c.log.Warn("refused for good", "error", err)
			c.shut(fmt.Errorf("client: refused by the server: %w", err))
			return
		}
		renewed = renewed || needsToken(err)
		delay := delays.next(advice)
		level := slog.LevelInfo
		if lasted == 0 {
			level = slog.LevelWarn
		}
		c.log.Log(c.ctx, level, "disconnected", "error", err, "retry_in", delay)
		last = err
		c.setStatus(ConnStatus{Phase: PhaseWaiting, Until: time.Now().Add(delay), Err: err})
		wait := time.NewTimer(delay)
		select {
		case <-wait.C:
		case <-c.ctx.Done():
			wait.Stop()
			c.shut(ErrClosed)
			return
		}
	}
}

// needsToken reports whether err asks for another token.
func needsToken(err error) bool {
	var e *im.Error
	return errors.As(err, &e) && e.Code.Retry() == im.RetryWithToken
}

// connect makes one connection and serves it to its end. It returns how long it
// lasted, 0 if there was no welcome, and why it ended, never nil.
func (c *Client) connect() (lasted time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(c.ctx, c.opt.DialTimeout, errDialTimeout)
	defer cancel()
	conn, asked, err := c.open(ctx)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", because(ctx, err))
	}
	defer conn.Close()
	joining, rest, err := c.greet(ctx, conn)
	if err != nil {
		return 0, because(ctx, err)
	}
	start := time.Now()
	c.setStatus(ConnStatus{Phase: PhaseOnline})
	c.log.Info("connected", "user", c.User().ID)
	select {
	case <-c.ready:
	default:
		close(c.ready)
	}
	attach := func(s *session) { c.attach(s, asked, joining) }
	err = c.serve(conn, attach, rest)
	return max(time.Since(start), 1), err
}

// because returns the cause of a context's end in place of an error that was
// only its consequence.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return context.Cause(ctx)
	}
	return err
}

// greet says who the client is and waits for the welcome. It returns the rooms that this says
// are being joined, and what came in the same message behind it.
func (c *Client) greet(ctx context.Context, conn Conn) (joining []string, rest []wire.Message, err error) {
	if c.opt.Token != nil {
		token, err := c.opt.Token(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("get a token: %w", err)
		}
		hello, err := json.Marshal(wire.Request{Op: wire.OpHello, Token: token})
		if err != nil {
			return nil, nil, err
		}
		if err := conn.Send(ctx, hello); err != nil {
			return nil, nil, fmt.Errorf("say hello: %w", err)
		}
	}
	for {
		data, err := conn.Recv(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("wait for the welcome: %w", err)
		}
		msgs, err := decode(data)
		if err != nil {
			return nil, nil, err
		}
		for i := range msgs {
			switch m := &msgs[i]; m.Op {
			case wire.OpWelcome:
				c.mu.Lock()
				c.welcome(m)
				c.mu.Unlock()
				return m.Joining, msgs[i+1:], nil
			case wire.OpBye:
				return nil, nil, wireError(m, im.CodeShutdown)
			case wire.OpError:
				return nil, nil, wireError(m, im.CodeInternal)
			}
		}
	}
}

// setStatus changes the status and tells it. It is called by run's goroutine only.
func (c *Client) setStatus(s ConnStatus) {
	c.mu.Lock()
	c.status = s
	c.mu.Unlock()
	if c.opt.OnStatus != nil {
		c.opt.OnStatus(s)
	}
}

// shut ends the client for good: every call and every room ends with err.
func (c *Client) shut(err error) {
	c.mu.Lock()
	c.err = err
	for _, k := range c.calls {
		c.end(k, nil, err)
	}
	for _, r := range c.rooms {
		c.drop(r, err)
	}
	c.directs.wake()
	c.mu.Unlock()
	c.setStatus(ConnStatus{Phase: PhaseClosed, Err: err})
	c.stop(err)
}
