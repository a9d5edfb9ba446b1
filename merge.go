package im

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// merge is what was added to one kind since the last event.
type merge struct {
	n uint64
	// pending is the event being appended; it is kept
	// until that has succeeded, so that a retry adds nothing twice.
	pending *Event
}

// merge adds n to what the next event of the kind will say.
func (c *core) merge(kind Kind, n uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fold.closed {
		return ErrRoomClosed
	}
	if c.merging == nil {
		c.merging = map[Kind]*merge{}
	}
	m := c.merging[kind]
	if m == nil {
		m = &merge{}
		c.merging[kind] = m
		c.hub.after(c.hub.mergeEvery(), func() { c.mergeNow(kind) })
	}
	m.n = min(m.n+n, MaxSeq) // both are at most that, so the sum does not wrap
	return nil
}

// mergeNow appends what has gathered. It comes back until nothing is left.
func (c *core) mergeNow(kind Kind) {
	ctx, cancel := context.WithTimeout(c.hub.life, c.hub.opts.Timeouts.Hook)
	defer cancel()
	more := true
	_ = c.hub.protect("adding up", func() error {
		more = c.mergeOnce(ctx, kind)
		return nil
	})
	if more {
		c.hub.after(c.hub.mergeEvery(), func() { c.mergeNow(kind) })
	}
}

// mergeOnce appends what has gathered and reports whether there was anything.
func (c *core) mergeOnce(ctx context.Context, kind Kind) bool {
	c.mu.Lock()
	m := c.merging[kind]
	if m == nil || m.pending == nil && m.n == 0 || c.gone {
		delete(c.merging, kind)
		c.mu.Unlock()
		return false
	}
	if m.pending == nil {
		body, _ := json.Marshal(mergedBody{N: m.n})
		m.pending = &Event{ID: uuid.NewString(), Kind: kind, Body: body}
		m.n = 0
	}
	pending := m.pending
	e := *pending
	c.mu.Unlock()
	if stored, _, err := c.store(ctx, &e); err == nil {
		c.mu.Lock()
		if m.pending == pending {
			m.pending = nil
		}
		c.mu.Unlock()
		c.signalTotal(ctx, stored)
	}
	return true
}

// signalTotal tells observers that a total has grown, once it is in the state of this node. It does not wait for
// that for long: what is added up meanwhile is not to wait for a room that has fallen behind its log.
func (c *core) signalTotal(ctx context.Context, stored *Event) {
	if c.hub.plugs.observers.Load() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if c.await(ctx, stored.Pos) != nil {
		return
	}
	c.hub.observe(Signal{Type: SignalTotal, Room: c.id, Kind: stored.Kind, Event: stored})
}

// mergeAll appends what has gathered, for a hub that ends.
func (c *core) mergeAll(ctx context.Context) {
	c.mu.Lock()
	kinds := slices.Collect(maps.Keys(c.merging))
	c.mu.Unlock()
	for _, k := range kinds {
		c.mergeOnce(ctx, k)
	}
}
