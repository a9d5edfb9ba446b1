package im_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// F10: the wall clock jumps while a room is over its budget. Nothing but the times of
// events and the end of modes follows it: sessions stay, what waits is decided within a second,
// the budget holds, and what a limit says stays true.
func TestF10FlowControl(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 10 * 365 * 24 * time.Hour, -10 * 365 * 24 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			var offset atomic.Int64
			now := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
			limits := noLimits
			limits.User = map[im.Kind]im.Limit{im.Danmaku: im.Unlimited, im.Chat: {N: 1, Per: 4 * time.Second}}
			bubble(t, &im.Options{Limits: limits, Now: now, Flow: im.Flow{Budget: 10, Reserve: -1}}, func(t *testing.T, hub *imtest.Hub) {
				viewer, flood := hub.Join("42", user("viewer")), hub.Join("42", user("flood"))
				pipeline(t, flood, "42", 0, distinct("before", 15)...)
				if _, err := viewer.Send(im.Chat, "hello"); err != nil {
					t.Fatal(err)
				}
				_, err := viewer.Send(im.Chat, "too fast")
				if code(err) != im.CodeRateLimited {
					t.Fatalf("got %v", err)
				}
				if _, err := hub.Room("42").SetModes(t.Context(), im.Modes{Budget: 10, Until: now().Add(30 * time.Minute)}); err != nil {
					t.Fatal(err)
				}
				offset.Store(int64(jump))
				begin := time.Now()
				pipeline(t, flood, "42", 100, distinct("after", 15)...)
				for range 30 {
					if u := answerTo(t, flood); u.Op == "error" {
						t.Fatalf("got %+v", u)
					}
				}
				if d := time.Since(begin); d > 1100*time.Millisecond {
					t.Errorf("the last answer took %v", d)
				}
				<-time.After(4 * time.Second)
				if _, err := viewer.Send(im.Chat, "in time"); err != nil {
					t.Errorf("after the time that the limit said: %v", err)
				}
				modes, _, err := hub.Room("42").Modes(t.Context())
				if err != nil || (modes.Budget == 0) != (jump > 0) {
					t.Errorf("the modes are %+v, %v", modes, err)
				}
				events := ofKind(shown(viewer), im.Danmaku)
				for i := range events {
					if i > 0 && events[i].Pos.Seq <= events[i-1].Pos.Seq {
						t.Errorf("event %d stands before the one before it", i)
					}
				}
				if s := hub.Stats(); s.Sessions != 2 || len(events) > 20 || len(events) < 10 {
					t.Errorf("%d sessions are left, %d danmaku were shown", s.Sessions, len(events))
				}
			})
		})
	}
}
