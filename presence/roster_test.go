package presence

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/liveim/im"
)

// follower is a client that keeps a roster by what it hears, as docs/protocol.md has it.
type follower struct {
	of    string
	v     uint64
	names map[string]string // nil: it has to ask
}

// hear takes what the room is told.
func (f *follower) hear(t *rapid.T, d *delta) {
	switch {
	case d.Large || d.Prev == nil:
		f.names = nil
		return
	case *d.Prev == 0:
		f.names = map[string]string{}
	case f.names == nil || f.of != d.Of || *d.Prev > f.v:
		f.names = nil
		return
	case d.V <= f.v:
		return
	}
	f.of, f.v = d.Of, d.V
	for _, raw := range d.In {
		var m Member
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		f.names[m.ID] = m.Name
	}
	for _, id := range d.Out {
		delete(f.names, id)
	}
}

// ask reads the roster page by page, while nothing happens.
func (f *follower) ask(r *roster, max int) {
	f.names = map[string]string{}
	for after := uint64(0); ; {
		p := r.page(after, max, 3)
		f.of, f.v = p.Of, p.Version
		for _, m := range p.Members {
			f.names[m.ID] = m.Name
		}
		if after = p.Next; after == 0 {
			return
		}
	}
}

// naive is a room as the model has it.
type naive struct {
	name string
	rank int
	away time.Time // zero: it is there
}

// The roster agrees with a naive model, and whoever hears of it, all or some of the time, agrees with the roster or knows
// that it does not.
func TestRosterAgreesWithAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const grace = 5 * time.Second
		limit := rapid.IntRange(5, 60).Draw(t, "limit")
		r := &roster{of: "x", limit: limit, grace: grace}
		model := map[string]*naive{}
		past := map[uint64]map[string]string{} // what the roster was at each version
		note := func() { past[r.v] = namesOf(model) }
		all, some := &follower{}, &follower{}
		now := time.Unix(1764000000, 0)
		user := rapid.Map(rapid.IntRange(0, 90), func(n int) string { return fmt.Sprint("user-", n) })
		t.Repeat(map[string]func(*rapid.T){
			"see": func(t *rapid.T) {
				for range rapid.IntRange(1, 30).Draw(t, "many") {
					id := user.Draw(t, "id")
					name, rank := fmt.Sprintf("%s %d%050d", id, rapid.IntRange(0, 2).Draw(t, "name"), 0), rapid.IntRange(0, 5).Draw(t, "rank")
					_, joined := r.see(&im.User{ID: id, Name: name}, rank, now)
					if joined != (model[id] == nil) {
						t.Fatalf("%s joined: %v", id, joined)
					}
					model[id] = &naive{name: name, rank: rank}
					note()
				}
			},
			"miss": func(t *rapid.T) {
				for range rapid.IntRange(1, 30).Draw(t, "many") {
					id := user.Draw(t, "id")
					r.miss(id, now)
					if m := model[id]; m != nil && m.away.IsZero() {
						m.away = now
					}
				}
			},
			"hide": func(t *rapid.T) {
				if id := user.Draw(t, "id"); model[id] != nil {
					r.remove(r.byID[id], now)
					delete(model, id)
					note()
				}
			},
			"pass": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
				var left []string
				for _, m := range r.expire(now) {
					left = append(left, m.ID)
				}
				var want []string
				for id, m := range model {
					if !m.away.IsZero() && now.Sub(m.away) >= grace {
						want = append(want, id)
						delete(model, id)
					}
				}
				slices.Sort(left)
				slices.Sort(want)
				if !slices.Equal(left, want) {
					t.Fatalf("%q left, want %q", left, want)
				}
				note()
			},
			"tell": func(t *rapid.T) {
				d := r.tell(true, 3, now)
				if b, err := json.Marshal(d); err != nil || len(b) > 4<<10 {
					t.Fatalf("told %d bytes, %v", len(b), err)
				}
				for v, names := range past {
					if d.Prev != nil && v >= *d.Prev && v < d.V {
						f := &follower{of: d.Of, v: v, names: maps.Clone(names)}
						f.hear(t, d)
						agrees(t, fmt.Sprint("who has version ", v), f.names, model)
					}
					if v+400 < r.v {
						delete(past, v)
					}
				}
				all.hear(t, d)
				if rapid.Bool().Draw(t, "heard") {
					some.hear(t, d)
				}
				for _, f := range []*follower{all, some} {
					if f.names != nil && f.v == r.v {
						agrees(t, "a client", f.names, model)
					}
				}
			},
			"ask": func(t *rapid.T) {
				if !r.large {
					some.ask(r, rapid.IntRange(1, 40).Draw(t, "page"))
					agrees(t, "a client that has asked", some.names, model)
				}
			},
			"": func(t *rapid.T) { check(t, r, model, limit) },
		})
	})
}

func agrees(t *rapid.T, who string, names map[string]string, model map[string]*naive) {
	t.Helper()
	want := namesOf(model)
	if !maps.Equal(names, want) {
		t.Fatalf("%s knows %v, want %v", who, names, want)
	}
}

func namesOf(model map[string]*naive) map[string]string {
	names := make(map[string]string, len(model))
	for id, m := range model {
		names[id] = m.name
	}
	return names
}

func check(t *rapid.T, r *roster, model map[string]*naive, limit int) {
	page := r.page(0, 1000, 3)
	names := map[string]string{}
	for _, m := range page.Members {
		names[m.ID] = m.Name
	}
	agrees(t, "the roster", names, model)
	if r.len() != len(model) || page.Count != len(model) || len(page.Members) != len(model) {
		t.Fatalf("%d members, want %d", r.len(), len(model))
	}
	if n := len(model); n > limit && !r.large || n <= limit*9/10 && r.large {
		t.Fatalf("large is %v with %d members of %d", r.large, n, limit)
	}
	var ranks []int
	for _, m := range model {
		if m.rank > 0 {
			ranks = append(ranks, m.rank)
		}
	}
	slices.Sort(ranks)
	slices.Reverse(ranks)
	var top []int
	for _, m := range r.top(3) {
		top = append(top, m.Rank)
	}
	if !slices.Equal(top, ranks[:min(3, len(ranks))]) {
		t.Fatalf("the top is %v of %v", top, ranks)
	}
	if len(r.recent) > maxRecent || len(r.leaving) > 3*len(r.byID)+100 || len(r.order) > 2*len(r.byID)+8 || len(r.came) > maxCame {
		t.Fatalf("%d recent, %d leaving, %d in order for %d members", len(r.recent), len(r.leaving), len(r.order), len(r.byID))
	}
}

// A client that misses one of the deltas needs no roster; one that misses what no later one repeats asks.
func TestDeltasRepeatThemselves(t *testing.T) {
	r := &roster{of: "x", limit: 1000, grace: time.Second}
	now := time.Unix(1764000000, 0)
	come := func(from, to int) {
		for i := from; i < to; i++ {
			r.see(&im.User{ID: fmt.Sprint("user-", i), Name: "somebody"}, 0, now)
		}
	}
	come(0, 100)
	now = now.Add(time.Minute)
	prev := func() uint64 { return *r.tell(true, 0, now).Prev }
	come(100, 101)
	if got := prev(); got != 100 {
		t.Errorf("after one came: %d", got)
	}
	now = now.Add(3 * time.Second)
	come(101, 102)
	if got := prev(); got != 100 {
		t.Errorf("and another 3 s later: %d", got)
	}
	now = now.Add(3 * time.Second)
	if got := prev(); got != 101 {
		t.Errorf("the first is 6 s ago: %d", got)
	}
	come(102, 300)
	if got := prev(); got <= 101 || got >= 300 {
		t.Errorf("more than fits: %d", got)
	}
}
