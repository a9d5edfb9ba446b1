package client

import (
	"math/rand/v2"
	"time"
)

// backoff draws delays with full jitter: uniform between zero and a ceiling
// that doubles with each attempt, from min up to max. ("Exponential Backoff And
// Jitter", AWS Architecture Blog, 2015.) Clients that were cut off together
// thus come back spread out.
type backoff struct {
	min, max time.Duration
	attempt  int
	// random returns numbers in [0, 1); nil means rand.Float64.
	random func() float64
}

// ceiling is the longest delay that next can draw now, advice aside.
func (b *backoff) ceiling() time.Duration {
	d := b.min
	for range b.attempt {
		if d >= b.max/2 {
			return b.max
		}
		d *= 2
	}
	return min(d, b.max)
}

// next returns the delay before the next attempt. advice is how long the server
// asked to wait: the jitter comes on top of it.
func (b *backoff) next(advice time.Duration) time.Duration {
	random := b.random
	if random == nil {
		random = rand.Float64
	}
	d := time.Duration(random() * float64(b.ceiling()))
	b.attempt++
	return max(advice, 0) + d
}

// reset forgets the attempts, unless what they led to did not last: a server
// that takes connections only to drop them must not be tried ever faster.
func (b *backoff) reset(lasted time.Duration) {
	if lasted >= b.ceiling() {
		b.attempt = 0
	}
}
