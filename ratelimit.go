package im

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limit is a token bucket: N at once, refilled evenly so that N come back in Per.
type Limit struct {
	N   int           // 1 to 1,000,000
	Per time.Duration // 1 ms to 24 h
}

// Unlimited is the Limit that refuses nothing.
var Unlimited = Limit{N: -1}

func (l Limit) String() string {
	if l == Unlimited {
		return "unlimited"
	}
	return fmt.Sprintf("%d in %v", l.N, l.Per)
}

var (
	defaultLimits = map[Kind]Limit{
		Danmaku: {20, 30 * time.Second},
		Chat:    {10, 10 * time.Second},
		State:   {10, 10 * time.Second},
		Like:    {20, time.Second},
	}
	otherLimit = Limit{10, 10 * time.Second}
)

func (o *Options) completeLimits() error {
	limits := maps.Clone(defaultLimits)
	for k, l := range o.Limits {
		if l != Unlimited && (l.N < 1 || l.N > 1_000_000 || l.Per < time.Millisecond || l.Per > 24*time.Hour) {
			return fmt.Errorf("im: Options.Limits[%q] is {%d, %v}: want N from 1 to 1,000,000 and Per from 1ms to 24h, or im.Unlimited", k, l.N, l.Per)
		}
		limits[k] = l
	}
	o.Limits = limits
	return nil
}

// limiter keeps one token bucket for each user and kind that was used lately.
// Safe for use by many goroutines.
type limiter struct {
	limits map[Kind]Limit // read-only
	shards [16]limiterShard
}

type limiterShard struct {
	mu      sync.Mutex // guards buckets and what they hold
	buckets map[limiterKey]*rate.Limiter
}

// limiterKey is a struct, since keys made by joining strings collide.
type limiterKey struct {
	user string
	kind Kind
}

func newLimiter(limits map[Kind]Limit) *limiter { return &limiter{limits: limits} }

// clamp bounds n by what can be taken at once.
func (l *limiter) clamp(kind Kind, n uint64) uint64 {
	if limit := l.limitOf(kind); limit != Unlimited {
		return min(n, uint64(limit.N))
	}
	return n
}

func (l *limiter) limitOf(kind Kind) Limit {
	if limit, ok := l.limits[kind]; ok {
		return limit
	}
	return otherLimit
}

// take takes n tokens. If they are not there it takes none and returns after
// which time they will be; waiting exactly that long is enough if nothing else
// is taken meanwhile.
func (l *limiter) take(user string, kind Kind, n int, now time.Time) (wait time.Duration, ok bool) {
	limit := l.limitOf(kind)
	if limit == Unlimited {
		return 0, true
	}
	n = min(n, limit.N)
	s := l.shard(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	key := limiterKey{user, kind}
	b := s.buckets[key]
	if b == nil {
		if len(s.buckets) >= maxBuckets {
			s.sweepLocked(now)
		}
		if len(s.buckets) >= maxBuckets {
			return time.Second, false // forgetting somebody would give an abuser a new burst
		}
		b = rate.NewLimiter(rate.Limit(float64(limit.N)/limit.Per.Seconds()), limit.N)
		if s.buckets == nil {
			s.buckets = map[limiterKey]*rate.Limiter{}
		}
		s.buckets[key] = b
	}
	r := b.ReserveN(now, n)
	wait = r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
		return wait + time.Microsecond, false // rate rounds its floats either way
	}
	return 0, true
}

func (l *limiter) shard(user string) *limiterShard {
	h := uint32(2166136261) // FNV-1a
	for i := range len(user) {
		h = (h ^ uint32(user[i])) * 16777619
	}
	return &l.shards[h%uint32(len(l.shards))]
}

// sweep forgets buckets that are full again, which are like new ones.
func (l *limiter) sweep(now time.Time) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		s.sweepLocked(now)
		s.mu.Unlock()
	}
}

// maxBuckets bounds the memory of a shard, to about 13 MB.
const maxBuckets = 1 << 16

func (s *limiterShard) sweepLocked(now time.Time) {
	for k, b := range s.buckets {
		if b.TokensAt(now) >= float64(b.Burst()) {
			delete(s.buckets, k)
		}
	}
}
