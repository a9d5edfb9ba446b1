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
			return &core{hub: h, id: id, opened: make(chan struct{}), calls: calls{bytes: &h.answerBytes, max: int64(h.opts.Bounds.Answers)}}
		})
		if fresh {
			h.background(c.open)
		}
		select {
		case <-c.opened:
		case <-ctx.Done():
			return nil, &Error{Code: CodeTimeout, cause: ctx.Err()}
		case <-h.life.Done():
			return nil, ErrClosed
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

// coreWithin is core for a caller who has yet to make a context: a room that is open already needs none.
func (h *Hub) coreWithin(p patience, id string) (*core, error) {
	if c, ok := h.rooms.get(id); ok && h.life.Err() == nil {
		select {
		case <-c.opened:
			if c.openErr == nil && c.acquire() {
				return c, nil
			}
		default:
		}
	}
	ctx, cancel := p.context()
	defer cancel()
	return h.core(ctx, id)
}

// open brings the room to the head of its log. If that fails the next use tries
// again.
func (c *core) open() {
	defer close(c.opened)
	ctx, cancel := context.WithTimeout(c.hub.life, c.hub.opts.Timeouts.Hook)
	defer cancel()
	c.ticket = c.hub.engine.Register(c.id, c)
	c.used, c.renewing = time.Now(), true
	err := c.hub.protect("opening a room", func() error { return c.follow(ctx) })
	if err != nil {
		c.hub.opts.Logger.Error("a room cannot be opened", "room", c.id, "error", err)
		c.openErr = &Error{Code: CodeOverloaded, RetryAfter: time.Second, cause: err}
		c.discard()
		c.hub.rooms.removeIf(c.id, c)
		return
	}
	c.removeOverdue(ctx)
	c.mu.Lock()
	broken := c.broken
	c.renewing = broken
	c.wakeWaitersLocked()
	c.mu.Unlock()
	if broken {
		c.hub.background(c.refollow)
	}
}

// pursuit is one following of a room's log, from where it begins to where the
// log ends it. While it catches up it folds on its own, so that nobody sees a
// room that is folded in part; then it takes the room over.
type pursuit struct {
	core   *core
	epoch  string
	head   uint64 // of the log when the pursuit began: events up to it are history
	target uint64 // the last of them that is still kept
	fold   *fold
	asks   []*control    // that history holds beyond what the room has seen
	caught chan struct{} // closed when it has taken over
	live   bool          // it has
}

// follow follows the log from where the fold is, if the log still goes on from
// there, or else anew. It returns when the room has reached what was the head.
func (c *core) follow(ctx context.Context) error {
	head, err := c.hub.opts.Log.Head(ctx, c.id)
	if err != nil {
		return err
	}
	if after, ok := c.resumePoint(head); ok {
		err := c.pursue(ctx, &pursuit{core: c, epoch: head.Epoch, live: true}, after)
		if !errors.Is(err, ErrGap) {
			return err
		}
	}
	p, after, err := c.startOver(ctx, head)
	if err != nil {
		return err
	}
	err = c.pursue(ctx, p, after)
	if errors.Is(err, ErrGap) && !after.IsZero() {
		// The events between the snapshot and the oldest that is kept are
		// gone. What the snapshot says is still the best there is.
		c.hub.opts.Logger.Warn("a room's log does not reach back to its snapshot; state may be older than it says", "room", c.id)
		err = c.pursue(ctx, p, Position{})
	}
	if err != nil {
		return err
	}
	select {
	case <-p.caught:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resumePoint returns where the fold stands, if the log can go on from there.
func (c *core) resumePoint(head Position) (Position, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fold == nil || c.epoch != head.Epoch || c.received > head.Seq || errors.Is(c.cause, ErrGap) {
		return Position{}, false
	}
	return Position{c.epoch, c.received}, true
}

// startOver prepares a pursuit that begins with the room's snapshot, if there is
// one, or with the oldest event.
func (c *core) startOver(ctx context.Context, head Position) (p *pursuit, after Position, err error) {
	log := c.hub.opts.Log
	p = &pursuit{core: c, epoch: head.Epoch, head: head.Seq, fold: newFold(standardLimits()), caught: make(chan struct{})}
	if sl, ok := log.(SnapshotLog); ok {
		s, found, err := sl.LoadSnapshot(ctx, c.id)
		if err != nil {
			return nil, Position{}, err
		}
		if found && s.Pos.Epoch == head.Epoch && s.Pos.Seq <= head.Seq {
			if err := p.fold.load(s.Data, s.Pos.Seq); err != nil {
				return nil, Position{}, err
			}
			after = s.Pos
		}
	}
	// The head itself may no longer be kept: then nobody delivers it.
	newest, err := log.Read(ctx, c.id, Range{Newest: true, Max: 1})
	if err != nil {
		return nil, Position{}, err
	}
	if n := len(newest.Events); n > 0 {
		if last := newest.Events[n-1].Pos; last.Epoch == head.Epoch {
			p.target = min(last.Seq, head.Seq)
		}
	}
	return p, after, nil
}

// pursue begins to follow.
func (c *core) pursue(ctx context.Context, p *pursuit, after Position) error {
	c.mu.Lock()
	c.pursuit, c.broken, c.cause = p, false, nil
	c.mu.Unlock()
	stop, err := c.hub.opts.Log.Follow(ctx, c.id, after, p.deliver)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.stop = stop
	if !p.live && p.fold.seq >= p.target {
		p.takeOverLocked()
	}
	c.mu.Unlock()
	return nil
}

// deliver takes events from the log. It is called in order, may be under a lock
// of the log, and does not block.
func (p *pursuit) deliver(events []*Event, err error) {
	c := p.core
	c.mu.Lock()
	wake := c.pursuit == p && !c.gone && !c.broken && p.takeLocked(events, err)
	renew := c.pursuit == p && c.broken && !c.renewing && !c.gone
	c.renewing = c.renewing || renew
	c.mu.Unlock()
	if wake {
		c.ticket.Wake()
	}
	if renew {
		c.hub.background(c.refollow)
	}
}

// takeLocked notes events, or that the following has ended. It reports whether
// there is something to deliver.
func (p *pursuit) takeLocked(events []*Event, err error) (news bool) {
	c := p.core
	for _, e := range events {
		if e.Pos.Epoch != p.epoch {
			err = ErrGap // the log began anew without a word
			break
		}
		if !p.live && e.Pos.Seq <= p.head {
			if _, ask := p.fold.apply(e); ask != nil && (c.epoch != p.epoch || e.Pos.Seq > c.received) {
				p.asks = append(p.asks, ask)
			}
			continue
		}
		if !p.live {
			p.takeOverLocked()
		}
		if e.Pos.Seq > c.received {
			c.received = e.Pos.Seq
			c.incoming = append(c.incoming, e)
			news = true
		}
	}
	if err != nil {
		c.broken, c.cause = true, err
	} else if !p.live && c.stop != nil && p.fold.seq >= p.target {
		p.takeOverLocked()
	}
	c.wakeWaitersLocked()
	return news
}

// takeOverLocked makes what the pursuit has folded the room. Every session that
// is in it has fallen out of the feed, and enters again; members of a room that was
// closed meanwhile leave.
func (p *pursuit) takeOverLocked() {
	c := p.core
	first, old := c.fold == nil, c.fold
	c.fold, c.epoch, c.incoming = p.fold, p.epoch, nil
	c.received = max(p.head, p.fold.seq)
	c.deletions.Add(1)
	if first {
		c.feed = fanout.NewFeed(c.id, c.received, &c.hub.feedLimits)
	} else {
		c.feed.Restart(c.received)
		for _, ask := range p.asks {
			if ask.Type == controlKick {
				c.obeyLocked(ask)
			}
		}
		if c.fold.closed {
			c.obeyLocked(&control{Type: controlClose})
		}
	}
	if !first {
		c.rewatchLocked(old)
	}
	c.owners.ver = ^uint64(0) // of another fold
	c.followFoldLocked(time.Now(), ownerLease)
	c.calls.unsure() // what was folded here was not observed
	p.live, p.fold, p.asks = true, nil, nil
	c.wakeWaitersLocked()
	close(p.caught)
}

// refollow renews the following after the log has ended it, until it succeeds
// or the hub ends. There is one at a time.
func (c *core) refollow() {
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, 2*time.Second) {
		c.abandon()
		ctx, cancel := context.WithTimeout(c.hub.life, c.hub.opts.Timeouts.Hook)
		err := c.hub.protect("following a room", func() error { return c.follow(ctx) })
		cancel()
		if c.hub.life.Err() != nil {
			return
		}
		c.mu.Lock()
		c.renewing = (err != nil || c.broken) && !c.gone
		again := c.renewing
		c.wakeWaitersLocked()
		c.mu.Unlock()
		if !again {
			break
		}
		c.hub.opts.Logger.Warn("a room cannot follow its log; trying again", "room", c.id, "error", err)
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
	c.stop, c.broken = nil, true
	c.mu.Unlock()
	if cause != nil {
		c.hub.opts.Logger.Warn("a room lost its log and follows it anew", "room", c.id, "error", cause)
	}
	if stop != nil {
		stop()
	}
}

// discard ends the room on this node, whatever it is doing.
func (c *core) discard() {
	c.mu.Lock()
	c.gone = true
	c.planLocked(0) // never
	stop := c.stop
	c.stop = nil
	c.mu.Unlock()
	c.calls.clear()
	if stop != nil {
		stop()
	}
}
