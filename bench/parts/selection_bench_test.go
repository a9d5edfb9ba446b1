package parts

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/liveim/im/internal/danmaku"
)

const (
	budget = 50 // danmaku a second that a room shows
	tick   = 20 * time.Millisecond
)

// comment is a danmaku that is offered.
type comment struct {
	sender uint64
	weight int
	text   string
	at     time.Duration
}

func comments() []comment {
	all := make([]comment, 10_000)
	for i := range all {
		all[i] = comment{sender: uint64(i % 5000), text: fmt.Sprintf("%s%d", phrases[i%len(phrases)], i%997)}
		if i%100 == 0 {
			all[i].weight = 1 + i%3 // who paid
		}
	}
	return all
}

// BenchmarkSelection is one comment in a room that shows 50 a second of so many: its offer, and its
// part of the ticks.
//
// impl=sort is what one would write first: what came within a tick is sorted by weight and age, the tick's part
// of the budget is taken from the top, and the rest is dropped. It has none of what im does besides: equal texts are not
// counted as one, nobody's turn comes before that of others, and nobody is told what became of a comment.
func BenchmarkSelection(b *testing.B) {
	all := comments()
	for _, rate := range []int{1000, 10_000, 100_000, 1_000_000} {
		step := time.Second / time.Duration(rate)
		b.Run(fmt.Sprintf("offers=%d/impl=im", rate), func(b *testing.B) {
			s, seed, shown := danmaku.New[int](budget, budget/5, rand.NewPCG(1, 2)), maphash.MakeSeed(), 0
			var decided []danmaku.Decision[int]
			run(b, step, func(now time.Duration, i int) {
				c := &all[i%len(all)]
				a := s.Offer(now, &danmaku.Candidate{Sender: c.sender, Weight: c.weight, Key: danmaku.Key(seed, c.text)}, true)
				if a.Verdict == danmaku.Wait {
					*a.Value = i
				} else if a.Verdict == danmaku.Pass {
					shown++
				}
				decided = s.Evicted(decided[:0])
			}, func(now time.Duration) {
				decided = s.Select(now, now+tick, decided[:0])
				for _, d := range decided {
					if d.Verdict == danmaku.Pass {
						shown++
					}
				}
			})
			report(b, shown, step)
		})
		b.Run(fmt.Sprintf("offers=%d/impl=sort", rate), func(b *testing.B) {
			var waiting []comment
			shown := 0
			run(b, step, func(now time.Duration, i int) {
				c := all[i%len(all)]
				c.at = now
				waiting = append(waiting, c)
			}, func(time.Duration) {
				slices.SortFunc(waiting, func(x, y comment) int {
					return cmp.Or(cmp.Compare(y.weight, x.weight), cmp.Compare(x.at, y.at))
				})
				shown += min(len(waiting), int(budget*tick/time.Second))
				waiting = waiting[:0]
			})
			report(b, shown, step)
		})
	}
}

func run(b *testing.B, step time.Duration, offer func(now time.Duration, i int), endTick func(now time.Duration)) {
	now, next := time.Duration(0), tick
	b.ReportAllocs()
	for i := range b.N {
		for now += step; now >= next; next += tick {
			endTick(next)
		}
		offer(now, i)
	}
}

func report(b *testing.B, shown int, step time.Duration) {
	if seconds := (time.Duration(b.N) * step).Seconds(); seconds >= 1 {
		b.ReportMetric(float64(shown)/seconds, "shown/s")
	}
}
