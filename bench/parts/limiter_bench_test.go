package parts

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liveim/im/internal/gcra"
	"golang.org/x/time/rate"
)

// limit is 20 danmaku in 30 seconds.
var limit = gcra.Limit{N: 20, Per: 30 * time.Second}

// limiter says whether a user may send at a time.
type limiter interface {
	take(user string, now time.Duration) bool
}

type cells struct{ m *gcra.Map }

func (c cells) take(user string, now time.Duration) bool {
	_, ok := c.m.Take(gcra.Key(c.m, user), limit, 1, now)
	return ok
}

// limiters is a rate.Limiter for each user in a sync.Map. Nothing is ever
// removed from it, which somebody would have to do.
type limiters struct {
	m     sync.Map
	start time.Time
}

func (l *limiters) take(user string, now time.Duration) bool {
	found, ok := l.m.Load(user)
	if !ok {
		found, _ = l.m.LoadOrStore(user, rate.NewLimiter(rate.Limit(float64(limit.N)/limit.Per.Seconds()), limit.N))
	}
	return found.(*rate.Limiter).AllowN(l.start.Add(now), 1)
}

// BenchmarkLimiter is the check of one send of one of so many users, who are all known, one after the other and
// by goroutines on all processors. B/user is what a user costs in memory.
func BenchmarkLimiter(b *testing.B) {
	for _, users := range []int{1, 1000, 100_000} {
		names := make([]string, users)
		for i := range names {
			names[i] = fmt.Sprintf("user-%d", i)
		}
		open := map[string]func() limiter{
			"im":     func() limiter { return cells{gcra.New(2*users + 1000)} },
			"x_time": func() limiter { return &limiters{start: time.Now()} },
		}
		for _, impl := range []string{"im", "x_time"} {
			b.Run(fmt.Sprintf("users=%d/impl=%s", users, impl), func(b *testing.B) {
				before := heap()
				l := fill(open[impl](), names)
				memory := float64(heap()-before) / float64(users)
				i := 0
				b.ReportAllocs()
				for b.Loop() {
					l.take(names[i%users], time.Duration(i)*time.Microsecond)
					i++
				}
				if users > 1 {
					b.ReportMetric(memory, "B/user")
				}
			})
			b.Run(fmt.Sprintf("parallel/users=%d/impl=%s", users, impl), func(b *testing.B) {
				l := fill(open[impl](), names)
				var next atomic.Int64
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for i := int(next.Add(1)) * 7919; pb.Next(); i++ {
						l.take(names[i%users], 0)
					}
				})
			})
		}
	}
}

func fill(l limiter, names []string) limiter {
	for _, name := range names {
		l.take(name, 0)
	}
	return l
}
