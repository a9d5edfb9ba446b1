package im

import (
	"container/heap"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/liveim/im/internal/wire"
)

// cell is one key of a room's state.
type cell struct {
	Value   json.RawMessage `json:"value"`
	Version uint64          `json:"version"`
	Until   int64           `json:"until,omitempty"` // when it expires, in milliseconds since 1970; 0: never
	Owner   string          `json:"owner,omitempty"` // the user whose leaving removes it; empty: nobody's

	encoded []byte // as clients get it; nil: to be made
}

// size is what a cell counts for in the limit of a room's state.
func (c *cell) size(key string) int { return len(key) + len(c.Value) + len(c.Owner) }

// cells are the keys of a room's state, and what is derived from them so that neither a change nor
// an entry has to look at all of them. The zero value is ready.
type cells struct {
	m       map[string]*cell
	sorted  []keyed // the same, by key
	public  usage   // by keys that clients see
	private usage   // by those that they do not
	due     deadlines
	encoded json.RawMessage // all of them as clients get them; nil: to be made again
}

// usage is what the limits of a room's state count. The hub's own keys count nowhere.
type usage struct{ keys, bytes int }

// usage is where a key counts, nil if it does not.
func (s *cells) usage(key string) *usage {
	switch {
	case strings.HasPrefix(key, reservedPrefix):
		return nil
	case isPrivate(key):
		return &s.private
	}
	return &s.public
}

type keyed struct {
	key string
	*cell
}

// find returns where a key stands, or would stand, in sorted.
func (s *cells) find(key string) int {
	i, _ := slices.BinarySearchFunc(s.sorted, key, func(k keyed, key string) int { return strings.Compare(k.key, key) })
	return i
}

func (s *cells) get(key string) cell {
	if c := s.m[key]; c != nil {
		return *c
	}
	return cell{}
}

// put sets a key, and returns what it was.
func (s *cells) put(key string, next *cell) (old cell) {
	s.encoded = nil
	i := s.find(key)
	if c := s.m[key]; c != nil {
		old = *c
		s.sorted[i].cell = next
	} else {
		s.sorted = slices.Insert(s.sorted, i, keyed{key, next})
	}
	if s.m == nil {
		s.m = map[string]*cell{}
	}
	s.m[key] = next
	if u := s.usage(key); u != nil {
		if old.Version == 0 {
			u.keys++
		} else {
			u.bytes -= old.size(key)
		}
		u.bytes += next.size(key)
	}
	if next.Until > 0 {
		s.due.add(s, deadline{next.Until, key, next.Version})
	}
	return old
}

// drop removes a key, and returns what it was.
func (s *cells) drop(key string) (old cell, ok bool) {
	c := s.m[key]
	if c == nil {
		return cell{}, false
	}
	s.encoded = nil
	delete(s.m, key)
	i := s.find(key)
	s.sorted = slices.Delete(s.sorted, i, i+1)
	if u := s.usage(key); u != nil {
		u.keys--
		u.bytes -= c.size(key)
	}
	return *c, true
}

// json returns the keys that clients see as a JSON object. What has not changed is not encoded again.
func (s *cells) json() json.RawMessage {
	if s.encoded != nil {
		return s.encoded
	}
	size := 2
	for _, c := range s.sorted {
		if isPrivate(c.key) {
			continue
		}
		if c.encoded == nil {
			shown := wire.Cell{Value: c.Value, Version: c.Version, Until: c.Until, Owner: c.Owner}
			if strings.HasPrefix(c.key, reservedPrefix) {
				shown.Until = 0 // modes say themselves when they end
			}
			c.encoded = wire.AppendCell(nil, c.key, shown)
		}
		size += len(c.encoded) + 1
	}
	all := append(make([]byte, 0, size), '{')
	for _, c := range s.sorted {
		if isPrivate(c.key) {
			continue
		}
		if len(all) > 1 {
			all = append(all, ',')
		}
		all = append(all, c.encoded...)
	}
	s.encoded = append(all, '}')
	return s.encoded
}

// clone returns a copy of the map, whose cells nobody changes but for their encoding.
func (s *cells) clone() map[string]*cell { return maps.Clone(s.m) }

// deadline is when a version of a key expires.
type deadline struct {
	until   int64
	key     string
	version uint64
}

// deadlines is a heap with the earliest on top. It holds some that are out of date, which are dropped
// when they come up or are too many.
type deadlines []deadline

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].until < d[j].until }
func (d deadlines) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *deadlines) Push(x any)        { *d = append(*d, x.(deadline)) }
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	(*d)[last] = deadline{}
	*d = (*d)[:last]
	return x
}

func (d *deadlines) add(s *cells, next deadline) {
	if len(*d) > 2*len(s.m)+16 {
		*d = slices.DeleteFunc(*d, func(old deadline) bool { return !s.stands(&old) })
		heap.Init(d)
	}
	heap.Push(d, next)
}

// stands reports whether the key still has the version that expires.
func (s *cells) stands(d *deadline) bool {
	c := s.m[d.key]
	return c != nil && c.Version == d.version
}

// nextDue returns when the first key expires, 0 if none does.
func (s *cells) nextDue() int64 {
	for len(s.due) > 0 {
		if s.stands(&s.due[0]) {
			return s.due[0].until
		}
		heap.Pop(&s.due)
	}
	return 0
}

// expired returns up to max keys whose time is up at now, in milliseconds since 1970.
func (s *cells) expired(now int64, max int) (list []deadline) {
	for _, d := range s.due { // few: this is asked when the first one is due
		if d.until <= now && s.stands(&d) && len(list) < max {
			list = append(list, d)
		}
	}
	return list
}
