package im

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// bucket is a token bucket for what few share: a room, all who connect. A nil one has
// no limit. Safe for use by many goroutines.
//
// It takes what is there, and computes the wait from what is not. ReserveN and CancelAt of rate.Limiter
// would do both, but what CancelAt gives back depends on who else was refused meanwhile: a
// crowd of refusals leaves debts of minutes, or lets through many times the limit.
type bucket struct {
	mu   sync.Mutex // guards the fields below
	rate *rate.Limiter
	last time.Time // AllowN takes time that goes back for time that passes twice
}

// bucket returns a full bucket, nil if there is no limit.
func (l Limit) bucket() *bucket {
	if l == Unlimited {
		return nil
	}
	return &bucket{rate: rate.NewLimiter(rate.Limit(float64(l.N)/l.Per.Seconds()), l.N)}
}

// take takes a token, or says when there will be one.
func (b *bucket) take(now time.Time) (wait time.Duration, ok bool) {
	if b == nil {
		return 0, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Before(b.last) { // another goroutine has read the clock later, and came first
		now = b.last
	}
	if b.rate.AllowN(now, 1) {
		b.last = now
		return 0, true
	}
	return b.waitLocked(now), false
}

// wait returns what take would, and takes nothing.
func (b *bucket) wait(now time.Time) time.Duration {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waitLocked(now)
}

func (b *bucket) waitLocked(now time.Time) time.Duration {
	short := 1 - b.rate.TokensAt(now)
	if short <= 0 {
		return 0
	}
	// A microsecond more, since rate counts in floating point and rounds either way.
	return time.Duration(math.Ceil(short/float64(b.rate.Limit())*float64(time.Second))) + time.Microsecond
}
