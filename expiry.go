package im

import (
	"context"
	"encoding/json"
	"strconv"
	"time"
)

// followFoldLocked takes over what was folded beyond events: modes, owners of keys, what expires when. It is called whenever
// that may have changed; owners that are new have first to be there.
func (c *core) followFoldLocked(now time.Time, first time.Duration) {
	if m := c.fold.modes; c.modes.Load() != m {
		c.modes.Store(m)
		c.claims.follow(m)
		c.held.signal()
	}
	c.followOwnersLocked(now, first)
	c.tellWatchesLocked()
	c.planLocked(0)
}

// plan is what a room has an appointment for: when its first key expires, by the wall clock in milliseconds
// since 1970, and when it next looks for owners of keys. Zero means never.
type plan struct {
	until  int64
	owners time.Time
}

// planLocked makes the appointment that what has been folded asks for, and not before least. Whoever changes the fold,
// or core.owners, calls it.
func (c *core) planLocked(least time.Duration) {
	next := plan{}
	if c.fold != nil && !c.gone {
		next.until = c.fold.cells.nextDue()
		next.owners = c.owners.next()
	}
	if next == c.planned && least == 0 {
		return
	}
	c.planned = next
	c.hub.agenda.set(c, next.at(c.hub.opts.Now, least))
}

// at returns when that is by the monotonic clock.
func (p plan) at(wall func() time.Time, least time.Duration) (at time.Time) {
	const look = time.Minute // at the wall clock, which may be set
	now := time.Now()
	if p.until > 0 {
		at = now.Add(min(max(0, time.UnixMilli(p.until).Sub(wall())), look))
	}
	if !p.owners.IsZero() && (at.IsZero() || p.owners.Before(at)) {
		at = p.owners
	}
	if least > 0 && !at.IsZero() && at.Before(now.Add(least)) {
		at = now.Add(least)
	}
	return at
}

// lookAfter removes keys that have expired, and those of owners who have left: with events that name
// the version, so that several nodes may append them and one has an effect.
func (c *core) lookAfter() {
	ctx, cancel := context.WithTimeout(c.hub.life, c.hub.opts.Timeouts.Hook)
	defer cancel()
	idle := false
	_ = c.hub.protect("removing what has expired", func() error {
		events := c.overdue(time.Now())
		if idle = len(events) == 0; idle {
			return nil
		}
		_, err := c.storeAll(ctx, events)
		return err
	})
	least := time.Second // until it is folded, or tried again
	if idle && !c.hub.draining() {
		least = time.Millisecond
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		least = time.Second
	}
	c.planned = plan{}
	c.planLocked(least)
}

// removeOverdue is lookAfter for a room that is being opened, so that those who wait for it do not
// see what expired while nobody had it open.
func (c *core) removeOverdue(ctx context.Context) {
	if events := c.overdue(time.Now()); len(events) > 0 {
		_, _ = c.storeAll(ctx, events) // if it fails, lookAfter tries again
	}
}

// overdue returns the events that have to be appended now.
func (c *core) overdue(now time.Time) []*Event {
	const most = 64 // at a time; the rest follows when these are folded
	var events []*Event
	wall := c.hub.opts.Now().UnixMilli()
	c.mu.Lock()
	if c.fold == nil || c.gone || c.broken {
		c.mu.Unlock()
		return nil
	}
	c.sealLocked(now)
	for _, d := range c.fold.cells.expired(wall, most) {
		events = append(events, c.removal("until", stateChange{Key: d.key, Delete: true, If: &d.version}))
	}
	events = append(events, c.ownersDueLocked(now, most)...)
	c.mu.Unlock()
	c.obey()
	return events
}

// removal makes an event that removes a version of a key. Its id is the same on all nodes, and no
// client can make it: no user's id is empty.
func (c *core) removal(why string, change stateChange) *Event {
	body, _ := json.Marshal(change)
	id := eventID("", "state."+why+"."+strconv.FormatUint(*change.If, 10)+"."+strconv.FormatUint(change.Absent, 10)+"."+change.Key)
	return &Event{ID: id, Kind: State, Body: body}
}
