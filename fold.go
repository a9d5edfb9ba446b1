package im

import (
	"encoding/json"
	"slices"
)

// fold is what a room's log adds up to: its state, whether it is closed, which
// state events lost and which events were deleted. It reads the log and nothing else, so that every node
// gets the same result at the same position. It is a plain struct; its owner
// serialises all calls.
type fold struct {
	limits  stateLimits
	seq     uint64 // of the last event applied
	key     string // that it has changed; empty: it was no state event, or lost
	cells   cells
	modes   *Modes // of cells; nil: none. It is replaced, never changed
	closed  bool
	deleted deleted
	outcome recent[string, outcome] // of state events, by event ID
	lost    recent[uint64, bool]    // seqs of state events that had no effect
	owners  map[string]int          // how many cells a user owns
	asked   map[string]uint64       // owners who have not answered a roll call, and its seq

	ownerEvents uint64            // moves when owners or asked change
	deletions   uint64            // moves when deleted changes
	changed     map[string]uint64 // seqs of keys that are different since somebody looked; nil: nobody does
}

// control is the body of a system event, by which the nodes tell each other
// what to do. Control events have a position but are not delivered.
type control struct {
	Type   string   `json:"type"`
	User   string   `json:"user,omitempty"`
	Users  []string `json:"users,omitempty"`
	Reason string   `json:"reason,omitempty"`
}

const (
	controlClose = "close" // everybody leaves and nobody enters
	controlOpen  = "open"  // the end of that
	controlKick  = "kick"  // the sessions of a user leave
	controlSync  = "sync"  // nothing: somebody waits for its position
	controlRoll  = "roll"  // which of these owners of keys are there?
	controlHere  = "here"  // these are
)

// mergedBody is the body of an event of the class Merged: by how much the
// room's total grew.
type mergedBody struct {
	N     uint64 `json:"n"`
	Total uint64 `json:"total,omitempty"` // as delivered: the total at that position
}

func newFold(limits stateLimits) *fold {
	return &fold{
		limits:  limits,
		outcome: newRecent[string, outcome](rememberOutcomes),
		lost:    newRecent[uint64, bool](rememberLost),
	}
}

// apply takes the next event of the log. It returns the event as viewers get
// it, nil if they do not get it, and what a control event asks for.
func (f *fold) apply(e *Event) (visible *Event, ask *control) {
	if e.Pos.Seq <= f.seq {
		return nil, nil
	}
	f.seq, f.key = e.Pos.Seq, ""
	switch {
	case e.Kind == State:
		o, shown := f.change(e)
		f.outcome.put(e.ID, o)
		if o.Reason != "" {
			f.lost.put(e.Pos.Seq, true)
		}
		return shown, nil
	case e.Kind == System:
		if isOutcome(e.Body) {
			return nil, nil
		}
		var c control
		if json.Unmarshal(e.Body, &c) != nil {
			return nil, nil
		}
		switch c.Type {
		case controlClose:
			f.closed = true
		case controlOpen:
			f.closed = false
		case controlRoll:
			for _, user := range c.Users {
				f.ask(user, e.Pos.Seq)
			}
		case controlHere:
			for _, user := range c.Users {
				f.present(user)
			}
		}
		return nil, &c
	case e.Kind == Moderation:
		if d, ok := DeletionOf(e); ok {
			f.deleted.add(&d, f.limits.deleted)
			f.deletions++
		}
	case e.Class == Merged:
		return f.add(e), nil
	}
	return e, nil
}

// add sums up an event of the class Merged and returns it with the total.
func (f *fold) add(e *Event) *Event {
	var b mergedBody
	if json.Unmarshal(e.Body, &b) != nil || b.N > MaxSeq {
		return nil
	}
	key := totalKey(e.Kind)
	b.Total = min(f.total(key)+b.N, MaxSeq) // both are at most that, so the sum does not wrap
	value, _ := json.Marshal(b.Total)
	f.put(key, cell{Value: value, Version: e.Pos.Seq})
	shown := *e
	shown.Body, _ = json.Marshal(b)
	return &shown
}

func (f *fold) total(key string) (n uint64) {
	if c := f.cells.get(key); c.Version != 0 {
		_ = json.Unmarshal(c.Value, &n) // add wrote it
	}
	return n
}

// totalKey is the key of the state under which clients find the total of a
// merged kind.
func totalKey(k Kind) string { return reservedPrefix + "total." + string(k) }

// hides reports whether a stored event is not for viewers. Every read path asks.
func (f *fold) hides(e *Event) bool {
	if e.Kind == System || e.Kind == State && changesPrivate(e.Body) {
		return true
	}
	if _, lost := f.lost.get(e.Pos.Seq); lost && e.Kind == State {
		return true
	}
	return f.deleted.has(e)
}

// empty reports whether the fold says nothing that the events which are kept do
// not say.
func (f *fold) empty() bool {
	return len(f.cells.m) == 0 && !f.closed && len(f.outcome.m) == 0 && len(f.lost.m) == 0 && f.deleted.empty()
}

// put sets a key of the state, and drop removes one, at seq.
func (f *fold) put(key string, next cell) {
	old := f.cells.put(key, &next)
	if next.Owner != "" {
		if f.owners == nil {
			f.owners = map[string]int{}
		}
		if f.owners[next.Owner]++; f.owners[next.Owner] == 1 {
			f.ownerEvents++
		}
	}
	f.disown(old.Owner)
	f.note(key, next.Version)
}

func (f *fold) drop(key string, seq uint64) {
	if key == modesKey {
		f.modes = nil
	}
	if old, ok := f.cells.drop(key); ok {
		f.disown(old.Owner)
		f.note(key, seq)
	}
}

// disown counts a key less of a user.
func (f *fold) disown(user string) {
	if user == "" {
		return
	}
	if f.owners[user]--; f.owners[user] == 0 {
		delete(f.owners, user)
		delete(f.asked, user)
		f.ownerEvents++
	}
}

// ask notes that an owner was called at seq.
func (f *fold) ask(user string, seq uint64) {
	if f.owners[user] == 0 {
		return
	}
	if f.asked == nil {
		f.asked = map[string]uint64{}
	}
	f.asked[user] = seq
	f.ownerEvents++
}

// present notes that an owner is there.
func (f *fold) present(user string) {
	if f.asked[user] != 0 {
		delete(f.asked, user)
		f.ownerEvents++
	}
}

// note notes for those who watch that a key is different.
func (f *fold) note(key string, seq uint64) {
	if f.changed != nil {
		f.changed[key] = seq
	}
}

// state returns the cells as a JSON object.
func (f *fold) state() json.RawMessage { return f.cells.json() }

// recent is a map that remembers the newest max entries.
type recent[K comparable, V any] struct {
	max   int
	m     map[K]V
	order []K // from oldest to newest, beginning at head
	head  int
}

func newRecent[K comparable, V any](max int) recent[K, V] { return recent[K, V]{max: max} }

func (r *recent[K, V]) get(k K) (V, bool) {
	v, ok := r.m[k]
	return v, ok
}

func (r *recent[K, V]) put(k K, v V) {
	if r.m == nil {
		r.m = map[K]V{}
	}
	if _, ok := r.m[k]; !ok {
		if len(r.order) < r.max {
			r.order = append(r.order, k)
		} else {
			delete(r.m, r.order[r.head])
			r.order[r.head] = k
			r.head = (r.head + 1) % r.max
		}
	}
	r.m[k] = v
}

func (r *recent[K, V]) keys() []K {
	return slices.Concat(r.order[r.head:], r.order[:r.head])
}
