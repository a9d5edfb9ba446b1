package danmaku

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/liveim/im/internal/replay"
)

func TestSim(t *testing.T) {
	seed := maphash.MakeSeed()
	for _, name := range []string{"a", "b", "c"} {
		f, err := os.Open("../../../shared/data/danmaku-" + name + ".jsonl")
		if err != nil {
			t.Fatal(err)
		}
		items, err := replay.Read(f, nil)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, speed := range []float64{10, 50, 200} {
			for _, tick := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond} {
				for _, limited := range []bool{false, true} {
					sim(t, seed, name, items, speed, tick, limited)
				}
			}
		}
	}
}

func sim(t *testing.T, seed maphash.Seed, name string, items []replay.Item, speed float64, tick time.Duration, limited bool) {
	s := New[int](50, 10, rand.NewPCG(1, 2))
	length := items[len(items)-1].At + time.Second
	type off struct {
		user, key uint64
		sec       int
	}
	var offs []off
	var shownAt []time.Duration
	shownBy := map[uint64]int{}
	mergedBy := map[uint64]int{}
	shedBy := map[uint64]int{}
	offered := make([]map[uint64]bool, 61)
	reached := make([]map[uint64]bool, 61)
	news := make([]map[uint64]bool, 61)
	for i := range offered {
		offered[i], reached[i], news[i] = map[uint64]bool{}, map[uint64]bool{}, map[uint64]bool{}
	}
	nextTick := tick
	ent := map[uint64]float64{}
	contShown := map[uint64]int{}
	tat := map[uint64]time.Duration{}
	decide := func(now time.Duration, d Decision[int]) {
		o := offs[d.Value]
		switch d.Verdict {
		case Pass:
			shownAt = append(shownAt, now)
			shownBy[o.user]++
			sec := int(now / time.Second)
			news[sec][o.key] = true
			reached[o.sec][o.key] = true
		case Merged:
			mergedBy[o.user]++
			reached[o.sec][o.key] = true
		case Shed:
			shedBy[o.user]++
		}
	}
	for k := 0; ; k++ {
		done := false
		for _, it := range items {
			at := time.Duration(float64(it.At+time.Duration(k)*length) / speed)
			if at >= 60*time.Second {
				done = true
				break
			}
			for nextTick <= at {
				ds := s.Select(nextTick, nextTick+tick, nil)
				left := map[uint64]bool{}
				for _, g := range s.pending {
					left[g.Sender] = true
				}
				for _, d := range ds {
					if d.Verdict == Shed {
						left[offs[d.Value].user] = true
					}
				}
				slots := 0
				present := map[uint64]bool{}
				for u := range left { present[u] = true }
				for _, d := range ds {
					if d.Verdict == Pass { slots++; present[offs[d.Value].user] = true }
				}
				if len(left) > 1 {
					for u := range present { ent[u] += float64(slots)/float64(len(present)) }
				}
				for _, d := range ds {
					decide(nextTick, d)
					if u := offs[d.Value].user; d.Verdict == Pass && (len(left) > 1 || len(left) == 1 && !left[u]) {
						contShown[u]++
					}
				}
				nextTick += tick
			}
			if limited {
				u := maphash.String(seed, it.User)
				T := 1500 * time.Millisecond
				n := max(tat[u], at) + T
				if n-at > 20*T {
					continue
				}
				tat[u] = n
			}
			o := off{maphash.String(seed, it.User), maphash.String(seed, it.Text), int(at / time.Second)}
			offs = append(offs, o)
			offered[o.sec][o.key] = true
			a := s.Offer(at, &Candidate{Sender: o.user, Key: o.key}, true)
			switch a.Verdict {
			case Wait:
				*a.Value = len(offs) - 1
			default:
				decide(at, Decision[int]{Verdict: a.Verdict, Value: len(offs) - 1})
			}
			for _, d := range s.Evicted(nil) {
				decide(at, d)
			}
		}
		if done {
			break
		}
	}
	worst := 0
	for i, j := 0, 0; i < len(shownAt); i++ {
		for shownAt[i]-shownAt[j] >= time.Second {
			j++
		}
		worst = max(worst, i-j+1)
	}
	var sumN, sumR, want int
	for i := range 60 {
		w := min(50, len(offered[i]))
		want += w
		sumN += min(w, len(news[i]))
		sumR += min(w, len(reached[i]))
	}
	jain := func(f func(u uint64) float64) float64 {
		var a, b float64
		n := 0
		for u, sh := range shedBy {
			if sh == 0 {
				continue
			}
			x := f(u)
			a += x
			b += x * x
			n++
		}
		return a * a / (float64(n) * b)
	}
	j1 := jain(func(u uint64) float64 { return float64(shownBy[u]) })
	j3 := jain(func(u uint64) float64 { return float64(contShown[u])/max(ent[u],.5) })
	top := []int{}
	for u := range shedBy {
		top = append(top, shownBy[u])
	}
	slices.Sort(top)
	slices.Reverse(top)
	j2 := jain(func(u uint64) float64 { return float64(shownBy[u] + mergedBy[u]) })
	fmt.Printf("%s %gx tick %v lim %v cont %.3f top %v: offered %d shown %d worst %d new %.3f reached %.3f jain shown %.3f shown+merged %.3f over %d senders; %+v\n",
		name, speed, tick, limited, j3, top[:min(6, len(top))], len(offs), len(shownAt), worst, float64(sumN)/float64(want), float64(sumR)/float64(want), j1, j2, len(shedBy), s.totalled)
}
