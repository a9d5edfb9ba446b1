package gcra

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

func BenchmarkTake(b *testing.B) {
	for _, users := range []int{1, 1000, 1_000_000} {
		names := make([]userAndKind, users)
		for i := range names {
			names[i] = userAndKind{fmt.Sprintf("user-%d", i), "danmaku"}
		}
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			m, i := New(2*users+1000), 0
			for j := range names {
				m.Take(Key(m, names[j]), danmaku, 1, 0)
			}
			b.ReportAllocs()
			for b.Loop() {
				m.Take(Key(m, names[i]), danmaku, 1, time.Duration(i)*time.Microsecond)
				if i++; i == users {
					i = 0
				}
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		m := New(100_000)
		var next atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for me := next.Add(1_000_000); pb.Next(); me++ {
				m.Take(Key(m, me%1000), danmaku, 1, 0)
			}
		})
	})
	// As many newcomers as buckets become full, and a little more: each finds the map full.
	b.Run("newcomers of a full map", func(b *testing.B) {
		m, i := New(100_000), 0
		b.ReportAllocs()
		for b.Loop() {
			i++
			m.Take(Key(m, i), danmaku, 1, time.Duration(i)*14*time.Microsecond)
		}
	})
	b.Run("Cell", func(b *testing.B) {
		var c Cell
		for b.Loop() {
			c.Take(danmaku, 1, 0)
		}
	})
	b.Run("baseline=rate.Limiter", func(b *testing.B) {
		l, now := rate.NewLimiter(20.0/30, 20), time.Now()
		b.ReportAllocs()
		for b.Loop() {
			l.AllowN(now, 1)
		}
	})
}
