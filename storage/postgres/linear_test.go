package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/liveim/im/ledger"
)

// step is a call on one entry, and outcome what came of it.
type step struct {
	key     string
	get     bool
	version uint64 // that the commit names
	state   string // that the commit sets; "" deletes
}

type outcome struct {
	version uint64 // as stored after the call; of a stale commit, what it met
	state   string
	stale   bool
	unknown bool // it may have happened or not
	nothing bool // it surely did nothing
}

// register is the model of an entry; version 0 is none.
type register struct {
	version uint64
	state   string
}

func after(r register, in step) register {
	if in.state == "" {
		return register{}
	}
	return register{r.version + 1, in.state}
}

var ledgerModel = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			k := op.Input.(step).key
			byKey[k] = append(byKey[k], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() []any { return []any{register{}} },
	Step: func(state, input, output any) []any {
		r, in, out := state.(register), input.(step), output.(outcome)
		switch {
		case in.get:
			if out.version == r.version && out.state == r.state {
				return []any{r}
			}
		case out.unknown:
			if r.version == in.version {
				return []any{r, after(r, in)}
			}
			return []any{r}
		case out.stale:
			if r.version != in.version && r.version == out.version {
				return []any{r}
			}
		case r.version == in.version:
			return []any{after(r, in)}
		}
		return nil
	},
	Equal: func(a, b any) bool { return a == b },
}

// TestLedgerIsLinearizable checks histories of several processes, with a crash
// of the server in the midst of each. IM_SOAK=1 checks more of them.
func TestLedgerIsLinearizable(t *testing.T) {
	histories, steps := 1, 150
	switch {
	case os.Getenv("IM_SOAK") != "":
		histories = 20
	case testing.Short():
		steps = 50
	}
	for seed := range uint64(histories) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { checkLinear(t, recordLedger(t, seed, steps)) })
	}
}

// checkLinear has porcupine look for an order of the calls in which each answer is right.
func checkLinear(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	unknown := 0
	for _, op := range history {
		if op.Output.(outcome).unknown {
			unknown++
		}
	}
	start := time.Now()
	switch porcupine.CheckOperationsTimeout(ledgerModel.ToModel(), history, 30*time.Second) {
	case porcupine.Illegal:
		t.Errorf("no order of these %d calls explains their answers: the ledger is not linearizable\n%+v", len(history), history)
	case porcupine.Unknown:
		t.Errorf("a history of %d calls, %d of unknown outcome, was too hard to judge within 30 s; this says nothing about the ledger", len(history), unknown)
	default:
		t.Logf("%d calls, %d of unknown outcome, judged in %s", len(history), unknown, time.Since(start))
	}
}

// recordLedger has clients make calls at once, crashes the server meanwhile, and returns the history.
func recordLedger(t *testing.T, seed uint64, steps int) []porcupine.Operation {
	t.Helper()
	schema := newSchema(t)
	const clients = 6
	var (
		mu      sync.Mutex // protects history
		history []porcupine.Operation
		wg      sync.WaitGroup
	)
	start := time.Now()
	for c := range clients {
		l, err := NewLedger(t.Context(), database(t), &LedgerOptions{Schema: schema})
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(uint64(c), 7+seed))
		wg.Go(func() {
			seen := map[string]uint64{}
			for i := range steps {
				in := step{key: fmt.Sprint("key ", rng.IntN(3)), get: rng.IntN(3) == 0}
				in.version = seen[in.key]
				if in.state = fmt.Sprint(c, "-", i); in.version > 0 && rng.IntN(4) == 0 {
					in.state = ""
				}
				call := time.Since(start)
				out := perform(t, l, in)
				op := porcupine.Operation{ClientId: c, Input: in, Output: out, Call: int64(call), Return: int64(time.Since(start))}
				if out.nothing {
					continue
				}
				if out.unknown {
					op.Return = int64(time.Hour) // it may happen later
				} else {
					seen[in.key] = out.version
				}
				mu.Lock()
				history = append(history, op)
				mu.Unlock()
			}
		})
	}
	if server.dir != "" {
		server.crash(t)
	}
	wg.Wait()
	return history
}

func perform(t *testing.T, l *Ledger, in step) outcome {
	if in.get {
		e, err := l.Get(t.Context(), in.key)
		if errors.Is(err, ledger.ErrNotFound) {
			return outcome{}
		}
		return outcome{version: e.Version, state: e.State, nothing: err != nil}
	}
	out, err := l.Commit(t.Context(), ledger.Change{
		Entry:  ledger.Entry{Key: in.key, Version: in.version, State: in.state},
		Delete: in.state == "",
	})
	var stale *ledger.StaleError
	switch {
	case errors.As(err, &stale):
		return outcome{version: stale.Have, stale: true}
	case err != nil:
		select { // the server is starting again
		case <-t.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
		return outcome{unknown: !didNothing(err), nothing: didNothing(err)}
	}
	return outcome{version: cmp.Or(out[0].Version, 0), state: out[0].State}
}
