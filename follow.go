package im

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/liveim/im/internal/fanout"
)

// core returns the room in use under id and opens it if it is not. The caller
// must release it.
func (h *Hub) core(ctx context.Context, id string) (*core, error) {
	if err := checkRoomID(id); err != nil {
		return nil, err
	}
	for {
		if h.life.Err() != nil {
			return nil, ErrClosed
		}
		fresh := false
		c := h.rooms.getOrMake(id, func() *core {
			fresh = true
			return &core{hub: h, id: id, opened: make(chan struct{})}
		})
		if fresh {
			h.background(c.open)
		}
		select {
		case <-c.opened:
		case <-ctx.Done():
			return nil, &Error{Code: CodeTimeout, cause: ctx.Err()}
		}
		if c.openErr != nil {
			return nil, c.openErr
		}
		if c.acquire() {
			return c, nil
		}
		h.rooms.removeIf(id, c)
	}
}

// open brings the room to the head of its log. If that fails the next use tries
// again.
func (c *core) open() {
	ctx, cancel := context.WithTimeout(c.hub.life, c.hub.opts.Timeouts.Hook)
	defer cancel()
	c.ticket = c.hub.engine.Register(c.id, c)
	c.used, c.renewing = time.Now(), true
	if err := c.follow(ctx); err != nil {
		c.hub.opts.Logger.Error("a room cannot be opened", "room", c.id, "error", err)
		c.openErr = &Error{Code: CodeOverloaded, RetryAfter: time.Second, cause: err}
		c.mu.Lock()
		c.gone = true
		stop := c.stop
		c.mu.Unlock()
		if stop != nil {
			stop()
		}
		c.hub.rooms.removeIf(c.id, c)
		close(c.opened)
		return
	}
	close(c.opened)
	c.mu.Lock()
	broken := c.broken
	c.renewing = broken
	c.mu.Unlock()
	if broken {
		c.refollow()
	}
}

// follow loads the room's snapshot and follows the log from there, or goes on
// where the fold is if the log still has that place. It returns when the fold has
// reached what was the head.
func (c *core) follow(ctx context.Context) error {
	log := c.hub.opts.Log
	head, err := log.Head(ctx, c.id)
	if err != nil {
		return err
	}
	after := c.resumePoint(head)
	if after.IsZero() {
		if after, err = c.restart(ctx, head); err != nil {
			return err
		}
	}
	stop, err := log.Follow(ctx, c.id, after, c.deliver)
	if errors.Is(err, ErrGap) && !after.IsZero() {
		// The events between the snapshot and the oldest that is kept are
		// gone. What the snapshot says is still the best there is.
		c.hub.opts.Logger.Warn("a room's log does not reach back to its snapshot; state may be older than it says", "room", c.id)
		stop, err = log.Follow(ctx, c.id, Position{}, c.deliver)
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.stop = stop
	c.mu.Unlock()
	return c.await(ctx, head.Seq)
}

// resumePoint returns where the fold stands, if the log goes on from there, or
// the zero Position.
func (c *core) resumePoint(head Position) Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fold == nil || c.epoch != head.Epoch || c.received > head.Seq {
		return Position{}
	}
	c.broken = false
	return Position{c.epoch, c.received}
}

// restart forgets what the room was and begins with its snapshot, if there is
// one. Every session has fallen out of the feed then.
func (c *core) restart(ctx context.Context, head Position) (after Position, err error) {
	fresh := newFold(c.hub.opts.Bounds.StateKeys)
	if sl, ok := c.hub.opts.Log.(SnapshotLog); ok {
		s, found, err := sl.LoadSnapshot(ctx, c.id)
		if err != nil {
			return Position{}, err
		}
		if found && s.Pos.Epoch == head.Epoch && s.Pos.Seq <= head.Seq {
			if err := fresh.load(s.Data, s.Pos.Seq); err != nil {
				return Position{}, err
			}
			after = s.Pos
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.fold == nil
	c.fold, c.epoch, c.broken = fresh, head.Epoch, false
	c.received, c.backlog, c.incoming, c.unsaved, c.savedAt = after.Seq, head.Seq, nil, 0, time.Now()
	if first {
		c.feed = fanout.NewFeed(c.id, head.Seq, &c.hub.feedLimits)
	} else {
		c.feed.Restart(head.Seq)
	}
	return after, nil
}

// refollow renews the following after the log has ended it, until it succeeds
// or the hub ends. There is one at a time.
func (c *core) refollow() {
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, 2*time.Second) {
		c.abandon()
		ctx, cancel := context.WithTimeout(c.hub.life, c.hub.opts.Timeouts.Hook)
		err := c.follow(ctx)
		cancel()
		if c.hub.life.Err() != nil {
			return
		}
		c.mu.Lock()
		c.renewing = err != nil || c.broken
		again := c.renewing
		c.mu.Unlock()
		if !again {
			break
		}
		select {
		case <-c.hub.life.Done():
			return
		case <-time.After(delay/2 + rand.N(delay)):
		}
	}
	c.ticket.Wake() // whoever fell out of the feed finds out
}

// abandon ends the following that is broken.
func (c *core) abandon() {
	c.mu.Lock()
	stop, cause := c.stop, c.cause
	c.stop, c.cause = nil, nil
	c.broken = true
	if errors.Is(cause, ErrGap) {
		c.epoch = "" // what was folded is no base to go on from
	}
	c.mu.Unlock()
	if cause != nil {
		c.hub.opts.Logger.Warn("a room lost its log and follows it anew", "room", c.id, "error", cause)
	}
	if stop != nil {
		stop()
	}
}

// await returns when the fold has passed seq.
func (c *core) await(ctx context.Context, seq uint64) error {
	c.mu.Lock()
	if c.received >= seq {
		c.mu.Unlock()
		return nil
	}
	w := waiter{seq, make(chan struct{})}
	c.waiters = append(c.waiters, w)
	c.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return &Error{Code: CodeTimeout, cause: ctx.Err()}
	}
}

// save stores a snapshot if something was folded since the last one.
func (c *core) save(ctx context.Context) error {
	sl, ok := c.hub.opts.Log.(SnapshotLog)
	if !ok {
		return nil
	}
	c.mu.Lock()
	if c.fold == nil || c.unsaved == 0 || c.broken {
		c.mu.Unlock()
		return nil
	}
	asks := c.sealLocked(time.Now())
	s := Snapshot{Pos: Position{c.epoch, c.fold.seq}, Data: c.fold.save()}
	c.unsaved, c.savedAt = 0, time.Now()
	c.mu.Unlock()
	for _, ask := range asks {
		ask()
	}
	if err := sl.SaveSnapshot(ctx, c.id, s); err != nil {
		c.mu.Lock()
		c.unsaved++
		c.mu.Unlock()
		return err
	}
	return nil
}

// unload ends the room on this node if nobody has used it since `idle`. It
// reports whether it did.
func (c *core) unload(ctx context.Context, idle time.Time) bool {
	if err := c.save(ctx); err != nil {
		return false
	}
	c.mu.Lock()
	if c.gone || c.users > 0 || len(c.members) > 0 || c.unsaved > 0 && c.saves() || len(c.merging) > 0 || c.used.After(idle) {
		c.mu.Unlock()
		return false
	}
	c.gone = true
	stop := c.stop
	c.stop = nil
	c.mu.Unlock()
	if stop != nil {
		stop()
	}
	c.hub.rooms.removeIf(c.id, c)
	return true
}

// saves reports whether the log keeps snapshots.
func (c *core) saves() bool {
	_, ok := c.hub.opts.Log.(SnapshotLog)
	return ok
}

// discard ends the following of a room of a hub that has ended.
func (c *core) discard() {
	c.mu.Lock()
	c.gone = true
	stop := c.stop
	c.stop = nil
	c.mu.Unlock()
	if stop != nil {
		stop()
	}
}
