package im

import (
	"context"
	"strconv"
	"time"
)

// followModesLocked takes over what the fold says of the room's modes. It is called
// whenever that may have changed.
func (c *core) followModesLocked() {
	m := c.fold.modes
	if c.modes.Load() == m {
		return
	}
	c.modes.Store(m)
	c.claims.follow(m)
	c.held.signal()
	c.planExpiryLocked(0)
}

// planExpiryLocked plans to end the modes when their time is up, and not before
// least. There is one timer a room, which is no goroutine.
func (c *core) planExpiryLocked(least time.Duration) {
	const look = time.Minute // at the wall clock, which may be set
	if c.expiry != nil {
		c.expiry.Stop()
		c.expiry = nil
	}
	m := c.modes.Load()
	if m == nil || m.Until.IsZero() || c.gone {
		return
	}
	wait := min(max(m.Until.Sub(c.hub.opts.Now()), least), look)
	c.expiry = time.AfterFunc(wait, func() { c.hub.background(func() { c.expire(m) }) })
}

// expire ends modes whose time is up, with an event that names their version: several
// nodes may append it, and one has an effect.
func (c *core) expire(m *Modes) {
	least := time.Millisecond
	if m.over(c.hub.opts.Now()) {
		var version uint64
		c.folded(func(f *fold) { version = f.cells[modesKey].Version })
		if c.modes.Load() != m {
			return
		}
		ctx, cancel := context.WithTimeout(c.hub.life, c.hub.opts.Timeouts.Hook)
		defer cancel()
		_ = c.hub.protect("ending modes", func() error { return c.clearModes(ctx, version) })
		least = time.Second // until it is folded, or tried again
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.modes.Load() == m {
		c.planExpiryLocked(least)
	}
}

// clearModes appends the event, also in a room that is closed. Its id is the same on all nodes, and no
// client can make it: no user's id is empty.
func (c *core) clearModes(ctx context.Context, version uint64) error {
	body, err := c.hub.encodeBody(stateChange{Key: modesKey, Delete: true, If: &version})
	if err != nil {
		return err
	}
	id := eventID("", "modes.until."+c.id+"."+strconv.FormatUint(version, 10))
	_, _, err = c.store(ctx, &Event{ID: id, Kind: State, Body: body})
	return err
}
