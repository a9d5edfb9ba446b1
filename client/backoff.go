package client

import (
	"math/rand/v2"
	"time"
)

// A server that restarts is back within early, so that the ceiling stays below
// earlyMax until then.
const (
	early    = 30 * time.Second
	earlyMax = 5 * time.Second
)

// backoff draws delays with full jitter: uniform between zero and a ceiling
// that doubles with each attempt, from min up to max. ("Exponential Backoff And
// Jitter", AWS Architecture Blog, 2015.) Clients that were cut off together
// thus come back spread out. web/im.js has the same numbers.
type backoff struct {
	min, max time.Duration
	attempt  int
	late     time.Time // when early is over; zero before the first attempt
	// random returns numbers in [0, 1); nil means rand.Float64.
	random func() float64
	// now returns the time; nil means time.Now.
	now func() time.Time
}

func (b *backoff) time() time.Time {
	if b.now == nil {
		return time.Now()
	}
	return b.now()
}

// doubled is min, doubled for each attempt, and not more than that exceeds limit.
func (b *backoff) doubled(limit time.Duration) time.Duration {
	d := b.min
	for range b.attempt {
		if d > limit/2 {
			return limit
		}
		d *= 2
	}
	return min(d, limit)
}

// ceiling is the longest delay that next can draw now, advice aside.
func (b *backoff) ceiling() time.Duration {
	limit := b.max
	if b.late.IsZero() || b.time().Before(b.late) {
		limit = min(limit, max(b.min, earlyMax))
	}
	return b.doubled(limit)
}

// next returns the delay before the next attempt. advice is how long the server
// asked to wait: the jitter comes on top of it.
func (b *backoff) next(advice time.Duration) time.Duration {
	advice = max(advice, 0)
	if b.late.IsZero() {
		b.late = b.time().Add(advice + early)
	}
	random := b.random
	if random == nil {
		random = rand.Float64
	}
	ceiling := b.ceiling()
	if ceiling == b.doubled(b.max) {
		b.attempt++ // one that is held down goes on from where it is, later
	}
	return advice + time.Duration(random()*float64(ceiling))
}

// reset forgets the attempts, unless what they led to did not last: a server
// that takes connections only to drop them must not be tried ever faster.
func (b *backoff) reset(lasted time.Duration) {
	if lasted >= b.ceiling() {
		b.forget()
	}
}

// forget forgets the attempts.
func (b *backoff) forget() {
	b.attempt, b.late = 0, time.Time{}
}
