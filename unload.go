package im

import (
	"context"
	"time"
)

// save stores a snapshot if something was folded since the last one. A room
// without state needs none: it would only be kept for it.
func (c *core) save(ctx context.Context) error {
	sl, ok := c.hub.opts.Log.(SnapshotLog)
	c.mu.Lock()
	if c.fold == nil || c.broken || c.gone {
		c.mu.Unlock()
		return nil
	}
	c.sealLocked(time.Now())
	if !ok || c.unsaved == 0 || c.fold.empty() {
		c.unsaved = 0
		c.mu.Unlock()
		c.obey()
		return nil
	}
	n := c.unsaved
	pos, state := Position{c.epoch, c.fold.seq}, c.fold.snapshot()
	c.mu.Unlock()
	c.obey()
	s := Snapshot{Pos: pos, Data: state.encode()}
	if err := sl.SaveSnapshot(ctx, c.id, s); err != nil {
		return err
	}
	c.mu.Lock()
	c.unsaved -= min(n, c.unsaved)
	c.mu.Unlock()
	return nil
}

// unload ends the room on this node if nobody has used it since idle and all
// of it is stored. It reports whether it did.
func (c *core) unload(idle time.Time) bool {
	c.mu.Lock()
	if c.gone || c.users > 0 || len(c.members) > 0 || c.unsaved > 0 || len(c.incoming) > 0 || len(c.merging) > 0 || c.used.After(idle) {
		c.mu.Unlock()
		return false
	}
	c.gone = true // from here on nobody takes it up again
	c.mu.Unlock()
	c.discard()
	c.hub.rooms.removeIf(c.id, c)
	return true
}

// acquire keeps the core from being unloaded until release. It reports false if
// it is gone already.
func (c *core) acquire() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return false
	}
	c.users++
	return true
}

func (c *core) release() {
	now := time.Now()
	c.mu.Lock()
	c.users--
	c.used = now
	// A room that nobody has ever written to costs nothing to open again, and
	// anybody can ask for any number of them.
	blank := c.users == 0 && c.received == 0 && len(c.members) == 0
	c.mu.Unlock()
	if blank {
		c.unload(now)
	}
}
