package fanout

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTurn(t *testing.T) {
	var x turn
	if !x.take() || x.take() || x.take() {
		t.Fatal("the turn was given to none or to many")
	}
	if x.give() || !x.give() {
		t.Fatal("give does not say that there is something new, or says so twice")
	}
	if !x.take() {
		t.Fatal("a turn that was given back is not free")
	}
	x.take()
	x.refresh()
	if !x.give() {
		t.Fatal("refresh did not forget the mark")
	}
	x.refresh()
	if !x.take() {
		t.Fatal("refresh has taken a free turn")
	}
	for range 2 {
		x.arm()
		if !x.park() || x.take() || !x.unpark() {
			t.Fatal("park, then unpark, does not hand the turn over")
		}
		if x.unpark() {
			t.Fatal("a second unpark got the turn as well")
		}
		x.arm()
		if x.unpark() || x.park() {
			t.Fatal("an early unpark got the turn, or was lost on park")
		}
	}
}

// The following explores every interleaving of a few goroutines that use a turn
// as Outlet.run does, one call of the turn a step. Its calls are atomic as far as others
// see them: each changes the state at most once where they look.

type place uint8

const (
	publish place = iota // has something new
	take
	refresh // from here on it has the turn
	gather
	arm
	send
	park
	give
	gone
	unborn // the goroutine of a Writable that nobody owes yet
	unpark
)

const actors = 5

// world is one state of all; it is comparable so that each is explored once.
type world struct {
	state, parked      uint32
	at                 [actors]place
	seen               [actors]uint8 // what gather saw
	published, carried uint8
	shorts             uint8 // how often the connection may still be full
}

func (w *world) turn(f func(*turn) bool) bool {
	var x turn
	x.state.Store(w.state)
	x.parked.Store(w.parked)
	ok := f(&x)
	w.state, w.parked = x.state.Load(), x.parked.Load()
	return ok
}

// step returns the worlds that a step of one goroutine leads to; none if it cannot go.
func (w world) step(i int) []world {
	branch := func(ok bool, yes, no place) {
		w.at[i] = no
		if ok {
			w.at[i] = yes
		}
	}
	switch w.at[i] {
	case publish:
		w.published++
		w.at[i] = take
	case take:
		branch(w.turn((*turn).take), refresh, gone)
	case refresh:
		w.turn(func(x *turn) bool { x.refresh(); return true })
		w.at[i] = gather
	case gather:
		w.seen[i] = w.published
		branch(w.seen[i] > w.carried, arm, give)
	case arm:
		w.turn(func(x *turn) bool { x.arm(); return true })
		w.at[i] = send
	case send:
		full := w
		w.carried = max(w.carried, w.seen[i])
		w.at[i] = give
		if full.shorts == 0 {
			return []world{w}
		}
		full.shorts--
		full.at[i] = park
		for j := range full.at {
			if full.at[j] == unborn { // from now on Writable may be called
				full.at[j] = unpark
				return []world{w, full}
			}
		}
		return []world{w}
	case park:
		branch(w.turn((*turn).park), gone, refresh)
	case give:
		branch(w.turn((*turn).give), gone, refresh)
	case unpark:
		branch(w.turn((*turn).unpark), refresh, gone)
	default:
		return nil
	}
	return []world{w}
}

func TestTurnInEveryInterleaving(t *testing.T) {
	start := world{at: [actors]place{publish, publish, publish, unborn, unborn}, shorts: 2}
	seen := map[world]bool{}
	todo := []world{start}
	ends := 0
	for len(todo) > 0 {
		w := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[w] {
			continue
		}
		seen[w] = true
		holders, moves := 0, 0
		for i, p := range w.at {
			if p >= refresh && p <= give {
				holders++
			}
			next := w.step(i)
			moves += len(next)
			todo = append(todo, next...)
		}
		if holders > 1 {
			t.Fatalf("%d goroutines have the turn: %+v", holders, w)
		}
		if moves > 0 {
			continue
		}
		ends++
		if w.state != free || w.carried != w.published {
			t.Fatalf("all have stopped, %d of %d were sent, the turn is in state %d: %+v", w.carried, w.published, w.state, w)
		}
	}
	if ends == 0 || len(seen) < 1000 {
		t.Errorf("explored only %d states with %d ends", len(seen), ends)
	}
	t.Logf("%d states, %d ends", len(seen), ends)
}

// TestTurnLosesNoWakeUp has many goroutines publish while the connection is
// full now and then. In the end all that was published must have been carried.
func TestTurnLosesNoWakeUp(t *testing.T) {
	const publishers, each = 4, 5000
	var (
		x         turn
		published atomic.Int64
		carried   int64 // the race detector sees if two have the turn
		random    uint32
		full      = make(chan struct{}, 1) // the connection owes a Writable
		done      = make(chan struct{})
		once      sync.Once
		wg        sync.WaitGroup
	)
	run := func() {
		for {
			x.refresh()
			if seen := published.Load(); seen > carried {
				x.arm()
				if random = random*1664525 + 1013904223; random>>30 == 0 {
					full <- struct{}{}
					if x.park() {
						return
					}
					continue
				}
				carried = seen
			}
			last := carried == publishers*each
			if x.give() {
				if last {
					once.Do(func() { close(done) })
				}
				return
			}
		}
	}
	wg.Go(func() { // the poller
		for {
			select {
			case <-full:
				if x.unpark() {
					run()
				}
			case <-done:
				return
			}
		}
	})
	for range publishers {
		wg.Go(func() {
			for range each {
				published.Add(1)
				if x.take() {
					run()
				}
			}
		})
	}
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("a wake-up was lost: %d were published, the turn is in state %d, %d", published.Load(), x.state.Load(), x.parked.Load())
	}
	wg.Wait()
}
