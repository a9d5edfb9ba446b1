package im

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestBudgetShare(t *testing.T) {
	h := &Hub{}
	for level, want := range map[BrownoutLevel]float64{BrownoutNone: 1, BrownoutNoJoins: 1, BrownoutHalved: 0.5, BrownoutRefusing: 0.5} {
		h.pressure.level.Store(uint32(level))
		if got := h.budgetShare(); got != want {
			t.Errorf("%v: %v, want %v", level, got, want)
		}
	}
}

func TestSlowedTellsTheTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slowed
		for range slowedBurst {
			if wait := s.take(); wait != 0 {
				t.Fatalf("the burst ends early: %v", wait)
			}
		}
		var wait time.Duration
		for range 100 { // what is refused takes nothing
			if wait = s.take(); wait.Round(time.Millisecond) != time.Second/slowedRate {
				t.Fatalf("wait %v", wait)
			}
		}
		<-time.After(wait)
		if wait := s.take(); wait != 0 {
			t.Fatalf("after the time that it said: %v", wait)
		}
		if wait := s.take(); wait == 0 {
			t.Fatal("one token became two")
		}
	})
}
