package brownout

import (
	"math"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const tick = 500 * time.Millisecond

func TestLadder(t *testing.T) {
	type run struct {
		pressure float64
		samples  int
		want     Level // after the last of them
	}
	for name, runs := range map[string][]run{
		"one high sample is nothing":       {{1, 1, 0}, {0.9, 1, 0}, {1, 1, 0}},
		"every second sample is a level":   {{1, 2, 1}, {1.9, 2, 2}, {1, 1, 2}, {1, 1, 3}, {1, 4, 5}, {1, 100, 5}},
		"extreme pressure needs three":     {{2, 1, 2}, {5, 1, 4}, {2, 1, 5}},
		"no number is no pressure":         {{math.NaN(), 10, 0}, {math.Inf(1), 1, 2}, {-1, 11, 1}},
		"between the marks it stays":       {{1, 6, 3}, {0.7, 1000, 3}, {0.99, 1000, 3}},
		"it comes down a level every 5 s":  {{1, 6, 3}, {0.6, 10, 3}, {0, 1, 2}, {0, 9, 2}, {0, 1, 1}, {0, 10, 0}, {0, 100, 0}},
		"what breaks the calm begins anew": {{1, 4, 2}, {0, 10, 2}, {0.8, 1, 2}, {0, 10, 2}, {0, 1, 1}},
		"it climbs again at once":          {{1, 4, 2}, {0, 11, 1}, {1, 2, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			l, now := New(Params{}), time.Unix(1, 0)
			for i, r := range runs {
				for range r.samples {
					now = now.Add(tick)
					l.Step(now, r.pressure)
				}
				if got := l.Level(); got != r.want {
					t.Fatalf("run %d: level %d, want %d", i, got, r.want)
				}
			}
		})
	}
}

func TestLadderProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Params{Hold: time.Duration(rapid.IntRange(1, 20).Draw(t, "hold")) * tick}
		less, more, now := New(p), New(p), time.Unix(1, 0)
		var fell, pressed time.Time // when less came down last, and when its pressure was last above Low
		for range rapid.IntRange(1, 300).Draw(t, "samples") {
			now = now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			pressure := rapid.SampledFrom([]float64{0, 0.3, 0.69, 0.7, 0.8, 1, 1.5, 2, 9}).Draw(t, "pressure")
			before := less.Level()
			got := less.Step(now, pressure)
			above := more.Step(now, pressure+rapid.SampledFrom([]float64{0, 0, 0, 0.1, 0.5, 3}).Draw(t, "extra"))
			if got > Top {
				t.Fatalf("level %d", got)
			}
			if got > above {
				t.Fatalf("more pressure has led to level %d, less to %d", above, got)
			}
			if got > before && pressure < 1 || got > before+2 {
				t.Fatalf("from %d to %d at pressure %v", before, got, pressure)
			}
			if pressure >= 0.7 {
				pressed = now
			}
			if got < before {
				if got != before-1 || now.Sub(pressed) < p.Hold || now.Sub(fell) < p.Hold {
					t.Fatalf("from %d to %d, %v after the pressure and %v after the last time; the hold time is %v", before, got, now.Sub(pressed), now.Sub(fell), p.Hold)
				}
				fell = now
			}
		}
	})
}
