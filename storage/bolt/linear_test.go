package bolt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/liveim/im/ledger"
)

// linearKeys are few, so that clients meet.
const linearKeys = 3

// cell is what an entry is to the model; the zero cell is none.
type cell struct {
	Version uint64
	Value   string
}

type cells [linearKeys]cell

// call is an input of the model: a commit if it has Changes, a Get if it has a Key, or else a List.
type call struct {
	Changes []step
	Key     int // -1 lists
}

type step struct {
	Key     int
	Version uint64
	Delete  bool
	Value   string
}

// answer is an output of the model.
type answer struct {
	Unknown bool // the call failed, or the process was killed
	Stale   bool
	Cells   cells // those that the call is about
}

// after is the state after the changes, if they are not stale.
func (c cells) after(changes []step) (cells, bool) {
	for _, s := range changes {
		if c[s.Key].Version != s.Version {
			return c, false
		}
		c[s.Key] = cell{s.Version + 1, s.Value}
		if s.Delete {
			c[s.Key] = cell{}
		}
	}
	return c, true
}

// next lists the states that may follow, none if the answer is wrong.
func (c cells) next(in call, out answer) []any {
	if in.Changes == nil {
		want := c
		if in.Key >= 0 {
			want = cells{}
			want[in.Key] = c[in.Key]
		}
		if out.Unknown || out.Cells == want {
			return []any{c}
		}
		return nil
	}
	then, good := c.after(in.Changes)
	switch {
	case out.Unknown && good:
		return []any{c, then}
	case out.Unknown, out.Stale && !good:
		return []any{c}
	case out.Stale || !good:
		return nil
	}
	for _, s := range in.Changes {
		if out.Cells[s.Key] != then[s.Key] {
			return nil
		}
	}
	return []any{then}
}

func linearModel() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{cells{}} },
		Step: func(state, in, out any) []any { return state.(cells).next(in.(call), out.(answer)) },
	}
	return m.ToModel()
}

// linearClient makes random calls of one client, most of them with the versions that it saw last, and
// reports each before it is made and when it is answered.
type linearClient struct {
	id   int
	l    ledger.Ledger
	rng  *rand.Rand
	seen cells
	cut  int // so many of its calls may have a context that ends soon
}

func (c *linearClient) next(serial int) call {
	switch n := c.rng.IntN(6); {
	case n == 0 || serial == 0:
		return call{Key: -1}
	case n <= 2:
		return call{Key: c.rng.IntN(linearKeys)}
	}
	var in call
	for _, key := range c.rng.Perm(linearKeys)[:1+c.rng.IntN(2)] {
		s := step{Key: key, Version: c.seen[key].Version, Value: fmt.Sprintf("%d-%d", c.id, serial)}
		if s.Delete = s.Version > 0 && c.rng.IntN(8) == 0; s.Delete {
			s.Value = ""
		}
		in.Changes = append(in.Changes, s)
	}
	return in
}

func linearKey(i int) string { return fmt.Sprint("key/", i) }

func (c *linearClient) do(in call) (out answer, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if in.Changes != nil && c.cut > 0 && c.rng.IntN(10) == 0 {
		c.cut--
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.rng.IntN(2000))*time.Microsecond)
		defer cancel()
	}
	var entries []ledger.Entry
	switch {
	case in.Changes != nil:
		changes := make([]ledger.Change, len(in.Changes))
		for i, s := range in.Changes {
			changes[i] = ledger.Change{Entry: ledger.Entry{Key: linearKey(s.Key), Version: s.Version, State: s.Value}, Delete: s.Delete}
		}
		entries, err = c.l.Commit(ctx, changes...)
	case in.Key >= 0:
		var e ledger.Entry
		if e, err = c.l.Get(ctx, linearKey(in.Key)); err == nil {
			entries = append(entries, e)
		}
	default:
		entries, err = c.l.List(ctx, ledger.Query{Prefix: "key/"})
	}
	for _, e := range entries {
		for i := range linearKeys {
			if e.Key == linearKey(i) {
				out.Cells[i] = cell{e.Version, e.State}
			}
		}
	}
	switch {
	case errors.Is(err, ledger.ErrStale):
		out.Stale = true
	case errors.Is(err, context.DeadlineExceeded):
		out.Unknown = true
	case err != nil && !errors.Is(err, ledger.ErrNotFound):
		return out, err
	}
	c.learn(in, out)
	return out, nil
}

// learn remembers versions; of what went wrong it remembers a guess.
func (c *linearClient) learn(in call, out answer) {
	switch {
	case out.Unknown:
	case out.Stale:
		for _, s := range in.Changes {
			c.seen[s.Key].Version = uint64(c.rng.IntN(int(s.Version) + 3))
		}
	case in.Changes != nil:
		for _, s := range in.Changes {
			c.seen[s.Key] = out.Cells[s.Key]
		}
	case in.Key >= 0:
		c.seen[in.Key] = out.Cells[in.Key]
	default:
		c.seen = out.Cells
	}
}

// checkLinear has porcupine look for an order of the calls in which each answer is right.
func checkLinear(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	switch porcupine.CheckOperationsTimeout(linearModel(), history, 30*time.Second) {
	case porcupine.Illegal:
		text, _ := json.Marshal(history)
		t.Fatalf("no order of these %d calls explains their answers: the ledger is not linearizable\n%s", len(history), text)
	case porcupine.Unknown:
		t.Errorf("a history of %d calls was too hard to judge within 30 s; this says nothing about the ledger", len(history))
	}
}

// recordHistory runs clients at once and returns their history.
func recordHistory(t *testing.T, l ledger.Ledger, seed uint64, clients, calls int) []porcupine.Operation {
	begin := time.Now()
	var mu sync.Mutex // protects history
	var history []porcupine.Operation
	var wg sync.WaitGroup
	for id := range clients {
		wg.Go(func() {
			c := &linearClient{id: id, l: l, rng: rand.New(rand.NewPCG(seed, uint64(id))), cut: 1}
			for serial := range calls {
				in := c.next(serial)
				at := time.Since(begin)
				out, err := c.do(in)
				op := porcupine.Operation{ClientId: id, Input: in, Call: at.Nanoseconds(), Output: out, Return: time.Since(begin).Nanoseconds()}
				if err != nil {
					t.Errorf("seed %d, client %d: %v", seed, id, err)
					return
				}
				if out.Unknown { // it may still happen
					op.Return = time.Hour.Nanoseconds()
				}
				mu.Lock()
				history = append(history, op)
				mu.Unlock()
				if out.Unknown {
					return // a client has one call at a time
				}
			}
		})
	}
	wg.Wait()
	return history
}

// TestLinearizable is F19 of the ledger: in memory, in a file, and in a file that does not wait for the disk.
func TestLinearizable(t *testing.T) {
	histories, calls := 8, 40
	if soak() {
		histories, calls = 400, 60
	}
	for name, open := range map[string]func(t *testing.T) ledger.Ledger{
		"memory": func(*testing.T) ledger.Ledger { return ledger.NewMemory() },
		"file":   func(t *testing.T) ledger.Ledger { return mustOpen(t, newPath(t), nil) },
		"nosync": func(t *testing.T) ledger.Ledger { return mustOpen(t, newPath(t), &Options{NoSync: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			for range histories {
				seed := rand.Uint64()
				t.Run(fmt.Sprint(seed), func(t *testing.T) { checkLinear(t, recordHistory(t, open(t), seed, 6, calls)) })
			}
		})
	}
}

// TestModelRefuses makes sure that the check sees what it is for.
func TestModelRefuses(t *testing.T) {
	put := func(key int, version uint64, value string) call {
		return call{Changes: []step{{Key: key, Version: version, Value: value}}}
	}
	got := func(key int, version uint64, value string) answer {
		a := answer{}
		a.Cells[key] = cell{version, value}
		return a
	}
	for name, ops := range map[string][]porcupine.Operation{
		"a lost update": {
			{ClientId: 0, Input: put(0, 0, "a"), Output: got(0, 1, "a"), Call: 0, Return: 10},
			{ClientId: 1, Input: put(0, 0, "b"), Output: got(0, 1, "b"), Call: 5, Return: 20},
		},
		"an old read": {
			{ClientId: 0, Input: put(0, 0, "a"), Output: got(0, 1, "a"), Call: 0, Return: 10},
			{ClientId: 1, Input: call{Key: 0}, Output: answer{}, Call: 11, Return: 20},
		},
		"stale without a reason": {
			{ClientId: 0, Input: put(0, 0, "a"), Output: answer{Stale: true}, Call: 0, Return: 10},
		},
		"half a commit": {
			{ClientId: 0, Input: call{Changes: []step{{Key: 0, Value: "a"}, {Key: 1, Value: "a"}}}, Output: answer{Unknown: true}, Call: 0, Return: 10},
			{ClientId: 1, Input: call{Key: -1}, Output: got(0, 1, "a"), Call: 11, Return: 20},
		},
	} {
		if porcupine.CheckOperations(linearModel(), ops) {
			t.Errorf("the model takes %s", name)
		}
	}
}
