package fanout

import "sync/atomic"

// turn decides who sends for an outlet. Whoever finds it free sends until
// nothing is left; whoever finds it taken leaves a mark, and the holder looks
// once more. While the connection is full the turn stays taken and is handed to
// the goroutine that brings the news that there is room again. Nobody waits.
type turn struct {
	state  atomic.Uint32 // free, taken, again
	parked atomic.Uint32 // running, waiting, early
}

const (
	free uint32 = iota
	taken
	again // taken, and there is something new
)

const (
	running uint32 = iota
	waiting        // the turn waits for the connection
	early          // room came before the holder began to wait
)

// take reports whether the caller now has the turn. If not, the holder will do
// what the caller wanted.
func (t *turn) take() bool {
	for {
		switch t.state.Load() {
		case free:
			if t.state.CompareAndSwap(free, taken) {
				return true
			}
		case taken:
			if t.state.CompareAndSwap(taken, again) {
				return false
			}
		default:
			return false
		}
	}
}

// give gives the turn back. It reports false if there is something new: the
// caller still has the turn then.
func (t *turn) give() bool {
	if t.state.CompareAndSwap(taken, free) {
		return true
	}
	t.state.Store(taken)
	return false
}

// refresh forgets the mark of something new, which the holder is about to see.
func (t *turn) refresh() { t.state.CompareAndSwap(again, taken) }

// arm must be called before a send that may come up short.
func (t *turn) arm() { t.parked.Store(running) }

// park hands the turn to whoever calls unpark. It reports false if unpark was
// called already since arm: the caller goes on.
func (t *turn) park() bool { return t.parked.CompareAndSwap(running, waiting) }

// unpark reports whether the caller now has the turn.
func (t *turn) unpark() bool {
	if t.parked.CompareAndSwap(running, early) {
		return false
	}
	return t.parked.CompareAndSwap(waiting, running)
}
