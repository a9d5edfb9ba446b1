package imtest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What a host's own test of its rules looks like.
func TestMembersOnlyRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		membersOnly := func(_ context.Context, s *im.Session, room string) error {
			if u := s.User(); room == "club" && !u.HasRole("member") {
				return &im.Error{Code: im.CodeForbidden, Reason: "members only"}
			}
			return nil
		}
		hub := imtest.NewHub(t, &im.Options{Admit: membersOnly})
		member := hub.Join("club", im.User{ID: "ann", Roles: []string{"member"}})
		stranger := hub.Connect(im.User{ID: "bob"})
		if _, err := stranger.TryJoin("club", nil); !errors.Is(err, &im.Error{Code: im.CodeForbidden}) {
			t.Fatalf("a stranger joined: %v", err)
		}
		if r, err := member.Send(im.Chat, "hello"); err != nil || r.Status != im.StatusOK {
			t.Fatalf("%+v, %v", r, err)
		}
		if ev := member.Event(); string(ev.Body) != `"hello"` {
			t.Fatalf("got %s", ev.Body)
		}
		if u, ok := stranger.TryNext(time.Minute); ok {
			t.Fatalf("the stranger got %+v", u)
		}
	})
}

func TestCrowdSeesTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := imtest.NewHub(t, nil)
		crowd := hub.Crowd("42", 100)
		if _, err := hub.Room("42").Send(t.Context(), im.Notice, 1); err != nil {
			t.Fatal(err)
		}
		for _, v := range crowd {
			if e := v.Event(); e.Kind != im.Notice {
				t.Fatalf("got %s", e.Kind)
			}
		}
		if n := hub.Room("42").Len(); n != 100 {
			t.Fatalf("%d in the room", n)
		}
	})
}

func TestSlowViewerIsToldOfTheGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := imtest.NewHub(t, nil)
		slow := hub.ConnectSlow(im.User{ID: "slow"}, 256)
		slow.Join("42", nil)
		for i := range 50 {
			if _, err := hub.Room("42").Send(t.Context(), im.Danmaku, i); err != nil {
				t.Fatal(err)
			}
			<-time.After(100 * time.Millisecond)
		}
		got, missed := 0, 0
		for {
			u, ok := slow.TryNext(10 * time.Second) // until the hub finds that it keeps up again
			if !ok {
				break
			}
			switch u.Op {
			case "event":
				got++
			case "gap":
				missed += u.Missed
			}
		}
		if missed == 0 || got+missed != 50 {
			t.Fatalf("%d danmaku arrived and %d were missed, of 50", got, missed)
		}
	})
}
