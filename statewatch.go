package im

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"slices"
	"time"
)

// StateChange is a key of a room's state as it is now. Version 0 means that it is gone; Value is nil then.
// Until is when the key expires, zero for never, and Owner the user whose leaving removes it.
type StateChange struct {
	Key     string
	Value   json.RawMessage
	Version uint64
	Until   time.Time
	Owner   string

	seq uint64 // of the change
}

// stateWatch is one call of Watch.
type stateWatch struct {
	news    chan struct{}     // holds a value while changed is not empty
	changed map[string]uint64 // keys that are different since it looked, and the seqs; guarded by core.mu
}

// Watch yields every key of the room's state, and then each key that changes, with the value that
// it has when it is yielded: whoever is slow gets the newest value of a key only, and costs no more than a room has keys. Changes come
// in the order of the log. It ends when ctx or the hub ends; an error, which is the last thing that
// it yields, says that the room cannot be opened. The room stays in use meanwhile.
//
//	for change, err := range room.State().Watch(ctx) { … }
func (s RoomState) Watch(ctx context.Context) iter.Seq2[StateChange, error] {
	return func(yield func(StateChange, error) bool) {
		c, err := s.room.hub.core(ctx, s.room.id)
		if err != nil {
			if ctx.Err() == nil {
				yield(StateChange{}, err)
			}
			return
		}
		defer c.release()
		w := &stateWatch{news: make(chan struct{}, 1), changed: map[string]uint64{}}
		c.watch(w)
		defer c.unwatch(w)
		for {
			for _, change := range c.takeChanges(w) {
				if !yield(change, nil) {
					return
				}
			}
			select {
			case <-w.news:
			case <-ctx.Done():
				return
			case <-c.hub.life.Done():
				return
			}
		}
	}
}

// watch begins a watch with all keys.
func (c *core) watch(w *stateWatch) {
	c.folded(func(f *fold) {
		for key, cell := range f.cells.m {
			w.changed[key] = cell.Version
		}
		c.watches = append(c.watches, w)
		if f.changed == nil {
			f.changed = map[string]uint64{}
		}
	})
}

func (c *core) unwatch(w *stateWatch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watches = slices.DeleteFunc(c.watches, func(other *stateWatch) bool { return other == w })
	if len(c.watches) == 0 {
		c.fold.changed = nil
	}
}

// takeChanges returns what a watch has not yielded yet.
func (c *core) takeChanges(w *stateWatch) (list []StateChange) {
	c.folded(func(f *fold) {
		for key, seq := range w.changed {
			cell := f.cells.get(key)
			change := StateChange{Key: key, Value: cell.Value, Version: cell.Version, Owner: cell.Owner, seq: seq}
			if cell.Until > 0 {
				change.Until = time.UnixMilli(cell.Until)
			}
			list = append(list, change)
		}
		clear(w.changed)
	})
	slices.SortFunc(list, func(a, b StateChange) int { return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.Key, b.Key)) })
	return list
}

// tellWatchesLocked tells those who watch what was folded.
func (c *core) tellWatchesLocked() {
	if len(c.watches) == 0 || len(c.fold.changed) == 0 {
		return
	}
	for _, w := range c.watches {
		for key, seq := range c.fold.changed {
			w.changed[key] = seq
		}
		w.wake()
	}
	clear(c.fold.changed)
}

// rewatchLocked tells those who watch that the fold is another one than old.
func (c *core) rewatchLocked(old *fold) {
	if len(c.watches) == 0 {
		return
	}
	c.fold.changed = map[string]uint64{}
	for key := range old.cells.m {
		c.fold.changed[key] = 0
	}
	for key, cell := range c.fold.cells.m {
		if was := old.cells.get(key); was.Version == cell.Version && string(was.Value) == string(cell.Value) {
			delete(c.fold.changed, key)
			continue
		}
		c.fold.changed[key] = cell.Version
	}
	c.tellWatchesLocked()
}

func (w *stateWatch) wake() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}
