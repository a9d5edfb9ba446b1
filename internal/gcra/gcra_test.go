package gcra

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"pgregory.net/rapid"
)

func TestBurstThenRate(t *testing.T) {
	var c Cell
	l := Limit{5, 10 * time.Second}
	for i := range 5 {
		if _, ok := c.Take(l, 1, 0); !ok {
			t.Fatalf("refused at %d of the burst", i)
		}
	}
	if wait, ok := c.Take(l, 1, 0); ok || wait != 2*time.Second {
		t.Fatalf("over the burst: %v, %v; want to wait 2 s", wait, ok)
	}
	if wait, ok := c.Take(l, 1, -time.Hour); ok || wait != time.Hour+2*time.Second {
		t.Errorf("a clock that went back: %v, %v", wait, ok)
	}
	c.Give(l, 2)
	if _, ok := c.Take(l, 3, 0); ok {
		t.Error("three were taken of two that were given back")
	}
	if _, ok := c.Take(l, 2, 0); !ok {
		t.Error("what was given back is not there")
	}
	if _, ok := c.Take(l, 100, time.Minute); !ok {
		t.Error("more than the limit at once is not the limit")
	}
}

// TestAgainstTheOracle compares with x/time/rate, and checks that waits are true.
func TestAgainstTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limit{rapid.IntRange(1, 100).Draw(t, "n"), time.Duration(rapid.Int64Range(1, 600_000).Draw(t, "ms")) * time.Millisecond}
		var c Cell
		oracle := rate.NewLimiter(rate.Limit(float64(l.N)/l.Per.Seconds()), l.N)
		epoch, now := time.Unix(1_000_000, 0), time.Duration(0)
		taken, other := 0, 0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			n := rapid.IntRange(1, l.N).Draw(t, "take")
			wait, ok := c.Take(l, n, now)
			if ok {
				taken += n
			} else {
				for range 2 { // a refusal takes nothing
					c.Take(l, n, now)
				}
				before := c
				if w, ok := c.Take(l, n, now+wait-1); ok {
					t.Fatalf("told to wait %v, and it is there a nanosecond before (%v)", wait, w)
				}
				if w, ok := c.Take(l, n, now+wait); !ok {
					t.Fatalf("told to wait %v, and then %v more", wait, w)
				}
				c = before
			}
			if oracle.AllowN(epoch.Add(now), n) {
				other += n
			}
			now += time.Duration(rapid.Int64Range(0, int64(l.Per)).Draw(t, "pause"))
		}
		if diff := taken - other; diff > l.N || -diff > l.N { // rounding may shift what passes when
			t.Fatalf("%v: %d were taken, the oracle gives %d", l, taken, other)
		}
		if most := l.N + int(now/l.interval()) + 1; taken > most {
			t.Fatalf("%v: %d were taken within %v, at most %d may be", l, taken, now, most)
		}
	})
}

// TestA19TenMillionUsers has one user after the other come, far more than there is
// room for. The long form has ten million of them.
func TestA19TenMillionUsers(t *testing.T) {
	users, entries := 1_000_000, 1<<17
	if os.Getenv("IM_SOAK") != "" {
		users, entries = 10_000_000, 1<<20
	}
	m, l := New(entries), Limit{20, 30 * time.Second}
	before := heap()
	abuser, now := Key(m, "abuser"), time.Duration(0)
	taken := 0
	for i := range users {
		now += time.Microsecond
		m.Take(Key(m, i), l, 1, now)
		if i%1000 == 0 {
			for _, ok := m.Take(abuser, l, 1, now); ok; _, ok = m.Take(abuser, l, 1, now) {
				taken++
			}
			if most := l.N + int(now/l.interval()); taken > most {
				t.Fatalf("after %d others the abuser has taken %d, at most %d may be", i, taken, most)
			}
		}
	}
	if n := m.Len(); n > entries {
		t.Errorf("%d are remembered, of %d at most", n, entries)
	}
	per := float64(heap()-before) / float64(m.Len())
	if least := l.N + int(now/l.interval()) - 1; taken < least {
		t.Errorf("the abuser has taken %d, and should have got %d", taken, least)
	}
	t.Logf("%d users, %d remembered, %.1f bytes each", users, m.Len(), per)
	if per > 48 {
		t.Errorf("a user costs %.1f bytes, want at most 48", per)
	}
	for i := 0; ; i++ { // until one finds its part of the map full
		newcomer := Key(m, [2]int{1, i})
		wait, ok := m.Take(newcomer, l, 1, now)
		if ok {
			continue
		}
		if _, ok := m.Take(newcomer, l, 1, now+wait-1); ok {
			t.Error("the newcomer was told to wait longer than it takes")
		}
		if _, ok := m.Take(newcomer, l, 1, now+wait); !ok {
			t.Error("the newcomer waited as long as it was told, and is refused")
		}
		break
	}
	runtime.KeepAlive(m)
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestBytesOfAUser looks at maps of many sizes, as they grow by doubling.
func TestBytesOfAUser(t *testing.T) {
	for _, users := range []int{100_000, 150_000, 230_000, 350_000, 500_000} {
		before := heap()
		m := New(10 * users)
		for i := range users {
			m.Take(Key(m, i), Limit{20, 30 * time.Second}, 1, time.Second)
		}
		if per := float64(heap()-before) / float64(users); per > 48 {
			t.Errorf("of %d users each costs %.1f bytes, want at most 48", users, per)
		}
		runtime.KeepAlive(m)
	}
}

func TestSweepForgetsWhoIsAtRest(t *testing.T) {
	m, l := New(1000), Limit{5, 10 * time.Second}
	ann, bob := Key(m, "ann"), Key(m, "bob")
	m.Take(ann, l, 5, 0)
	m.Take(bob, l, 1, 0)
	m.Sweep(3 * time.Second)
	if n := m.Len(); n != 1 {
		t.Fatalf("%d are remembered, want ann alone", n)
	}
	if _, ok := m.Take(ann, l, 5, 3*time.Second); ok {
		t.Error("a sweep gave ann a new burst")
	}
	m.Sweep(time.Minute)
	if n := m.Len(); n != 0 {
		t.Errorf("%d are remembered after a minute", n)
	}
}

// TestFullAgain fills a map that has been empty, after a key with a long limit.
func TestFullAgain(t *testing.T) {
	m, short := New(1000), Limit{1, time.Second}
	m.Take(Key(m, "long"), Limit{1, 24 * time.Hour}, 1, 0)
	for round := range 3 {
		now := time.Duration(round) * time.Minute
		m.Sweep(now)
		for i := range 10_000 {
			if wait, ok := m.Take(Key(m, [2]int{round, i}), short, 1, now); !ok && wait > 2*time.Second {
				t.Fatalf("round %d: newcomer %d is to wait %v", round, i, wait)
			}
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	m, l := New(1000), Limit{100, time.Hour}
	var all sync.WaitGroup
	var taken [8]int
	for i := range taken {
		all.Go(func() {
			for range 1000 {
				if _, ok := m.Take(Key(m, "ann"), l, 1, 0); ok {
					taken[i]++
				}
			}
		})
	}
	all.Wait()
	sum := 0
	for _, n := range taken {
		sum += n
	}
	if sum != 100 {
		t.Errorf("%d were taken of 100", sum)
	}
}

func BenchmarkTake(b *testing.B) {
	for _, users := range []int{1, 1_000_000} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			m, l := New(2*users+1000), Limit{20, 30 * time.Second}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				m.Take(Key(m, i%users), l, 1, time.Duration(i)*time.Microsecond)
				i++
			}
		})
	}
}
