package fanout

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLag(t *testing.T) {
	type step struct {
		at   time.Duration
		what string // gap, short, whole, or nothing
		low  bool   // afterwards
	}
	const s = time.Second
	for name, steps := range map[string][]step{
		"three gaps within 10 s":       {{0, "gap", false}, {5 * s, "gap", false}, {10 * s, "gap", true}},
		"in more than that":            {{0, "gap", false}, {5 * s, "gap", false}, {10*s + 1, "gap", false}, {11 * s, "gap", true}},
		"full for more than 2 s":       {{0, "short", false}, {2 * s, "", false}, {2*s + 1, "", true}},
		"full again and again":         {{0, "short", false}, {s, "whole", false}, {s, "short", false}, {3 * s, "whole", false}, {4 * s, "", false}},
		"short does not begin anew":    {{0, "short", false}, {s, "short", false}, {2*s + 1, "short", true}},
		"raised after 5 s":             {{0, "short", false}, {3 * s, "", true}, {4 * s, "whole", true}, {9*s - 1, "", true}, {9 * s, "", false}},
		"a short that ends soon":       {{0, "short", false}, {3 * s, "", true}, {4 * s, "whole", true}, {8900 * ms, "short", true}, {9 * s, "whole", false}},
		"a short that does not":        {{0, "short", false}, {3 * s, "", true}, {4 * s, "whole", true}, {8 * s, "short", true}, {9 * s, "whole", true}, {14*s - 1, "", true}, {14 * s, "", false}},
		"is late when it is looked at": {{0, "short", false}, {3 * s, "", true}, {4 * s, "whole", true}, {8 * s, "short", true}, {20 * s, "", true}},
		"gaps of before do not count":  {{0, "gap", false}, {0, "gap", false}, {0, "gap", true}, {5 * s, "", false}, {6 * s, "gap", false}},
	} {
		t.Run(name, func(t *testing.T) {
			var l lag
			began := time.Now()
			for i, st := range steps {
				now := began.Add(st.at)
				switch st.what {
				case "gap":
					l.gap(now)
				case "short":
					l.short(now)
				case "whole":
					l.whole(now)
				}
				look(&l, now)
				if l.low != st.low {
					t.Fatalf("step %d: low is %v", i, l.low)
				}
			}
		})
	}
}

// look is what an outlet does when it sends.
func look(l *lag, now time.Time) {
	if l.lags(now) {
		l.lower(now)
	}
	l.recover(now)
}

func TestLagHoldsOffLonger(t *testing.T) {
	var l lag
	now := time.Now()
	episode := func() (held time.Duration) {
		for range lagGaps {
			l.gap(now)
		}
		for look(&l, now); l.low; look(&l, now) {
			now, held = now.Add(time.Second), held+time.Second
		}
		return held
	}
	for i, want := range []time.Duration{5, 10, 20, 40, 60, 60} {
		if got := episode(); got != want*time.Second {
			t.Errorf("time %d: held for %v, want %ds", i, got, want)
		}
		now = now.Add(holdMost - 1)
	}
	now = now.Add(1)
	if got := episode(); got != holdLeast {
		t.Errorf("after a good minute: held for %v", got)
	}
}

// Whatever the connection does, a session is not raised before it has kept up
// for its hold, and always after a quiet time.
func TestLagModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l lag
		now := time.Now()
		bad := now // when it last did not keep up
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(t, "pause")) * ms)
			was := l.low
			switch rapid.SampledFrom([]string{"gap", "short", "whole", "whole", ""}).Draw(t, "what") {
			case "gap":
				l.gap(now)
				bad = now
			case "short":
				l.short(now)
			case "whole":
				l.whole(now)
			}
			if l.late(now) {
				bad = now
			}
			look(&l, now)
			if was && !l.low && now.Sub(bad) < holdLeast-lagAtOnce {
				t.Fatalf("raised %v after it did not keep up", now.Sub(bad))
			}
		}
		l.whole(now)
		now = now.Add(holdMost)
		look(&l, now)
		if l.low {
			t.Fatal("low after a minute of keeping up")
		}
	})
}
