package im

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/liveim/im/internal/fanout"
	"github.com/liveim/im/internal/wire"
)

// withdrawLocked takes what c.incoming deletes out of what sessions have yet to get, and returns what is left of items,
// which are to be added to that.
func (c *core) withdrawLocked(items []fanout.Item) []fanout.Item {
	c.deletions.Add(1)
	c.entries.byTier = [len(c.entries.byTier)]*newestEvents{}
	var fresh []Deletion
	for _, e := range c.incoming {
		if d, ok := DeletionOf(e); ok {
			fresh = append(fresh, d)
		}
	}
	gone := func(it *fanout.Item) bool {
		// Few are decoded: not those of users whose earlier messages were deleted before.
		may := it.Seq <= c.fold.deleted.floor || slices.ContainsFunc(fresh, func(d Deletion) bool { return d.mayDelete(it.Seq, it.From) })
		return may && c.fold.deleted.has(decodeItem(it))
	}
	removed := c.feed.Remove(gone)
	kept := items[:0]
	for i := range items {
		if gone(&items[i]) {
			removed = append(removed, items[i])
		} else {
			kept = append(kept, items[i])
		}
	}
	c.flow.forget(removed)
	return kept
}

// decodeItem reads what has needs of an event from how viewers get it.
func decodeItem(it *fanout.Item) *Event {
	var w wire.Event
	_ = json.Unmarshal(it.JSON, &w) // this package wrote it
	e := &Event{Pos: Position{Seq: it.Seq}, ID: w.ID, Kind: Kind(w.Kind), At: time.UnixMilli(w.At), From: Author{ID: it.From}}
	if w.Merged {
		e.Class = Merged
	}
	return e
}

// forget ends the counting of volatile events that were deleted. Equal messages of the next second are still merged into
// one, so that its text does not come back at once.
func (f *flow) forget(items []fanout.Item) {
	const most = 256 // a room shows fewer in the second for which one is counted, by default
	var ids []string
	if old := f.deleted.Load(); old != nil {
		ids = append(ids, *old...)
	}
	before := len(ids)
	for i := range items {
		if items[i].Lane == fanout.Volatile {
			ids = append(ids, decodeItem(&items[i]).ID)
		}
	}
	if len(ids) > before {
		ids = ids[max(0, len(ids)-most):]
		f.deleted.Store(&ids)
	}
}

func (f *flow) wasDeleted(id string) bool {
	ids := f.deleted.Load()
	return ids != nil && slices.Contains(*ids, id)
}

// withoutDeleted drops events that were deleted since core.deletions was so, while they were read.
func (c *core) withoutDeleted(events []*Event, since uint64) []*Event {
	if c.deletions.Load() == since {
		return events
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(events) > 0 && events[0].Pos.Epoch != c.epoch {
		return nil
	}
	return slices.DeleteFunc(events, c.fold.hides)
}

// hides reports whether an event that was read before is hidden by now.
func (r *Room) hides(ctx context.Context, e *Event) (hidden bool, err error) {
	c, err := r.hub.core(ctx, r.id)
	if err != nil {
		return false, err
	}
	defer c.release()
	c.folded(func(f *fold) {
		hidden = f.hides(e)
		if c.epoch != e.Pos.Epoch {
			err = ErrGap
		}
	})
	return hidden, err
}
