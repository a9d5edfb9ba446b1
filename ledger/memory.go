package ledger

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Memory is a [Ledger] in memory, for tests and for operations that may be lost with the process.
// It is not durable. Use [NewMemory]. It holds no goroutine and need not be closed.
type Memory struct {
	mu      sync.RWMutex // protects all below
	records map[string]*record
	keys    *index            // all records
	due     set[*record]      // those that have a Due, by it
	rooms   map[string]*index // those that have a Room
	users   map[string]*index // those that have a User
}

// record is where an entry is kept; the indexes point to it. What Data points to never changes.
type record struct{ Entry }

// index is records in the order of their keys.
type index = set[*record]

func newIndex() *index { return &index{cmp: byKey} }

func byKey(a, b *record) int { return strings.Compare(a.Key, b.Key) }

func byDue(a, b *record) int { return cmp.Or(a.Due.Compare(b.Due), byKey(a, b)) }

// NewMemory returns an empty ledger.
func NewMemory() *Memory {
	return &Memory{
		records: map[string]*record{},
		keys:    newIndex(),
		due:     set[*record]{cmp: byDue},
		rooms:   map[string]*index{},
		users:   map[string]*index{},
	}
}

// Durable returns false.
func (m *Memory) Durable() bool { return false }

// Commit implements [Ledger].
func (m *Memory) Commit(ctx context.Context, changes ...Change) ([]Entry, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	if err := Check(changes); err != nil {
		return nil, err
	}
	out, err := m.commit(changes)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	return owned(out), nil
}

func (m *Memory) commit(changes []Change) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Entry, len(changes))
	now := time.Now()
	for i, c := range changes {
		var stored Entry
		if r, ok := m.records[c.Entry.Key]; ok {
			stored = r.Entry
		}
		var err error
		if out[i], err = c.Apply(stored, now); err != nil {
			return nil, err
		}
	}
	for i := range out {
		m.put(out[i])
	}
	return out, nil
}

// put stores the entry, or removes the one with its key if its Version is 0.
func (m *Memory) put(e Entry) {
	r, ok := m.records[e.Key]
	if !ok {
		r = &record{Entry{Key: e.Key}}
		m.records[e.Key] = r
		m.keys.insert(r)
	}
	old := r.Entry
	if !old.Due.IsZero() && !old.Due.Equal(e.Due) {
		m.due.remove(r)
	}
	r.Entry = e
	if !e.Due.IsZero() && !old.Due.Equal(e.Due) {
		m.due.insert(r)
	}
	move(m.rooms, r, old.Room, e.Room)
	move(m.users, r, old.User, e.User)
	if e.Version == 0 {
		delete(m.records, e.Key)
		m.keys.remove(r)
	}
}

// move takes the record from the index of one name into that of another; "" has none.
func move(by map[string]*index, r *record, from, to string) {
	if from == to {
		return
	}
	if from != "" {
		if by[from].remove(r); by[from].n == 0 {
			delete(by, from)
		}
	}
	if to != "" {
		if by[to] == nil {
			by[to] = newIndex()
		}
		by[to].insert(r)
	}
}

// Get implements [Ledger].
func (m *Memory) Get(ctx context.Context, key string) (Entry, error) {
	if err := ended(ctx); err != nil {
		return Entry{}, err
	}
	m.mu.RLock()
	r, ok := m.records[key]
	var e Entry
	if ok {
		e = r.Entry
	}
	m.mu.RUnlock()
	if !ok {
		return Entry{}, ErrNotFound
	}
	e.Data = bytes.Clone(e.Data)
	return e, nil
}

// Due implements [Ledger].
func (m *Memory) Due(ctx context.Context, now time.Time, max int) ([]Entry, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	if max < 1 {
		return nil, fmt.Errorf("%w: Due with max %d; ask for at least 1", ErrInvalid, max)
	}
	return owned(m.dueAt(now, max)), nil
}

func (m *Memory) dueAt(now time.Time, max int) (out []Entry) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for r := range m.due.from(&record{}) {
		if len(out) == max || r.Due.After(now) {
			break
		}
		out = append(out, r.Entry)
	}
	return out
}

// List implements [Ledger].
func (m *Memory) List(ctx context.Context, q Query) ([]Entry, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	if q.Max < 0 {
		return nil, fmt.Errorf("%w: List with Max %d; ask for at least 1, or 0 for %d", ErrInvalid, q.Max, DefaultPage)
	}
	q.Max = cmp.Or(q.Max, DefaultPage)
	out, err := m.list(ctx, q)
	if err != nil {
		return nil, err
	}
	return owned(out), nil
}

func (m *Memory) list(ctx context.Context, q Query) ([]Entry, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	in := m.narrowest(q)
	if in == nil {
		return nil, nil
	}
	var out []Entry
	seen := 0
	for r := range in.from(&record{Entry{Key: max(q.Prefix, q.After)}}) {
		if seen++; seen%1024 == 0 {
			if err := ended(ctx); err != nil {
				return nil, err
			}
		}
		if !strings.HasPrefix(r.Key, q.Prefix) || len(out) == q.Max {
			break
		}
		if q.Selects(&r.Entry) {
			out = append(out, r.Entry)
		}
	}
	return out, nil
}

// narrowest returns the smallest index that holds all that q selects, or nil if there is nothing.
func (m *Memory) narrowest(q Query) *index {
	in := m.keys
	for _, by := range []struct {
		indexes map[string]*index
		name    string
	}{{m.rooms, q.Room}, {m.users, q.User}} {
		if by.name == "" {
			continue
		}
		s := by.indexes[by.name]
		if s == nil {
			return nil
		}
		if s.n < in.n {
			in = s
		}
	}
	return in
}

// owned gives each entry Data of its own, after the lock, as that may be large.
func owned(entries []Entry) []Entry {
	for i := range entries {
		entries[i].Data = bytes.Clone(entries[i].Data)
	}
	return entries
}

// ended returns an error that wraps ctx.Err() if ctx has ended.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("ledger: the context of the call has ended: %w", err)
	}
	return nil
}
