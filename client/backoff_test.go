package client

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// always draws the longest delay, in a time that passes by delays only.
func always(b *backoff) (wait func(advice time.Duration) time.Duration) {
	now := time.Unix(1, 0)
	b.random = func() float64 { return 1 }
	b.now = func() time.Time { return now }
	return func(advice time.Duration) time.Duration {
		d := b.next(advice)
		now = now.Add(d)
		return d
	}
}

// web/test/backoff.test.mjs has the same series.
func TestBackoffSeries(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name          string
		min, max      time.Duration
		first, advice time.Duration // first is the wait before the series
		want          []time.Duration
	}{
		{"the defaults", 500 * ms, 30 * time.Second, -1, 0,
			[]time.Duration{500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 5000 * ms, 5000 * ms, 5000 * ms, 5000 * ms, 5000 * ms, 8000 * ms, 16000 * ms, 30000 * ms, 30000 * ms}},
		{"a low ceiling", 500 * ms, 3 * time.Second, -1, 0, []time.Duration{500 * ms, 1000 * ms, 2000 * ms, 3000 * ms, 3000 * ms}},
		{"a high floor", 8 * time.Second, 30 * time.Second, -1, 0, []time.Duration{8000 * ms, 8000 * ms, 8000 * ms, 8000 * ms, 16000 * ms}},
		{"30 s after the advised time", 500 * ms, 30 * time.Second, 20500 * ms, 20 * time.Second,
			[]time.Duration{1000 * ms, 2000 * ms, 4000 * ms, 5000 * ms, 5000 * ms, 5000 * ms, 5000 * ms, 5000 * ms, 8000 * ms}},
	} {
		t.Run(c.name, func(t *testing.T) {
			wait := always(&backoff{min: c.min, max: c.max})
			if c.first >= 0 {
				if d := wait(c.advice); d != c.first {
					t.Errorf("first delay %v, want %v", d, c.first)
				}
			}
			var got []time.Duration
			for range c.want {
				got = append(got, wait(0))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
		})
	}
}

func TestBackoffBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1, 0)
		b := backoff{
			min: time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "min")),
			now: func() time.Time { return now },
		}
		b.max = b.min + time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "more"))
		last := time.Duration(0)
		for i := range 80 {
			advice := time.Duration(rapid.Int64Range(-1, int64(time.Hour)).Draw(t, "advice"))
			ceiling := b.ceiling()
			if ceiling < b.min || ceiling > b.max || ceiling < last {
				t.Fatalf("ceiling %v after %v is outside %v to %v", ceiling, last, b.min, b.max)
			}
			d := b.next(advice)
			if d < max(advice, 0) || d > max(advice, 0)+ceiling {
				t.Fatalf("delay %v after advice %v is outside 0 to %v", d, advice, ceiling)
			}
			if i > 0 {
				last = ceiling
			}
			now = now.Add(d)
		}
	})
}

// The jitter is full: uniform between nothing and the ceiling.
func TestBackoffSpread(t *testing.T) {
	const n, buckets = 20000, 10
	var count [buckets]int
	for range n {
		b := backoff{min: time.Second, max: time.Minute, attempt: 2}
		count[int(b.next(0)*buckets/(4*time.Second))]++
	}
	for i, c := range count {
		if c < n/buckets*8/10 || c > n/buckets*12/10 {
			t.Errorf("bucket %d of %d has %d of %d delays", i, buckets, c, n)
		}
	}
}

func TestBackoffResetOnlyIfItLasted(t *testing.T) {
	b := backoff{min: time.Second, max: time.Minute}
	for range 3 {
		b.next(0)
	}
	b.reset(time.Second) // less than the 5 s that it might have to wait
	if b.ceiling() != 5*time.Second {
		t.Errorf("ceiling %v after a connection that did not last", b.ceiling())
	}
	b.reset(5 * time.Second)
	if b.ceiling() != time.Second {
		t.Errorf("ceiling %v after one that did", b.ceiling())
	}
}
