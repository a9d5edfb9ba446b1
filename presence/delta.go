package presence

import (
	"encoding/json"
	"time"
)

const (
	// repeat is for how long a change is told again and again: a room hears what it is told at most every 5 s, and the
	// next time must reach back to the time before.
	repeat = 6 * time.Second
	// Bytes of the parts of what a room is told, which are 4 KiB at most all together.
	maxChangedBytes = 2 << 10
	maxSmallBytes   = 1 << 10
	maxTopBytes     = 1 << 10
	maxCameBytes    = 512
	maxPageBytes    = 48 << 10
)

// delta is what a room is told. Whoever has the roster of a version from Prev to V-1 puts everybody of In into
// it and takes everybody of Out out of it, and then has that of V.
type delta struct {
	Of    string            `json:"of"`
	V     uint64            `json:"v"`
	Prev  *uint64           `json:"prev,omitempty"` // 0: In is everybody
	Count int               `json:"count"`
	In    []json.RawMessage `json:"in,omitempty"`
	Out   []string          `json:"out,omitempty"`
	Large bool              `json:"large,omitempty"`
	Came  []json.RawMessage `json:"came,omitempty"`
	Top   []json.RawMessage `json:"top,omitempty"`
}

// tell returns what the room is told now. Without names it is the number of members alone.
func (r *roster) tell(names bool, top int, now time.Time) *delta {
	d := &delta{Of: r.of, V: r.v, Count: len(r.byID), Large: r.large}
	if !names {
		return d
	}
	d.Top, _ = encodeMembers(r.top(top), maxTopBytes)
	if r.large {
		d.Came, _ = encodeMembers(r.came, maxCameBytes)
		r.came, r.coming = nil, 0
		return d
	}
	prev := uint64(0)
	if !r.everybody(d) {
		prev = r.changes(d, now)
	}
	d.Prev = &prev
	return d
}

// everybody puts all members into In, if they are few.
func (r *roster) everybody(d *delta) bool {
	const least = 20 // bytes of a member
	if len(r.byID) > maxSmallBytes/least {
		return false
	}
	var whole bool
	d.In, whole = encodeMembers(r.page(0, len(r.byID), 0).Members, maxSmallBytes)
	return whole
}

// changes puts into In and Out who has changed within the last few seconds, as far as that fits, and returns the
// version before.
func (r *roster) changes(d *delta, now time.Time) (prev uint64) {
	d.In, prev = nil, r.v
	seen, size := map[string]bool{}, 0
	for i := len(r.recent) - 1; i >= 0; i-- {
		c := &r.recent[i]
		if now.Sub(c.at) >= repeat {
			break
		}
		if !seen[c.id] {
			seen[c.id] = true
			e := r.byID[c.id]
			var member []byte
			if e != nil {
				member, _ = json.Marshal(e.member()) // of strings and numbers
				size += len(member) + 1
			} else {
				size += len(c.id) + 3
			}
			if size > maxChangedBytes {
				break
			}
			if e != nil {
				d.In = append(d.In, member)
			} else {
				d.Out = append(d.Out, c.id)
			}
		}
		prev = c.v - 1
	}
	return prev
}

// encodeMembers encodes as many members as fit, and reports whether that is all of them.
func encodeMembers(members []Member, most int) (list []json.RawMessage, whole bool) {
	for i := range members {
		b, _ := json.Marshal(&members[i]) // of strings and numbers
		if most -= len(b) + 1; most < 0 {
			return list, false
		}
		list = append(list, b)
	}
	return list, true
}
