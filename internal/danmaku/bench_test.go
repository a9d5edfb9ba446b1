package danmaku

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkOffer is what one comment costs in a room that is far over its
// budget: its key, the offer, and its part of the ticks.
func BenchmarkOffer(b *testing.B) {
	seed := maphash.MakeSeed()
	texts := make([]string, 1000)
	for i := range texts {
		texts[i] = fmt.Sprintf("前方高能反应，非战斗人员 %d 号请撤离！", i)
	}
	for _, rate := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("offers=%d", rate), func(b *testing.B) {
			s := New[int](50, 10, rand.NewPCG(1, 2))
			step := time.Second / time.Duration(rate)
			now, tick := time.Duration(0), 20*time.Millisecond
			next := tick
			var ds []Decision[int]
			b.ReportAllocs()
			for i := range b.N {
				now += step
				for now >= next {
					ds = s.Select(next, next+tick, ds[:0])
					next += tick
				}
				a := s.Offer(now, &Candidate{Sender: uint64(i % 5000), Key: Key(seed, texts[i%1000])}, true)
				if a.Verdict == Wait {
					*a.Value = i
				}
				ds = s.Evicted(ds[:0])
			}
		})
	}
}
