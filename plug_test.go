package im_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// Packages plug in after the host: its interceptors see a message first, all hooks must admit, all observers are told.
func TestPluggedInAfterTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		mark := func(name string) im.Middleware {
			return func(next im.SendFunc) im.SendFunc {
				return func(ctx context.Context, d *im.Draft) (im.Receipt, error) {
					order = append(order, name)
					return next(ctx, d)
				}
			}
		}
		joined := map[string]int{}
		note := func(name string) func(im.Signal) {
			return func(s im.Signal) {
				if s.Type == im.SignalJoined {
					joined[name]++
				}
			}
		}
		hub := imtest.NewHub(t, &im.Options{
			Intercept: []im.Middleware{mark("host")},
			Admit: func(_ context.Context, _ *im.Session, room string) error {
				if room == "closed by the host" {
					return &im.Error{Code: im.CodeForbidden}
				}
				return nil
			},
			Observe: note("host"),
		})
		hub.Use(mark("first"), mark("second"))
		hub.Use(mark("third"))
		hub.OnAdmit(func(_ context.Context, s *im.Session, room string) error {
			if room == "closed by a package" {
				return &im.Error{Code: im.CodeForbidden, Reason: "not you, " + s.User().Name}
			}
			return nil
		})
		hub.OnSignal(func(im.Signal) { panic("an observer that fails") })
		hub.OnSignal(note("package"))

		v := hub.Join("42", user("ann"))
		if _, err := v.Send(im.Chat, "hi"); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(order, " "); got != "host first second third" {
			t.Errorf("the interceptors ran as %s", got)
		}
		for _, room := range []string{"closed by the host", "closed by a package"} {
			if _, err := v.TryJoin(room, nil); code(err) != im.CodeForbidden {
				t.Errorf("the room %s: %v", room, err)
			}
		}
		if joined["host"] != 1 || joined["package"] != 1 {
			t.Errorf("the observers were told of %v", joined)
		}
		defer func() {
			if recover() == nil {
				t.Error("a hub that serves took an interceptor")
			}
		}()
		hub.Use(mark("late"))
	})
}

// Private keys are state that every node folds and no client sees.
func TestPrivateKeys(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		host := hub.Join("42", user("ann", "host"))
		set(t, room, "~ban/bob", "rude")
		set(t, room, "title", "news")
		if got := value(t, room, "~ban/bob"); got != `"rude"` {
			t.Errorf("the host reads %s", got)
		}
		if e := host.Event(); e.Kind != im.State || !strings.Contains(string(e.Body), "news") {
			t.Errorf("who was there first sees %s", e.Body)
		}
		if entry := hub.Connect(user("eve")).Join("42", nil); len(entry.State) != 1 || len(entry.Events) != 1 {
			t.Errorf("who joins sees %s and %d events", entry.State, len(entry.Events))
		}
		page, err := room.History(t.Context(), im.HistoryQuery{})
		if err != nil || len(page.Events) != 1 {
			t.Errorf("the history has %d events (%v)", len(page.Events), err)
		}
		if _, err := host.Set("42", "~ban/eve", 1, nil); code(err) != im.CodeForbidden {
			t.Errorf("a client changes a private key: %v", err)
		}
		if _, err := im.New(imtest.BearerUser, &im.Options{State: im.StatePolicy{Rules: []im.StateRule{{Prefix: "~ban/", Set: im.Everyone()}}}}); err == nil {
			t.Error("a rule for private keys was taken")
		}
	})
}
