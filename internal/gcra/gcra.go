// Package gcra limits rates with a few bytes for each of many users.
//
// A limit is a token bucket in the form of the generic cell rate algorithm, with which
// ATM networks police their cells (ITU-T Recommendation I.371; ATM Forum Traffic Management 4.0,
// af-tm-0056.000, section 4.4.2; here as virtual scheduling). What is kept is not a count and the
// time of the last one but a single time, the theoretical arrival time of the next event if all
// came evenly. A bucket is full when that time has passed, and empty when it lies the whole of
// [Limit.Per] ahead.
//
// All arithmetic is on whole nanoseconds of a monotonic clock that the caller passes.
// Nothing here reads a clock, starts a goroutine or waits.
package gcra

import (
	"sync/atomic"
	"time"
)

// Limit is a token bucket: N at once, refilled evenly so that N come back in Per.
// N must be from 1 to 1,000,000 and Per from 1 ms to 24 h.
type Limit struct {
	N   int
	Per time.Duration
}

// interval is the time in which one token comes back, rounded up: a limit may be less
// generous than it says, by a nanosecond for each token, and never more.
func (l Limit) interval() int64 { return (int64(l.Per) + int64(l.N) - 1) / int64(l.N) }

// cost is how far ahead n tokens move the theoretical arrival time.
func (l Limit) cost(n int) int64 { return int64(min(max(n, 0), l.N)) * l.interval() }

// arrive is the algorithm: from a theoretical arrival time it makes the one after n
// tokens were taken at now, or says how long to wait for them.
func (l Limit) arrive(tat int64, n int, now int64) (next int64, wait time.Duration, ok bool) {
	next = max(tat, now) + l.cost(n)
	if early := next - l.cost(l.N) - now; early > 0 {
		return tat, time.Duration(early), false
	}
	return next, 0, true
}

// Cell is one bucket. The zero value is full. It is safe for use by many goroutines
// and must not be copied after its first use.
type Cell struct{ tat atomic.Int64 }

// Take takes n tokens, or all N of the limit if n is more. If they are not there it
// takes none and returns after which time they will be: waiting exactly that long is
// enough, if nothing else is taken meanwhile. If now goes back, nothing is permitted early.
//
// A Cell may be used with one limit after the other: what was taken counts as the time
// that it takes to come back, and a token costs the time that it takes under the limit of the call.
func (c *Cell) Take(l Limit, n int, now time.Duration) (wait time.Duration, ok bool) {
	for {
		tat := c.tat.Load()
		next, wait, ok := l.arrive(tat, n, int64(now))
		if !ok || c.tat.CompareAndSwap(tat, next) {
			return wait, ok
		}
	}
}

// Wait returns what Take would, and takes nothing.
func (c *Cell) Wait(l Limit, n int, now time.Duration) time.Duration {
	_, wait, _ := l.arrive(c.tat.Load(), n, int64(now))
	return wait
}

// Give gives back n tokens that were taken under the same limit.
func (c *Cell) Give(l Limit, n int) { c.tat.Add(-l.cost(n)) }
