package ledgertest

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/liveim/im/ledger"
)

// testModel compares the ledger with a map over random calls, each time from an empty ledger. The
// flags -rapid.checks and -rapid.steps say how often.
func testModel(t *testing.T, l ledger.Ledger) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{f: newFixture(rt, l), stored: map[string]ledger.Entry{}}
		defer m.clear()
		rt.Repeat(map[string]func(*rapid.T){
			"commit": m.commit,
			"again":  m.commit, // most of the calls
			"get":    m.get,
			"due":    m.due,
			"list":   m.list,
		})
		m.f.wantEntries(m.f.all(ledger.Query{}), m.sorted(), "all entries in the end")
	})
}

// model is what a ledger must look like from outside.
type model struct {
	f      *fixture
	stored map[string]ledger.Entry
}

func (m *model) sorted() []ledger.Entry {
	var all []ledger.Entry
	for _, e := range m.stored {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b ledger.Entry) int { return strings.Compare(a.Key, b.Key) })
	return all
}

var (
	modelKeys  = []string{"a", "a/1", "a/2", "a\x00", "b", "b/1", "b\xff", "c"}
	modelNames = []string{"", "x", "x\x00", "y"}
)

func modelTime(rt *rapid.T) time.Time {
	return time.UnixMicro(int64(rapid.IntRange(0, 5).Draw(rt, "time"))).Add(time.Duration(rapid.IntRange(0, 1).Draw(rt, "nanoseconds")))
}

func (m *model) change(rt *rapid.T) ledger.Change {
	key := rapid.SampledFrom(modelKeys).Draw(rt, "key")
	version := m.stored[key].Version
	if rapid.IntRange(0, 9).Draw(rt, "stale") == 0 {
		version = rapid.Uint64Range(0, 3).Draw(rt, "version")
	}
	if rapid.IntRange(0, 3).Draw(rt, "delete") == 0 {
		return remove(key, version)
	}
	c := ledger.Change{Entry: ledger.Entry{
		Key: key, Version: version,
		Kind:  rapid.SampledFrom(modelNames).Draw(rt, "kind"),
		State: rapid.SampledFrom(modelNames).Draw(rt, "state"),
		Room:  rapid.SampledFrom(modelNames).Draw(rt, "room"),
		User:  rapid.SampledFrom(modelNames).Draw(rt, "user"),
		Data:  json.RawMessage(rapid.SampledFrom([]string{"", "1", `{"a":[]}`}).Draw(rt, "data")),
	}}
	if rapid.Bool().Draw(rt, "is due") {
		c.Entry.Due = modelTime(rt)
	}
	return c
}

// commit makes a few changes, most of them good.
func (m *model) commit(rt *rapid.T) {
	changes := make([]ledger.Change, rapid.IntRange(1, 4).Draw(rt, "changes"))
	have := map[string]uint64{}
	stale, invalid := false, false
	for i := range changes {
		c := m.change(rt)
		changes[i] = c
		if _, twice := have[c.Entry.Key]; twice || c.Delete && c.Entry.Version == 0 {
			invalid = true
		}
		have[c.Entry.Key] = m.stored[c.Entry.Key].Version
		stale = stale || c.Entry.Version != have[c.Entry.Key]
	}
	switch {
	case invalid:
		m.f.wantInvalid("one key twice, or a deletion of Version 0", changes...)
	case stale:
		m.f.wantStale(have, changes...)
	default:
		for _, e := range m.f.commit(changes...) {
			if old, ok := m.stored[e.Key]; ok && e.Version > 0 && !e.Created.Equal(old.Created) {
				m.f.Fatalf("Created of %q was %s and is now %s", e.Key, old.Created, e.Created)
			}
			if m.stored[e.Key] = e; e.Version == 0 {
				delete(m.stored, e.Key)
			}
		}
	}
}

func (m *model) get(rt *rapid.T) {
	key := rapid.SampledFrom(modelKeys).Draw(rt, "key")
	if want, ok := m.stored[key]; ok {
		m.f.wantEntries([]ledger.Entry{m.f.get(key)}, []ledger.Entry{want}, "Get")
	} else {
		m.f.wantNone(key, "the model has none")
	}
}

func (m *model) due(rt *rapid.T) {
	now, max := modelTime(rt), rapid.IntRange(1, 9).Draw(rt, "max")
	var want []ledger.Entry
	for _, e := range m.sorted() {
		if !e.Due.IsZero() && !e.Due.After(now) {
			want = append(want, e)
		}
	}
	slices.SortStableFunc(want, func(a, b ledger.Entry) int { return a.Due.Compare(b.Due) })
	m.f.wantEntries(m.f.due(now, max), want[:min(max, len(want))], "Due at %s, at most %d", now, max)
}

func (m *model) list(rt *rapid.T) {
	q := ledger.Query{
		Prefix: rapid.SampledFrom([]string{"", "", "a", "b", "b\xff", "d"}).Draw(rt, "prefix"),
		Kind:   rapid.SampledFrom(modelNames).Draw(rt, "kind"),
		State:  rapid.SampledFrom(modelNames).Draw(rt, "state"),
		Room:   rapid.SampledFrom(modelNames).Draw(rt, "room"),
		User:   rapid.SampledFrom(modelNames).Draw(rt, "user"),
		Max:    rapid.IntRange(0, 9).Draw(rt, "max"),
	}
	if rapid.Bool().Draw(rt, "later page") {
		q.After = rapid.SampledFrom(modelKeys).Draw(rt, "after")
	}
	want := selected(m.sorted(), q)
	if q.Max > 0 {
		want = want[:min(q.Max, len(want))]
	}
	m.f.wantEntries(m.f.list(q), want, "List of %+v", q)
}

// clear empties the ledger, whatever state a failure has left it in.
func (m *model) clear() {
	for range 100 {
		page, err := tryList(m.f.ledger, ledger.Query{})
		if err != nil || len(page) == 0 {
			return
		}
		changes := make([]ledger.Change, len(page))
		for i, e := range page {
			changes[i] = remove(e.Key, e.Version)
		}
		ctx, cancel := background()
		_, err = m.f.ledger.Commit(ctx, changes...)
		cancel()
		if err != nil && !errors.Is(err, ledger.ErrStale) {
			return
		}
	}
}
