package replay

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func seconds(at ...float64) (items []Item) {
	for _, s := range at {
		items = append(items, Item{At: time.Duration(s * float64(time.Second)), Mode: ModeScroll, Text: "x"})
	}
	return items
}

func TestPlayKeepsTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		slow := func(Item) {
			at = append(at, time.Since(start))
			<-time.After(1500 * time.Millisecond)
		}
		if err := Play(t.Context(), seconds(0, 2, 4, 10), start, 2, slow); err != nil {
			t.Fatal(err)
		}
		// The second and third are late; the fourth is on time again.
		want := []time.Duration{0, 1500 * time.Millisecond, 3 * time.Second, 5 * time.Second}
		for i := range want {
			if at[i] != want[i] {
				t.Errorf("item %d came at %v, want %v", i, at[i], want[i])
			}
		}
	})
}

func TestPlayInALoopDoesNotDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items, start := seconds(1, 3), time.Now()
		var last time.Time
		for range 1000 {
			if err := Play(t.Context(), items, start, 1, func(Item) { last = time.Now() }); err != nil {
				t.Fatal(err)
			}
			start = start.Add(Length(items, 1))
		}
		if want := start.Add(-time.Second); !last.Equal(want) {
			t.Errorf("the last item came %v off", last.Sub(want))
		}
	})
}

func TestPlayStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reason := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(1500*time.Millisecond, func() { cancel(reason) })
		n := 0
		err := Play(ctx, seconds(0, 1, 2, 3), time.Now(), 1, func(Item) { n++ })
		if n != 2 || !errors.Is(err, reason) {
			t.Errorf("played %d items and returned %v, want 2 and the cause", n, err)
		}
		// Late items do not slip through either.
		err = Play(ctx, seconds(0), time.Now().Add(-time.Hour), 1, func(Item) { n++ })
		if n != 2 || !errors.Is(err, reason) {
			t.Errorf("after the end: played %d items and returned %v", n, err)
		}
	})
}

func TestPlayRefusesOddSpeeds(t *testing.T) {
	for _, speed := range []float64{0, -1, math.NaN(), math.Inf(1), 1e9, 1e-9} {
		err := Play(t.Context(), seconds(0), time.Now(), speed, func(Item) { t.Errorf("speed %v played", speed) })
		if err == nil {
			t.Errorf("speed %v: no error", speed)
		}
	}
}
