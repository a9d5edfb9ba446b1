package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

// call is a request and its way to an answer. It is protected by Client.mu.
type call struct {
	req  wire.Request
	data []byte // req, encoded
	// room, if not nil, must be joined on a connection before the call is sent on it.
	room *Room
	// keep says that the call may be sent again on another connection.
	keep bool
	// asked says that the handshake has made the request already: it is not sent.
	asked bool
	// finish is told the answer, or an error, once and under Client.mu.
	finish func(*wire.Message, error)

	sent      time.Time   // when it was queued on the connection; zero if it was not
	timer     *time.Timer // runs while sent
	restarted bool        // it has been refused as expired once
}

// begin gives the call its id and sends it as soon as that is possible. c.mu is held.
func (c *Client) begin(k *call) error {
	if c.err != nil {
		return c.err
	}
	if k.room != nil && k.room.err != nil {
		return k.room.err
	}
	c.lastID++
	k.req.ID = c.lastID
	data, err := json.Marshal(&k.req)
	if err != nil {
		return fmt.Errorf("client: encode %s: %w", k.req.Op, err)
	}
	if len(data) > maxMessage {
		return &im.Error{Code: im.CodeTooLarge, Reason: fmt.Sprintf("%s takes %d bytes on the wire; send at most %d", k.req.Op, len(data), maxMessage)}
	}
	k.data = data
	c.calls[k.req.ID] = k
	if c.session != nil {
		c.session.wakeReader() // it may be waiting for the application
		if k.room == nil || k.room.in {
			c.enqueue(k)
		}
	}
	return nil
}

// enqueue hands the call to the connection, which there is. c.mu is held.
func (c *Client) enqueue(k *call) {
	k.sent = time.Now()
	k.timer = time.AfterFunc(c.opt.AnswerTimeout, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.end(k, nil, &im.Error{Code: im.CodeTimeout, Reason: "no answer within Options.AnswerTimeout"})
	})
	if !k.asked {
		c.session.push(k.data)
	}
}

// end takes the call out and tells its answer, unless that has happened before.
// c.mu is held.
func (c *Client) end(k *call, m *wire.Message, err error) {
	if c.calls[k.req.ID] != k {
		return
	}
	delete(c.calls, k.req.ID)
	k.finish(m, err)
	k.unsend()
}

// forget takes the call out without an answer. It does nothing for nil. c.mu is held.
func (c *Client) forget(k *call) {
	if k != nil {
		delete(c.calls, k.req.ID)
		k.unsend()
	}
}

// unsend makes the call one that waits for a connection.
func (k *call) unsend() {
	k.sent = time.Time{}
	if k.timer != nil {
		k.timer.Stop()
	}
}

// resend queues the calls that wait for room to be joined, or with nil those
// that wait for nothing but a connection, in the order in which they were made.
// c.mu is held.
func (c *Client) resend(room *Room) {
	byID := func(a, b *call) int { return cmp.Compare(a.req.ID, b.req.ID) }
	for _, k := range slices.SortedFunc(maps.Values(c.calls), byID) {
		if k.room == room && k.sent.IsZero() {
			c.enqueue(k)
		}
	}
}

// interrupt is resend's counterpart at the end of a connection: calls that may
// not be sent again fail. c.mu is held.
func (c *Client) interrupt() {
	for _, k := range c.calls {
		if k.keep {
			k.unsend()
		} else if !k.sent.IsZero() {
			c.end(k, nil, ErrConnLost)
		}
	}
}

// abandon fails the calls for which the room waits. c.mu is held.
func (c *Client) abandon(room *Room, err error) {
	for _, k := range c.calls {
		if k.room == room {
			c.end(k, nil, err)
		}
	}
}

// answer is what a blocked caller waits for.
type answer struct {
	msg  *wire.Message
	sent time.Time
	err  error
}

// do makes a call and waits for the answer.
func (c *Client) do(ctx context.Context, k *call) (answer, error) {
	got := make(chan answer, 1)
	k.finish = func(m *wire.Message, err error) { got <- answer{m, k.sent, err} }
	if ctx.Err() != nil {
		return answer{}, context.Cause(ctx)
	}
	c.mu.Lock()
	err := c.begin(k)
	c.mu.Unlock()
	if err != nil {
		return answer{}, err
	}
	select {
	case a := <-got:
		return a, a.err
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		c.forget(k)
		return answer{}, context.Cause(ctx)
	}
}

// doOnce makes a call with a cid until its fate is known: it sends it again
// when the answer is that the outcome is open, or that the server goes away.
func (c *Client) doOnce(ctx context.Context, room *Room, req wire.Request) (Receipt, error) {
	receipt := Receipt{Status: StatusUnknown, CID: req.CID}
	retry := backoff{min: c.opt.BackoffMin, max: c.opt.BackoffMax}
	for {
		a, err := c.do(ctx, &call{req: req, room: room, keep: true})
		var refusal *im.Error
		var advice time.Duration
		switch {
		case ctx.Err() != nil && err != nil:
			return receipt, undecided(ctx, &req)
		case err == nil && Status(a.msg.Status) != StatusUnknown:
			receipt.Status, receipt.Event, receipt.Body, receipt.Reason = Status(a.msg.Status), a.msg.Event, a.msg.Body, a.msg.Reason
			return receipt, nil
		case errors.As(err, &refusal) && (refusal.Code == im.CodeTimeout || refusal.Code == im.CodeShutdown) && c.alive():
			advice = refusal.RetryAfter // a server that goes away takes nothing new; the next one does
		case err != nil:
			if refusal != nil {
				receipt.Status = StatusRefused
			}
			return receipt, err
		}
		wait := time.NewTimer(retry.next(advice))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return receipt, undecided(ctx, &req)
		case <-c.done:
			wait.Stop()
		}
	}
}

// alive reports whether the client has not ended for good.
func (c *Client) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil
}

func undecided(ctx context.Context, req *wire.Request) error {
	return fmt.Errorf("client: no answer to %s %q, which may be sent again under the same cid: %w", req.Op, req.CID, context.Cause(ctx))
}
