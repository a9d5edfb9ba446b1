package client

import (
	"errors"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

// handle takes the messages that came together. An error ends the connection.
func (c *Client) handle(s *session, msgs []wire.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range msgs {
		if err := c.dispatch(&msgs[i]); err != nil {
			return err
		}
	}
	// A room becomes full only here, so that one message is taken as a whole.
	for i := range msgs {
		if r := c.rooms[msgs[i].Room]; r != nil && !r.queue.full && r.queue.len() >= r.queue.limit {
			r.queue.full = true
			c.full++
		}
	}
	return nil
}

func (c *Client) dispatch(m *wire.Message) error {
	switch m.Op {
	case wire.OpEvents, wire.OpGap, wire.OpTier, wire.OpReset, wire.OpOnline, wire.OpFate, wire.OpHeld:
		if r := c.rooms[m.Room]; r != nil && r.in {
			c.fold(r, m)
		}
	case wire.OpJoined:
		c.joined(m)
	case wire.OpLeft:
		c.left(m)
	case wire.OpAck, wire.OpHistory, wire.OpPong:
		c.answer(m)
	case wire.OpWelcome:
		c.welcome(m)
		c.answer(m)
	case wire.OpError:
		return c.refuse(m)
	case wire.OpDirect:
		c.pushDirect(m)
	case wire.OpBye:
		return wireError(m, im.CodeShutdown)
	}
	return nil
}

func (c *Client) joined(m *wire.Message) {
	r := c.rooms[m.Room]
	answers := r != nil && r.answersJoin(m)
	if answers || r != nil && r.in {
		r.in = true
		c.fold(r, m)
		c.resend(r)
	}
	switch {
	case answers:
		c.end(r.joining, m, nil)
	case r == nil && m.ID == 0:
		c.leaveUnheard(m.Room)
	default:
		c.answer(m)
	}
}

func (c *Client) left(m *wire.Message) {
	r := c.rooms[m.Room]
	switch {
	case m.ID != 0 || r == nil:
		c.answer(m)
	case r.answersJoin(m):
		c.end(r.joining, nil, wireError(m, im.CodeKicked))
	case r.in:
		c.putOut(r, wireError(m, im.CodeKicked))
	}
}

// answer ends the call that m answers, if there is one.
func (c *Client) answer(m *wire.Message) {
	if k := c.calls[m.ID]; k != nil {
		c.end(k, m, nil)
	}
}

// refuse handles "error". If it says that the identity has expired, and a new
// one can be had, the connection ends, and the call goes on over the next one.
func (c *Client) refuse(m *wire.Message) error {
	e := wireError(m, im.CodeInternal)
	renew := e.Code == im.CodeExpired && c.opt.Token != nil
	k := c.calls[m.ID]
	switch {
	case k == nil && renew && m.ID == 0:
		return e
	case k == nil:
		c.log.Warn("the server refused a request that nobody waits for", "error", e)
	case renew && k.keep && !k.restarted:
		k.restarted = true
		k.unsend()
		return e
	default:
		c.end(k, nil, e)
	}
	return nil
}

// welcome notes who the client is. c.mu is held.
func (c *Client) welcome(m *wire.Message) {
	if m.User != nil {
		c.user = im.User{ID: m.User.ID, Name: m.User.Name, Roles: m.User.Roles}
	}
	if m.Heartbeat > 0 {
		c.heartbeat = time.Duration(m.Heartbeat) * time.Millisecond
	}
}

// fold takes what the server says of a room that the client is in.
func (c *Client) fold(r *Room, m *wire.Message) {
	v := &r.view
	change := r.people.owed.and(r.people.hear(m.Told))
	r.people.owed = change
	switch m.Op {
	case wire.OpOnline:
		v.online, r.people.owed = m.Count, nil
		r.push(item{Online{m.Count, (*Joins)(m.Joined), change}, v.pos})
		return
	case wire.OpFate:
		f := Fate{CID: m.CID, Status: Status(m.Status), Event: m.Event}
		if m.Code != "" || f.Status == StatusRefused {
			f.Err = wireError(m, im.CodeForbidden)
		}
		r.push(item{f, v.pos})
		return
	case wire.OpHeld:
		r.push(item{heldUpdate(m), v.pos})
		return
	}
	if r.queue.full {
		r.lagging = true
		return
	}
	switch m.Op {
	case wire.OpJoined, wire.OpReset:
		r.push(v.join(m)...)
	case wire.OpEvents:
		items, ok := v.events(m)
		c.deliver(r, items, ok)
	case wire.OpGap:
		// A gap need not say what it follows, so that one which comes while lost
		// events are being fetched must not carry the position over them.
		if r.joining == nil {
			items, ok := v.gap(m)
			c.deliver(r, items, ok)
		}
	case wire.OpTier:
		if r.joining == nil { // else it is of the join before
			items, ok := v.tier(m)
			c.deliver(r, items, ok)
		}
	}
}

// deliver hands items to the application, or, if something was lost before
// them, has the server send it all again.
func (c *Client) deliver(r *Room, items []item, whole bool) {
	switch {
	case whole:
		r.push(items...)
	case r.joining == nil:
		c.log.Warn("events were lost; joining again", "room", r.name, "position", r.view.pos)
		c.join(r)
	}
}

// join asks to enter the room, from where it was if it was entered before, on
// the connection that there is. c.mu is held.
func (c *Client) join(r *Room) { c.joinBy(r, false) }

// joinBy is join, but waits for the answer only if the handshake has asked.
func (c *Client) joinBy(r *Room, asked bool) {
	r.stopTimer()
	k := &call{asked: asked, req: wire.Request{Op: wire.OpJoin, Room: r.name, Tier: string(r.tier)}}
	if !r.view.pos.IsZero() {
		since := wire.Position(r.view.pos)
		k.req.Since = &since
	}
	k.finish = func(_ *wire.Message, err error) { c.joinDone(r, k, err) }
	r.joining = k
	if err := c.begin(k); err != nil {
		r.joining = nil
		c.drop(r, err)
	}
}

// joinDone takes the answer to join.
func (c *Client) joinDone(r *Room, k *call, err error) {
	if r.joining != k {
		return
	}
	r.joining = nil
	var refusal *im.Error
	switch {
	case err == nil:
		r.retry.forget()
		r.enter(nil)
	case errors.Is(err, ErrConnLost):
		// The next connection joins.
	case errors.As(err, &refusal) && r.entered:
		c.putOut(r, refusal)
	default:
		c.drop(r, err)
	}
}

// putOut takes a room out for the server's reason, and comes back to it later
// if the reason allows.
func (c *Client) putOut(r *Room, e *im.Error) {
	if e.Code.Retry() == im.RetryNever {
		r.push(item{Left{e}, r.view.pos})
		c.drop(r, e)
		return
	}
	c.forget(r.joining)
	r.offline()
	delay := r.retry.next(e.RetryAfter)
	c.log.Warn("out of a room; joining again", "room", r.name, "error", e, "retry_in", delay)
	r.timer = time.AfterFunc(delay, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.session != nil && c.rooms[r.name] == r && !r.in && r.joining == nil {
			c.join(r)
		}
	})
}

// drop forgets a room for good: its methods return err. c.mu is held.
func (c *Client) drop(r *Room, err error) {
	if r.err != nil {
		return
	}
	r.err = err
	c.forget(r.joining)
	r.offline()
	r.enter(err)
	if c.rooms[r.name] == r {
		delete(c.rooms, r.name)
	}
	if r.queue.full {
		r.queue.full = false
		c.full--
	}
	c.abandon(r, err)
	r.queue.wake()
	if c.session != nil {
		c.session.wakeReader()
	}
}
