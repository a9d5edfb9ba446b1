package im

import (
	"testing"
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
	var s slowed
	now := time.Unix(1000, 0)
	for range slowedBurst {
		if wait := s.take(now); wait != 0 {
			t.Fatalf("the burst ends early: %v", wait)
		}
	}
	for range 100 { // what is refused takes nothing
		if wait := s.take(now).Truncate(10 * time.Microsecond); wait != time.Second/slowedRate {
			t.Fatalf("wait %v", wait)
		}
	}
	now = now.Add(s.take(now))
	if wait := s.take(now); wait != 0 {
		t.Fatalf("after the time that it said: %v", wait)
	}
	if wait := s.take(now); wait == 0 {
		t.Fatal("one token became two")
	}
}
