package client

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBackoffBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := backoff{
			min: time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "min")),
		}
		b.max = b.min + time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "more"))
		ceiling := b.min
		for range 80 {
			advice := time.Duration(rapid.Int64Range(-1, int64(time.Hour)).Draw(t, "advice"))
			d := b.next(advice)
			if d < max(advice, 0) || d > max(advice, 0)+min(ceiling, b.max) {
				t.Fatalf("delay %v after advice %v is outside 0 to %v", d, advice, min(ceiling, b.max))
			}
			ceiling = min(2*ceiling, b.max)
		}
	})
}

// The jitter is full: uniform between nothing and the ceiling.
func TestBackoffSpread(t *testing.T) {
	const n, buckets = 20000, 10
	var count [buckets]int
	for range n {
		b := backoff{min: time.Second, max: time.Minute, attempt: 3}
		count[int(b.next(0)*buckets/(8*time.Second))]++
	}
	for i, c := range count {
		if c < n/buckets*8/10 || c > n/buckets*12/10 {
			t.Errorf("bucket %d of %d has %d of %d delays", i, buckets, c, n)
		}
	}
}

func TestBackoffResetOnlyIfItLasted(t *testing.T) {
	b := backoff{min: time.Second, max: time.Minute}
	for range 4 {
		b.next(0)
	}
	b.reset(time.Second) // less than the 16 s that it might have to wait
	if b.ceiling() != 16*time.Second {
		t.Errorf("ceiling %v after a connection that did not last", b.ceiling())
	}
	b.reset(16 * time.Second)
	if b.ceiling() != time.Second {
		t.Errorf("ceiling %v after one that did", b.ceiling())
	}
}
