package im

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"pgregory.net/rapid"
)

// Waiting exactly as long as a bucket says, or in milliseconds rounded up as the wire does, is
// enough, and what passes is what x/time/rate lets pass.
func TestBucketTellsTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limit{
			N:   rapid.OneOf(rapid.IntRange(1, 100), rapid.IntRange(1, 1_000_000)).Draw(t, "N"),
			Per: time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(24*time.Hour)).Draw(t, "Per")),
		}
		b, now := l.bucket(), time.Unix(1_000_000, 0)
		oracle := rate.NewLimiter(b.rate.Limit(), l.N)
		interval := int64(l.Per) / int64(l.N)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			wait, ok := b.take(now)
			if want := oracle.AllowN(now, 1); ok != want {
				t.Fatalf("%v: %v, the oracle %v", l, ok, want)
			}
			if !ok {
				if wait <= 0 || wait > time.Duration(interval)+2*time.Microsecond || b.wait(now) != wait {
					t.Fatalf("%v: told to wait %v", l, wait)
				}
				e := Error{RetryAfter: wait}
				now = now.Add(rapid.SampledFrom([]time.Duration{wait, time.Duration(e.retryMillis()) * time.Millisecond}).Draw(t, "waited"))
				if more, ok := b.take(now); !ok {
					t.Fatalf("%v: told to wait %v, and then %v more", l, wait, more)
				}
				oracle.AllowN(now, 1)
			}
			now = now.Add(time.Duration(rapid.Int64Range(0, 2*interval).Draw(t, "pause")))
		}
	})
}

// A crowd that is refused neither gets more than the limit nor leaves a debt behind. With
// ReserveN and CancelAt of x/time/rate it got 30 times as much, and a debt of 12 minutes.
func TestBucketInAStorm(t *testing.T) {
	b := Limit{200, time.Second}.bucket()
	start := time.Now()
	end := start.Add(300 * time.Millisecond)
	var crowd sync.WaitGroup
	var taken, longest atomic.Int64
	for range 32 {
		crowd.Go(func() {
			for now := time.Now(); now.Before(end); now = time.Now() {
				wait, ok := b.take(now)
				if ok {
					taken.Add(1)
				}
				if int64(wait) > longest.Load() {
					longest.Store(int64(wait))
				}
			}
		})
	}
	crowd.Wait()
	if most := 200 + int64(time.Since(start)*200/time.Second) + 1; taken.Load() > most {
		t.Errorf("%d were taken, want %d at most", taken.Load(), most)
	}
	if wait := time.Duration(longest.Load()); wait > 6*time.Millisecond {
		t.Errorf("somebody was told to wait %v, where one comes back every 5 ms", wait)
	}
	var none *bucket
	if wait, ok := none.take(start); !ok || wait != 0 || none.wait(start) != 0 {
		t.Error("no bucket is no limit")
	}
}
