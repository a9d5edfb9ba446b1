package filelog

import (
	"sync/atomic"
	"time"
)

// clock is a wall clock in nanoseconds that never runs back: events do not grow younger.
type clock struct {
	now  func() time.Time
	last atomic.Int64
}

func (c *clock) read() int64 { return c.advance(c.now().UnixNano()) }

// advance takes over a reading, and returns the highest so far.
func (c *clock) advance(to int64) int64 {
	for {
		last := c.last.Load()
		if to <= last {
			return last
		}
		if c.last.CompareAndSwap(last, to) {
			return to
		}
	}
}
