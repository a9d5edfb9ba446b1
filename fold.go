package im

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/liveim/im/internal/wire"
)

// fold is what a room's log adds up to: its state, whether it is closed, and
// which state events lost. It reads the log and nothing else, so that every node
// gets the same result at the same position. It is a plain struct; its owner
// serialises all calls.
type fold struct {
	maxKeys int
	seq     uint64 // of the last event applied
	cells   map[string]cell
	modes   *Modes // of cells; nil: none. It is replaced, never changed
	closed  bool
	outcome recent[string, outcome] // of state events, by event ID
	lost    recent[uint64, bool]    // seqs of state events that had no effect

	encoded json.RawMessage // cells as clients get them; nil: to be made again
}

type cell struct {
	Value   json.RawMessage `json:"value"`
	Version uint64          `json:"version"`
}

// outcome is what became of a state event.
type outcome struct {
	Version uint64 `json:"version,omitempty"` // of the key afterwards; 0: it does not exist
	Reason  string `json:"reason,omitempty"`  // why it lost; empty: applied
}

// Bounds of a fold that are part of the log's meaning: nodes that differed in
// them would differ in state.
const (
	maxStateKey      = 128  // bytes
	maxStateKeys     = 1000 // of one room
	rememberOutcomes = 1024 // state events
	rememberLost     = 8192 // state events; more than any log keeps by default
	reservedPrefix   = "im."
)

// stateChange is the body of a state event.
type stateChange struct {
	Key    string          `json:"key"`
	Value  json.RawMessage `json:"value,omitempty"`
	Delete bool            `json:"delete,omitempty"`
	If     *uint64         `json:"if,omitempty"`
}

// control is the body of a system event, by which the nodes tell each other
// what to do. Control events have a position but are not delivered.
type control struct {
	Type   string `json:"type"`
	User   string `json:"user,omitempty"`
	Reason string `json:"reason,omitempty"`
}

const (
	controlClose = "close" // everybody leaves and nobody enters
	controlOpen  = "open"  // the end of that
	controlKick  = "kick"  // the sessions of a user leave
)

// mergedBody is the body of an event of the class Merged: by how much the
// room's total grew.
type mergedBody struct {
	N     uint64 `json:"n"`
	Total uint64 `json:"total,omitempty"` // as delivered: the total at that position
}

func newFold(maxKeys int) *fold {
	return &fold{
		maxKeys: maxKeys,
		cells:   map[string]cell{},
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
	f.seq = e.Pos.Seq
	switch {
	case e.Kind == State:
		o := f.change(e)
		f.outcome.put(e.ID, o)
		if o.Reason != "" {
			f.lost.put(e.Pos.Seq, true)
			return nil, nil
		}
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
		}
		return nil, &c
	case e.Class == Merged:
		return f.add(e), nil
	}
	return e, nil
}

// change decides a state event.
func (f *fold) change(e *Event) outcome {
	var c stateChange
	if err := json.Unmarshal(e.Body, &c); err != nil || c.Key != modesKey && checkStateKey(c.Key) != nil || !c.Delete && len(c.Value) == 0 {
		return outcome{Reason: "the change is malformed"}
	}
	var modes *Modes
	if c.Key == modesKey && !c.Delete {
		var err error
		if modes, err = parseModes(c.Value); err != nil {
			return outcome{Reason: "the modes are malformed"}
		}
	}
	old, exists := f.cells[c.Key]
	switch {
	case c.If != nil && *c.If != old.Version:
		return outcome{old.Version, fmt.Sprintf("key %q has version %d, not %d", c.Key, old.Version, *c.If)}
	case c.Delete:
		delete(f.cells, c.Key)
		f.encoded = nil
		if c.Key == modesKey {
			f.modes = nil
		}
		return outcome{}
	case !exists && c.Key != modesKey && len(f.cells) >= f.maxKeys:
		return outcome{0, fmt.Sprintf("the room's state has %d keys, which is the limit", f.maxKeys)}
	}
	f.cells[c.Key] = cell{c.Value, e.Pos.Seq}
	f.encoded = nil
	if modes != nil {
		f.modes = modes
	}
	return outcome{Version: e.Pos.Seq}
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
	f.cells[key] = cell{value, e.Pos.Seq}
	f.encoded = nil
	shown := *e
	shown.Body, _ = json.Marshal(b)
	return &shown
}

func (f *fold) total(key string) (n uint64) {
	if c, ok := f.cells[key]; ok {
		_ = json.Unmarshal(c.Value, &n) // add wrote it
	}
	return n
}

// totalKey is the key of the state under which clients find the total of a
// merged kind.
func totalKey(k Kind) string { return reservedPrefix + "total." + string(k) }

func checkStateKey(key string) error {
	switch {
	case !validID(key, maxStateKey):
		return fmt.Errorf("a state key is 1 to %d bytes of UTF-8 without control characters", maxStateKey)
	case strings.HasPrefix(key, reservedPrefix):
		return fmt.Errorf("state keys that begin with %q are the hub's own", reservedPrefix)
	}
	return nil
}

// hides reports whether a stored event is not for viewers. Every read path asks.
func (f *fold) hides(e *Event) bool {
	if e.Kind == System {
		return true
	}
	_, lost := f.lost.get(e.Pos.Seq)
	return lost && e.Kind == State
}

// empty reports whether the fold says nothing that the events which are kept do
// not say.
func (f *fold) empty() bool {
	return len(f.cells) == 0 && !f.closed && len(f.outcome.m) == 0 && len(f.lost.m) == 0
}

// state returns the cells as a JSON object.
func (f *fold) state() json.RawMessage {
	if f.encoded == nil {
		f.encoded = wire.AppendCells(nil, slices.Sorted(maps.Keys(f.cells)), func(key string) wire.Cell { return wire.Cell(f.cells[key]) })
	}
	return f.encoded
}

// snapshot is a fold as it is stored.
type snapshot struct {
	Version  int                `json:"v"`
	Cells    map[string]cell    `json:"cells"`
	Closed   bool               `json:"closed,omitempty"`
	Outcomes map[string]outcome `json:"outcomes,omitempty"`
	Order    []string           `json:"order,omitempty"`
	Lost     []uint64           `json:"lost,omitempty"`
}

func (f *fold) save() json.RawMessage {
	data, _ := json.Marshal(snapshot{1, f.cells, f.closed, f.outcome.m, f.outcome.keys(), f.lost.keys()})
	return data
}

// load replaces what f holds by a snapshot as of seq.
func (f *fold) load(data json.RawMessage, seq uint64) error {
	var s snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("the snapshot of the room's state does not decode: %w", err)
	}
	if s.Version != 1 {
		return fmt.Errorf("the snapshot of the room's state has format %d; this version reads 1", s.Version)
	}
	*f = *newFold(f.maxKeys)
	maps.Copy(f.cells, s.Cells)
	f.closed, f.seq = s.Closed, seq
	if cell, ok := f.cells[modesKey]; ok {
		m, err := parseModes(cell.Value)
		if err != nil {
			return fmt.Errorf("the snapshot of the room's state has modes that do not decode: %w", err)
		}
		f.modes = m
	}
	for _, id := range s.Order {
		f.outcome.put(id, s.Outcomes[id])
	}
	for _, seq := range s.Lost {
		f.lost.put(seq, true)
	}
	return nil
}

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
