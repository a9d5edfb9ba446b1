package words

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// bigList makes up words of ideographs, as most lists are, and of Latin letters.
func bigList(n int) []Word {
	r := rand.New(rand.NewPCG(1, 2))
	list := make([]Word, n)
	for i := range list {
		var s []rune
		if i%4 == 0 {
			for range 5 + r.IntN(8) {
				s = append(s, rune('a'+r.IntN(26)))
			}
		} else {
			for range 2 + r.IntN(5) {
				s = append(s, common(r))
			}
		}
		list[i] = Word{Text: string(s), Action: Action(2 + i%3), Label: "made up", WholeWord: i%4 == 0, Repeats: i%10 == 0}
	}
	return list
}

// common is one of 3,000 ideographs, of which few are frequent.
func common(r *rand.Rand) rune {
	return 0x4E00 + rune(r.Float64()*r.Float64()*3000)
}

// messages are of 30 characters each.
func messages() map[string][]string {
	r := rand.New(rand.NewPCG(3, 4))
	out := map[string][]string{}
	for range 512 {
		var han, latin, mixed []rune
		for i := range 30 {
			han = append(han, common(r))
			latin = append(latin, rune('a'+r.IntN(26)))
			if i%5 == 4 {
				latin[i] = ' '
			}
			mixed = append(mixed, []rune{han[i], latin[i], '，', 'Ａ' + rune(r.IntN(26)), '6'}[r.IntN(5)])
		}
		out["ideographs"] = append(out["ideographs"], string(han))
		out["Latin"] = append(out["Latin"], string(latin))
		out["mixed"] = append(out["mixed"], string(mixed))
	}
	out["hostile"] = []string{"f@f@f@f@f@f@f@f@f@f@f@f@f@f@f@"}
	return out
}

func BenchmarkCheck(b *testing.B) {
	f, err := Compile(bigList(100_000))
	if err != nil {
		b.Fatal(err)
	}
	for name, texts := range messages() {
		for _, clean := range []bool{true, false} {
			var chosen []string
			for _, text := range texts {
				if (f.Check(text).Action == None) == clean {
					chosen = append(chosen, text)
				}
			}
			if len(chosen) == 0 {
				continue
			}
			b.Run(fmt.Sprintf("%s/clean=%v", name, clean), func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					f.Check(chosen[i])
					if i++; i == len(chosen) {
						i = 0
					}
				}
			})
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	list := bigList(100_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(list); err != nil {
			b.Fatal(err)
		}
	}
}

func TestNoAllocationsWhenClean(t *testing.T) {
	f := compile(t, bigList(10_000)...)
	for name, texts := range messages() {
		for _, text := range texts {
			if f.Check(text).Action != None {
				continue
			}
			if n := testing.AllocsPerRun(10, func() { f.Check(text) }); n != 0 {
				t.Errorf("%s: %v allocations in %q", name, n, text)
			}
			if n := testing.AllocsPerRun(10, func() { f.Mask(text) }); n != 0 {
				t.Errorf("%s: %v allocations when %q is masked", name, n, text)
			}
			break
		}
	}
}

// The bars are a second for the list and 2 µs for a message. Twice that is allowed here for the latter, since the processors
// and their caches are shared; BenchmarkCheck tells what it is.
func TestSpeed(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("the race detector is too slow for this")
	}
	list := bigList(100_000)
	best := time.Hour
	var f *Filter
	for range 3 {
		start := time.Now()
		f = compile(t, list...)
		best = min(best, time.Since(start))
	}
	if best > time.Second {
		t.Errorf("100,000 words took %v to load, more than a second", best)
	}
	for name, texts := range messages() {
		best := time.Hour
		for range 10 {
			start := time.Now()
			for _, text := range texts {
				f.Check(text)
			}
			best = min(best, time.Since(start)/time.Duration(len(texts)))
		}
		bar := 4 * time.Microsecond
		if name == "hostile" {
			bar = 12 * time.Microsecond
		}
		if best > bar {
			t.Errorf("a message of kind %s takes %v, more than %v", name, best, bar)
		}
	}
}
