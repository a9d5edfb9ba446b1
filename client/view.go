package client

import (
	"encoding/json"
	"maps"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

// view is what a client knows of a room: it folds what the server says into a
// position, the state and the updates for the application. It does no I/O and
// takes no lock. The zero view is that of a room not joined yet.
type view struct {
	pos    im.Position
	state  map[string]Cell
	online int
}

// item is an update together with where the application is once it has seen it.
type item struct {
	update Update
	pos    im.Position
}

// join folds "joined" and "reset".
func (v *view) join(m *wire.Message) []item {
	v.online = m.Online
	pos := im.Position{Epoch: m.Epoch, Seq: m.Seq}
	if m.Recovered && !v.pos.IsZero() && v.pos.Epoch == m.Epoch {
		return v.resume(m, pos)
	}
	v.pos, v.state = pos, cells(m.State)
	items := make([]item, 0, 1+len(m.Events))
	// Until the last event of the snapshot was seen there is no position from
	// which the rest could be had again.
	items = append(items, item{Reset{pos, maps.Clone(v.state), m.Online}, im.Position{}})
	for i := range m.Events {
		e := event(m.Epoch, &m.Events[i])
		items = appendEvent(items, Event{e, true}, e.Pos)
	}
	items[len(items)-1].pos = pos
	return items
}

// resume folds a "joined" that goes on from v.pos. The server may have answered
// from an older position than the one that was reached meanwhile.
func (v *view) resume(m *wire.Message, pos im.Position) []item {
	items := make([]item, 0, 1+len(m.Events))
	items = append(items, item{Resumed{pos, m.Missed, m.Online}, v.pos})
	items = v.appendNew(items, m.Events)
	if pos.Seq >= v.pos.Seq || v.state == nil {
		v.pos, v.state = pos, cells(m.State)
	}
	items[len(items)-1].pos = v.pos
	return items
}

// events folds "events". It reports false if something before them was lost;
// they are then not folded.
func (v *view) events(m *wire.Message) ([]item, bool) {
	if m.Prev > v.pos.Seq {
		return nil, false
	}
	items := v.appendNew(nil, m.Events)
	for _, it := range items {
		if e, ok := it.update.(Event); ok {
			v.fold(e.Event)
			v.pos.Seq = max(v.pos.Seq, e.Pos.Seq)
		}
	}
	v.pos.Seq = max(v.pos.Seq, m.To)
	if len(items) > 0 {
		items[len(items)-1].pos = v.pos
	}
	return items, true
}

// gap folds "gap". A server may say what it follows, as in "events"; gap then
// reports false if something before it was lost.
func (v *view) gap(m *wire.Message) ([]item, bool) {
	if m.Prev > v.pos.Seq {
		return nil, false
	}
	if m.Missed == 0 {
		return nil, true
	}
	v.pos.Seq = max(v.pos.Seq, m.To) // it may stay: the events that follow begin in the same batch
	return []item{{Gap{m.Missed}, v.pos}}, true
}

// tier folds "tier". It reports false if something before it was lost.
func (v *view) tier(m *wire.Message) ([]item, bool) {
	if m.Prev > v.pos.Seq {
		return nil, false
	}
	v.pos.Seq = max(v.pos.Seq, m.To)
	return []item{{TierChanged{Tier(m.Tier), m.By == "server"}, v.pos}}, true
}

// appendNew appends the events that are above the position, and those that have none.
func (v *view) appendNew(items []item, events []wire.Event) []item {
	at := v.pos
	for i := range events {
		if events[i].Seq != 0 && events[i].Seq <= at.Seq {
			continue
		}
		e := event(v.pos.Epoch, &events[i])
		if events[i].Seq != 0 {
			at = e.Pos
		}
		items = appendEvent(items, Event{e, false}, at)
	}
	return items
}

// appendEvent appends an event, and behind it what it deletes.
func appendEvent(items []item, e Event, at im.Position) []item {
	items = append(items, item{e, at})
	if d, ok := im.DeletionOf(e.Event); ok {
		items = append(items, item{Removed{d}, at})
	}
	return items
}

// fold applies a state event to the state. The server delivers only changes
// that took effect.
func (v *view) fold(e *im.Event) {
	if e.Class == im.Merged && !e.Pos.IsZero() {
		v.total(e)
		return
	}
	if e.Kind != im.State || e.Pos.IsZero() {
		return
	}
	var change struct {
		Key    string          `json:"key"`
		Value  json.RawMessage `json:"value"`
		Delete bool            `json:"delete"`
		Until  int64           `json:"until"`
		Owner  string          `json:"owner"`
	}
	if json.Unmarshal(e.Body, &change) != nil || change.Key == "" || !change.Delete && len(change.Value) == 0 {
		return
	}
	if change.Delete {
		delete(v.state, change.Key)
		return
	}
	v.state[change.Key] = Cell{change.Value, e.Pos.Seq, change.Until, change.Owner}
}

// total writes what an event of a merged kind says of the room's total.
func (v *view) total(e *im.Event) {
	var b struct {
		Total json.RawMessage `json:"total"`
	}
	if json.Unmarshal(e.Body, &b) == nil && len(b.Total) > 0 {
		v.state["im.total."+string(e.Kind)] = Cell{Value: b.Total, Version: e.Pos.Seq}
	}
}

func cells(from map[string]wire.Cell) map[string]Cell {
	to := make(map[string]Cell, len(from))
	for k, c := range from {
		to[k] = Cell(c)
	}
	return to
}

func event(epoch string, e *wire.Event) *im.Event {
	ev := &im.Event{ID: e.ID, Kind: im.Kind(e.Kind), At: time.UnixMilli(e.At), Body: e.Body, N: e.N}
	if e.Seq != 0 {
		ev.Pos = im.Position{Epoch: epoch, Seq: e.Seq}
	}
	if e.From != nil {
		ev.From = im.Author(*e.From)
	}
	if e.Merged {
		ev.Class = im.Merged
	}
	return ev
}
