package im

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestLimiterTakesTheBurstThenTheRate(t *testing.T) {
	l := newLimiter(map[Kind]Limit{Chat: {N: 5, Per: 10 * time.Second}, Danmaku: Unlimited})
	now := time.Unix(1_000_000, 0)
	for i := range 5 {
		if _, ok := l.take("ann", Chat, 1, now); !ok {
			t.Fatalf("refused at %d of the burst", i)
		}
	}
	wait, ok := l.take("ann", Chat, 1, now)
	if ok || wait.Round(time.Millisecond) != 2*time.Second {
		t.Fatalf("over the burst: %v, %v; want to wait 2 s", ok, wait)
	}
	if _, ok := l.take("bob", Chat, 1, now); !ok {
		t.Fatal("one user's tokens are another's")
	}
	if _, ok := l.take("ann", Notice, 1, now); !ok {
		t.Fatal("one kind's tokens are another's")
	}
	for range 1000 {
		if _, ok := l.take("ann", Danmaku, 1, now); !ok {
			t.Fatal("an unlimited kind was refused")
		}
	}
}

// A refusal takes no token, and waiting exactly as long as it says is enough.
func TestLimiterTellsTheTruth(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		limit := Limit{N: 1 + rng.IntN(50), Per: time.Duration(1+rng.IntN(60_000)) * time.Millisecond}
		l := newLimiter(map[Kind]Limit{Chat: limit})
		now := time.Unix(1_000_000, 0)
		for range 100 {
			n := 1 + rng.IntN(3)
			wait, ok := l.take("ann", Chat, n, now)
			if !ok {
				for range 3 {
					l.take("ann", Chat, n, now)
				}
				now = now.Add(wait)
				if again, ok := l.take("ann", Chat, n, now); !ok {
					t.Fatalf("limit %v: told to wait %v, then to wait %v more", limit, wait, again)
				}
			}
			now = now.Add(time.Duration(rng.Int64N(int64(limit.Per) / 4)))
		}
	}
}

func TestLimiterForgetsWhoIsAtRest(t *testing.T) {
	l := newLimiter(map[Kind]Limit{Chat: {N: 5, Per: 10 * time.Second}})
	now := time.Unix(1_000_000, 0)
	for i := range 5 {
		l.take("ann", Chat, 1, now)
		if i == 0 {
			l.take("bob", Chat, 1, now)
		}
	}
	count := func() (n int) {
		for i := range l.shards {
			n += len(l.shards[i].buckets)
		}
		return n
	}
	l.sweep(now.Add(3 * time.Second))
	if n := count(); n != 1 {
		t.Fatalf("%d buckets are kept, want that of ann", n)
	}
	if _, ok := l.take("ann", Chat, 5, now.Add(3*time.Second)); ok {
		t.Fatal("a sweep gave ann a new burst")
	}
	l.sweep(now.Add(time.Minute))
	if n := count(); n != 0 {
		t.Fatalf("%d buckets are kept after a minute", n)
	}
}

func BenchmarkLimiter(b *testing.B) {
	l := newLimiter(map[Kind]Limit{Chat: {N: 1_000_000, Per: time.Millisecond}})
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		l.take("ann", Chat, 1, now)
	}
}
