package gcra

import (
	"math"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"pgregory.net/rapid"
)

func TestCellBurstThenRate(t *testing.T) {
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
	if wait := c.Wait(l, 3, time.Second); wait != 5*time.Second {
		t.Errorf("three would be there after %v, want 5 s", wait)
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

// F10: monotonic time does not go back; should a caller's do, nobody gains by it.
func TestTimeThatGoesBack(t *testing.T) {
	l := Limit{5, 10 * time.Second}
	var c Cell
	m := New(1000)
	key := Key(m, "ann")
	takes := map[string]func(now time.Duration) (time.Duration, bool){
		"Cell": func(now time.Duration) (time.Duration, bool) { return c.Take(l, 1, now) },
		"Map":  func(now time.Duration) (time.Duration, bool) { return m.Take(key, l, 1, now) },
	}
	for name, take := range takes {
		for range 5 {
			take(time.Hour)
		}
		for _, now := range []time.Duration{0, -time.Hour, -100 * 365 * 24 * time.Hour} {
			if wait, ok := take(now); ok || wait != time.Hour+2*time.Second-now {
				t.Errorf("%s at %v: %v, %v", name, now, wait, ok)
			}
		}
	}
	m.Sweep(2 * time.Hour) // ann is forgotten as of then
	if wait, ok := m.Take(key, l, 5, time.Hour); !ok {
		t.Errorf("a full bucket: to wait %v", wait)
	}
	if wait, ok := m.Take(key, l, 1, time.Hour); ok || wait != time.Hour+2*time.Second {
		t.Errorf("before the sweep: %v, %v", wait, ok)
	}
	if wait := m.Wait(key, l, 1, time.Hour); wait != time.Hour+2*time.Second {
		t.Errorf("before the sweep, asked: %v", wait)
	}
}

func drawLimit(t *rapid.T) Limit {
	return Limit{
		N:   rapid.OneOf(rapid.IntRange(1, 100), rapid.IntRange(1, 1_000_000)).Draw(t, "N"),
		Per: time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(24*time.Hour)).Draw(t, "Per")),
	}
}

// Every refusal tells the truth to the nanosecond and takes nothing, and waiting for as long
// as the wire says, in milliseconds rounded up, is enough.
func TestWaitingExactlyThatLongSucceeds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, now := drawLimit(t), time.Duration(0)
		m := New(1000)
		key := Key(m, rapid.String().Draw(t, "key"))
		m.Take(key, l, rapid.IntRange(0, l.N).Draw(t, "before"), now)
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			n := rapid.IntRange(1, l.N).Draw(t, "n")
			asked := m.Wait(key, l, n, now)
			wait, ok := m.Take(key, l, n, now)
			if asked != wait || ok != (wait == 0) || wait < 0 || wait > l.Per+time.Duration(l.N) {
				t.Fatalf("%v: Wait says %v, Take %v, %v", l, asked, wait, ok)
			}
			if !ok {
				if early, ok := m.Take(key, l, n, now+wait-1); ok || early != 1 {
					t.Fatalf("%v: told to wait %v; a nanosecond before that: %v, %v", l, wait, early, ok)
				}
				millis := (wait + time.Millisecond - 1) / time.Millisecond
				now += rapid.SampledFrom([]time.Duration{wait, millis * time.Millisecond}).Draw(t, "waited")
				if more, ok := m.Take(key, l, n, now); !ok {
					t.Fatalf("%v: told to wait %v, and then %v more", l, wait, more)
				}
			}
			now += time.Duration(rapid.Int64Range(0, int64(l.Per)/int64(l.N)*3).Draw(t, "pause"))
		}
	})
}

// The oracle is x/time/rate, which counts tokens in floating point.
func TestAgainstTheOracle(t *testing.T) {
	epoch := time.Unix(1_000_000, 0)
	rapid.Check(t, func(t *rapid.T) {
		l, now := drawLimit(t), time.Duration(0)
		var c Cell
		oracle := rate.NewLimiter(rate.Limit(float64(l.N)/l.Per.Seconds()), l.N)
		taken := 0
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			n := rapid.IntRange(1, l.N).Draw(t, "n")
			if rapid.Bool().Draw(t, "one") {
				n = 1
			}
			there := oracle.TokensAt(epoch.Add(now))
			// By so many tokens the two may differ: a nanosecond for each that was taken, and rounding.
			slack := float64(taken+l.N)/float64(l.interval()) + 1e-6*float64(l.N)
			wait, ok := c.Take(l, n, now)
			if ok && there < float64(n)-slack || !ok && there > float64(n)+slack {
				t.Fatalf("%v: the oracle has %v tokens; %d of them: %v, %v", l, there, n, wait, ok)
			}
			if ok {
				taken += n
				oracle.ReserveN(epoch.Add(now), n) // it may be short of them by the slack
			}
			now += time.Duration(rapid.Int64Range(0, int64(l.Per)).Draw(t, "pause"))
		}
		if most := float64(l.N) * (1 + float64(now)/float64(l.Per)); float64(taken) > most*(1+1e-9) {
			t.Fatalf("%v: %d were taken in %v", l, taken, now)
		}
	})
}

// Whoever takes all that there is gets in the long run what the oracle gives.
func TestLongRunRate(t *testing.T) {
	epoch := time.Unix(1_000_000, 0)
	for _, l := range []Limit{{20, 30 * time.Second}, {100, 30 * time.Second}, {200, time.Second}, {7, 10 * time.Second}, {1, 24 * time.Hour}, {5000, 10 * time.Second}} {
		var c Cell
		oracle := rate.NewLimiter(rate.Limit(float64(l.N)/l.Per.Seconds()), l.N)
		taken, given := 0, 0
		step := l.Per / time.Duration(l.N) / 3
		end := 20 * l.Per
		for now := time.Duration(0); now < end; now += step {
			if _, ok := c.Take(l, 1, now); ok {
				taken++
			}
			if oracle.AllowN(epoch.Add(now), 1) {
				given++
			}
		}
		if diff := math.Abs(float64(taken - given)); diff > 1+float64(given)*1e-5 {
			t.Errorf("%v: %d in %v, the oracle %d", l, taken, end, given)
		}
	}
}

// A user whose limit changes, by a role for example, owes time and not tokens.
func TestOneCellUnderTwoLimits(t *testing.T) {
	var c Cell
	viewer, moderator := Limit{20, 30 * time.Second}, Limit{100, 30 * time.Second}
	c.Take(viewer, 20, 0)
	if wait, ok := c.Take(moderator, 1, 0); ok || wait != 300*time.Millisecond {
		t.Errorf("a new moderator: %v, %v", wait, ok)
	}
	if wait, ok := c.Take(viewer, 1, time.Second); ok || wait != 500*time.Millisecond {
		t.Errorf("and as a viewer again: %v, %v", wait, ok)
	}
}
