package im_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// stateOp is one call on one key and what it returned.
type stateOp struct {
	what      string // set, cas, add, delete, read
	arg       int64  // of set and cas: the value; of add: the difference
	cond      uint64 // of cas: the version
	ok        bool
	value     int64  // of add and read
	version   uint64 // of set, cas, add and read
	call, end int64
}

// register is a key: its value, and the version, 0 if it is not there.
type register struct {
	value   int64
	version uint64
}

// step returns the register after an operation, and whether that can have returned what it did.
func (r register) step(op *stateOp) (register, bool) {
	switch op.what {
	case "read":
		return r, r.version == op.version && r.value == op.value
	case "cas":
		if !op.ok {
			return r, r.version != op.cond
		}
		return register{op.arg, op.version}, r.version == op.cond
	case "add": // never below 0
		if !op.ok {
			return r, r.value+op.arg < 0
		}
		return register{op.value, op.version}, r.value+op.arg == op.value && op.value >= 0
	case "delete":
		return register{}, true
	}
	return register{op.arg, op.version}, true // set
}

// linear reports whether there is an order of the operations on one key that explains all that they returned, in
// which what ended before something else began comes first. It is the search of Wing and Gong, which
// remembers where it has been. It always decides: of n operations, of which at most w ran at once, it
// sees no more than n * w * 2^w sets that can be done and registers that they can leave.
func linear(ops []stateOp) bool {
	slices.SortFunc(ops, func(a, b stateOp) int { return int(a.call - b.call) })
	done := make([]byte, len(ops))
	seen := map[string]bool{}
	var search func(first int, r register) bool
	search = func(first int, r register) bool {
		for first < len(ops) && done[first] == 1 {
			first++
		}
		if first == len(ops) {
			return true
		}
		key := fmt.Sprint(first, r, string(bytes.TrimRight(done[first:], "\x00")))
		if seen[key] {
			return false
		}
		seen[key] = true
		until := ops[first].end // nothing that begins later can come next
		for i := first; i < len(ops) && ops[i].call < until; i++ {
			if done[i] == 0 {
				until = min(until, ops[i].end)
			}
		}
		for i := first; i < len(ops) && ops[i].call < until; i++ {
			if done[i] == 1 {
				continue
			}
			if next, ok := r.step(&ops[i]); ok {
				done[i] = 1
				if search(first, next) {
					return true
				}
				done[i] = 0
			}
		}
		return false
	}
	return search(0, register{})
}

func TestTheCheckerOfLinearizability(t *testing.T) {
	set := stateOp{what: "set", arg: 7, ok: true, version: 3, call: 1, end: 2}
	read := func(value int64, version uint64, call, end int64) stateOp {
		return stateOp{what: "read", value: value, version: version, ok: true, call: call, end: end}
	}
	// An operation during which many others come and go.
	slow := []stateOp{read(7, 3, 1, 1000), {what: "set", arg: 7, ok: true, version: 3, call: 900, end: 901}}
	for i := range int64(100) {
		slow = append(slow, read(0, 0, 2*i+2, 2*i+3))
	}
	for name, tt := range map[string]struct {
		ops  []stateOp
		want bool
	}{
		"a read that lasts":                  {slow, true},
		"a read that lasts, and a stale one": {append(slices.Clone(slow), read(0, 0, 902, 903)), false},
		"a read after a set":                 {[]stateOp{set, read(7, 3, 3, 4)}, true},
		"a stale read":                       {[]stateOp{set, read(0, 0, 3, 4)}, false},
		"a read that meets the set":          {[]stateOp{{what: "set", arg: 7, ok: true, version: 3, call: 1, end: 5}, read(0, 0, 2, 3)}, true},
		"time that goes back":                {[]stateOp{{what: "set", arg: 7, ok: true, version: 3, call: 1, end: 9}, read(7, 3, 2, 3), read(0, 0, 4, 5)}, false},
		"two who take the same":              {[]stateOp{{what: "cas", ok: true, version: 1, call: 1, end: 4}, {what: "cas", ok: true, version: 2, call: 2, end: 3}}, false},
		"a counter below its bound":          {[]stateOp{{what: "add", arg: -1, ok: true, value: -1, version: 1, call: 1, end: 2}}, false},
		"a refusal that was none of a bound": {[]stateOp{set, {what: "add", arg: -7, call: 3, end: 4}}, false},
	} {
		if got := linear(tt.ops); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// lateLog delivers to each node on its own time, as an engine does.
type lateLog struct{ *im.MemoryLog }

func (l lateLog) Follow(ctx context.Context, room string, after im.Position, deliver func([]*im.Event, error)) (func(), error) {
	type delivery struct {
		events []*im.Event
		err    error
	}
	queue, done := make(chan delivery, 1<<16), make(chan struct{})
	var stopped atomic.Bool
	stop, err := l.MemoryLog.Follow(ctx, room, after, func(events []*im.Event, err error) {
		queue <- delivery{slices.Clone(events), err}
	})
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(done)
		for d := range queue {
			<-time.After(rand.N(time.Millisecond))
			if !stopped.Load() {
				deliver(d.events, d.err)
			}
		}
	}()
	var once sync.Once
	return func() {
		once.Do(func() {
			stopped.Store(true)
			stop()
			close(queue)
		})
		<-done
	}, nil
}

// Writes are linearizable over nodes, and so are reads after Sync (F19). IM_SOAK=1 goes on for longer.
func TestF19StateIsLinearizable(t *testing.T) {
	rounds, each := 2, 40
	if soak() {
		rounds, each = 200, 120
	}
	for round := range rounds {
		var log im.Log = sharedLog(t)
		if round%2 == 1 {
			log = lateLog{log.(*im.MemoryLog)}
		}
		hubs := []*imtest.Hub{imtest.NewHub(t, &im.Options{Log: log}), imtest.NewHub(t, &im.Options{Log: log})}
		var clock atomic.Int64
		var mu sync.Mutex
		histories := map[string][]stateOp{}
		var wg sync.WaitGroup
		for worker := range 6 {
			room := hubs[worker%2].Room("42")
			rng := rand.New(rand.NewPCG(uint64(round), uint64(worker)))
			wg.Go(func() {
				versions := map[string]uint64{}
				for range each {
					key := []string{"a", "b", "c"}[rng.IntN(3)]
					op := stateOp{what: []string{"set", "cas", "cas", "add", "add", "delete", "read", "read"}[rng.IntN(8)], arg: rng.Int64N(9) - 4, cond: versions[key]}
					if op.what == "cas" || op.what == "set" {
						op.arg = rng.Int64N(5)
					}
					op.call = clock.Add(1)
					if err := op.run(t.Context(), room, key); err != nil {
						t.Error(err)
						return
					}
					op.end = clock.Add(1)
					versions[key] = op.version
					mu.Lock()
					histories[key] = append(histories[key], op)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for key, ops := range histories {
			if !linear(ops) {
				t.Errorf("round %d: the %d operations on key %s have no order:\n%+v", round, len(ops), key, ops)
			}
		}
		for _, hub := range hubs {
			_ = hub.Close()
		}
	}
}

// run does the operation and notes what it returned.
func (op *stateOp) run(ctx context.Context, room *im.Room, key string) (err error) {
	switch op.what {
	case "set":
		op.version, err = room.Set(ctx, key, op.arg)
	case "cas":
		op.version, err = room.Set(ctx, key, op.arg, im.IfVersion(op.cond))
	case "add":
		op.value, op.version, err = room.Increment(ctx, key, op.arg, im.AtLeast(0))
	case "delete":
		err = room.Delete(ctx, key)
	case "read":
		if err = room.State().Sync(ctx); err != nil {
			return err
		}
		var raw json.RawMessage
		if raw, op.version, err = room.State().Get(ctx, key); err == nil && raw != nil {
			err = json.Unmarshal(raw, &op.value)
		}
	}
	op.ok = err == nil
	if errors.Is(err, im.ErrConflict) {
		return nil
	}
	return err
}
