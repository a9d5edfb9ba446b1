package ws

import (
	"errors"
	"testing"
	"time"
)

func TestLimitsDefaults(t *testing.T) {
	for name, l := range map[string]*Limits{
		"nil": nil, "zero": {}, "negative": {MaxMessage: -1, MaxFrames: -1, MaxAssembly: -1, ControlBurst: -1, ControlPerSecond: -1},
	} {
		got := Limits{l.maxMessage(), l.maxFrames(), l.maxAssembly(), l.controlBurst(), l.controlPerSecond()}
		if want := (Limits{64 << 10, 1024, 10 * time.Second, 20, 10}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestControlRate(t *testing.T) {
	l := &Limits{ControlBurst: 3, ControlPerSecond: 2}
	var bucket time.Duration
	now := time.Hour
	for _, step := range []struct {
		after time.Duration
		want  bool
	}{
		{0, true}, {0, true}, {0, true}, {0, false}, // the burst
		{499 * time.Millisecond, false}, {time.Millisecond, true}, {0, false}, // one token after half a second
		{time.Hour, true}, {0, true}, {0, true}, {0, false}, // a long pause gives no more than the burst
	} {
		now += step.after
		if got := l.allowControl(&bucket, now); got != step.want {
			t.Errorf("at %v: allowed %t, want %t", now, got, step.want)
		}
	}
}

// TestPingFlood floods a parser with pings: the default limits end it at once,
// and within 5 s at only three times the allowed rate.
func TestPingFlood(t *testing.T) {
	for _, perSecond := range []int{30, 100, 10000} {
		p := NewParser(ServerRole, nil, false)
		var err error
		sent := 0
		for now := t0; err == nil && sent < 10000; sent++ {
			now = now.Add(time.Second / time.Duration(perSecond))
			err = p.Feed(now, stream{}.ping(""), &nopHandler{})
		}
		var ce *CloseError
		if !errors.As(err, &ce) || ce.Code != ClosePolicyViolation || sent > 5*perSecond && sent > 21 {
			t.Errorf("%d pings a second ended with %v after %d", perSecond, err, sent)
		}
	}
}
