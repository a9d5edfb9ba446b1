package im_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// delayed runs a test in a room with a moderation delay of 5 s.
func delayed(t *testing.T, test func(t *testing.T, hub *imtest.Hub, ann, mod *imtest.Viewer)) {
	t.Helper()
	bubble(t, &im.Options{Limits: noLimits}, func(t *testing.T, hub *imtest.Hub) {
		setModes(t, hub, im.Modes{Delay: 5 * time.Second})
		test(t, hub, hub.Join("42", user("ann")), hub.Join("42", user("mod", "moderator")))
	})
}

// sendHeld sends a message that must be held, and returns what the moderator sees of it.
func sendHeld(t *testing.T, from, mod *imtest.Viewer, body string) imtest.Update {
	t.Helper()
	if r, err := from.SendTo("42", im.Danmaku, "c-"+body, body); err != nil || r.Status != im.StatusHeld {
		t.Fatalf("%+v, %v", r, err)
	}
	u := waitFor(mod, "held")
	if u.Status != "" || string(u.Event.Body) != fmt.Sprintf("%q", body) || u.Event.ID == "" || u.Event.Kind != im.Danmaku || u.Event.From.ID != from.Session.User().ID {
		t.Fatalf("the moderator sees %+v %+v", u, u.Event)
	}
	return u
}

func wantFate(t *testing.T, v *imtest.Viewer, cid string, status im.Status, why im.Code) {
	t.Helper()
	if u := waitFor(v, "fate"); u.CID != cid || u.Status != status || u.Code != why {
		t.Fatalf("got %+v, want %s %s %s", u, cid, status, why)
	}
}

func TestDelayShowsWhatNobodyDropped(t *testing.T) {
	delayed(t, func(t *testing.T, hub *imtest.Hub, ann, mod *imtest.Viewer) {
		start, phone := time.Now(), hub.Join("42", user("ann"))
		u := sendHeld(t, ann, mod, "hi")
		if u.Wait != 5*time.Second {
			t.Fatalf("it waits %v", u.Wait)
		}
		if list := hub.Room("42").Held(); len(list) != 1 || list[0].Event.ID != u.Event.ID {
			t.Fatalf("%+v", list)
		}
		if r, err := mod.Send(im.Danmaku, "staff does not wait"); err != nil || r.Status != im.StatusOK {
			t.Fatalf("%+v, %v", r, err)
		}
		if e := ann.Event(); e.From.ID != "mod" {
			t.Fatalf("%+v", e)
		}
		retry, err := ann.SendTo("42", im.Danmaku, "c-hi", "hi")
		if err != nil || retry.Status != im.StatusHeld {
			t.Fatalf("the retry while it waits: %+v, %v", retry, err)
		}
		if _, err := ann.SendTo("42", im.Danmaku, "c-hi", "other"); code(err) != im.CodeConflict {
			t.Fatalf("other content under the same cid: %v", err)
		}
		if e := ann.Event(); e.ID != u.Event.ID || time.Since(start) != 5*time.Second {
			t.Fatalf("%+v after %v", e, time.Since(start))
		}
		wantFate(t, phone, "c-hi", im.StatusOK, "")
		if end := waitFor(mod, "held"); end.Event.ID != u.Event.ID || end.Status != im.StatusOK {
			t.Fatalf("%+v", end)
		}
		if again, err := ann.SendTo("42", im.Danmaku, "c-hi", "hi"); err != nil || again.Status != im.StatusOK || again.Event != u.Event.ID {
			t.Fatalf("the retry afterwards: %+v, %v", again, err)
		}
	})
}

func TestDelayDrop(t *testing.T) {
	delayed(t, func(t *testing.T, hub *imtest.Hub, ann, mod *imtest.Viewer) {
		u := sendHeld(t, ann, mod, "rude")
		if _, err := ann.Call("held.drop", "42", map[string]string{"event": u.Event.ID}); code(err) != im.CodeForbidden {
			t.Fatalf("a viewer decides: %v", err)
		}
		if _, err := mod.Call("held.drop", "42", map[string]string{"event": "nothing"}); code(err) != im.CodeNotFound {
			t.Fatal(err)
		}
		if _, err := mod.Call("held.drop", "42", "x"); code(err) != im.CodeBadRequest {
			t.Fatal(err)
		}
		for range 2 { // the second is a retry
			if _, err := mod.Call("held.drop", "42", map[string]string{"event": u.Event.ID, "reason": "be kind"}); err != nil {
				t.Fatal(err)
			}
		}
		if f := waitFor(ann, "fate"); f.CID != "c-rude" || f.Status != "refused" || f.Code != im.CodeForbidden || f.Reason != "be kind" {
			t.Fatalf("%+v", f)
		}
		if _, err := mod.Call("held.pass", "42", map[string]string{"event": u.Event.ID}); code(err) != im.CodeNotFound {
			t.Fatalf("passed after it was dropped: %v", err)
		}
		if _, err := ann.SendTo("42", im.Danmaku, "c-rude", "rude"); code(err) != im.CodeForbidden {
			t.Fatalf("a retry of what was dropped: %v", err)
		}
		pass(time.Minute)
		page, err := hub.Room("42").History(t.Context(), im.HistoryQuery{})
		if err != nil || len(page.Events) != 1 { // the modes
			t.Fatalf("%d events, %v", len(page.Events), err)
		}
	})
}

func TestDelayPassKeepsTheOrderOfASender(t *testing.T) {
	delayed(t, func(t *testing.T, hub *imtest.Hub, ann, mod *imtest.Viewer) {
		bob := hub.Join("42", user("bob"))
		one, two, his := sendHeld(t, ann, mod, "one"), sendHeld(t, ann, mod, "two"), sendHeld(t, bob, mod, "his")
		for _, u := range []imtest.Update{two, his} {
			if err := hub.Room("42").PassHeld(u.Event.ID); err != nil {
				t.Fatal(err)
			}
		}
		if e := mod.Event(); e.ID != his.Event.ID {
			t.Fatalf("first %s", e.Body)
		}
		if _, err := mod.Call("held.drop", "42", map[string]string{"event": one.Event.ID}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if e := mod.Event(); e.ID != two.Event.ID || time.Since(start) > time.Second {
			t.Fatalf("then %s after %v", e.Body, time.Since(start))
		}
		if err := hub.Room("42").PassHeld(two.Event.ID); err != nil {
			t.Fatalf("the retry of a pass: %v", err)
		}
	})
}

// When the delay is lifted, nobody overtakes what he said before.
func TestDelayLiftedIsNotOvertaken(t *testing.T) {
	delayed(t, func(t *testing.T, hub *imtest.Hub, ann, mod *imtest.Viewer) {
		sendHeld(t, ann, mod, "one")
		setModes(t, hub, im.Modes{})
		if r, err := ann.Send(im.Danmaku, "two"); err != nil || r.Status != im.StatusHeld {
			t.Fatalf("%+v, %v", r, err)
		}
		if r, err := hub.Join("42", user("bob")).Send(im.Danmaku, "at once"); err != nil || r.Status != im.StatusOK {
			t.Fatalf("%+v, %v", r, err)
		}
		for _, want := range []string{`"at once"`, `"one"`, `"two"`} {
			e := ann.Event()
			for e.Kind != im.Danmaku {
				e = ann.Event()
			}
			if string(e.Body) != want {
				t.Fatalf("got %s, want %s", e.Body, want)
			}
		}
		if r, err := ann.Send(im.Danmaku, "three"); err != nil || r.Status != im.StatusOK {
			t.Fatalf("%+v, %v", r, err)
		}
	})
}

func TestDelayEndsWithTheRoom(t *testing.T) {
	for name, end := range map[string]func(ctx context.Context, r *im.Room) error{
		"stopped": func(ctx context.Context, r *im.Room) error {
			_, err := r.SetModes(ctx, im.Modes{Stopped: true, Delay: 5 * time.Second})
			return err
		},
		"closed": func(ctx context.Context, r *im.Room) error { return r.Close(ctx, "over") },
	} {
		t.Run(name, func(t *testing.T) {
			delayed(t, func(t *testing.T, hub *imtest.Hub, ann, mod *imtest.Viewer) {
				sendHeld(t, ann, mod, "hi")
				if err := end(t.Context(), hub.Room("42")); err != nil {
					t.Fatal(err)
				}
				want := map[string]im.Code{"stopped": im.CodeRoomMode, "closed": im.CodeRoomClosed}[name]
				wantFate(t, ann, "c-hi", "refused", want)
				if list := hub.Room("42").Held(); len(list) != 0 {
					t.Fatalf("%+v", list)
				}
			})
		})
	}
}

// What no moderator could look at is not shown because a server restarts.
func TestDelayAndShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, err := im.NewMemoryLog(nil)
		if err != nil {
			t.Fatal(err)
		}
		hub := imtest.NewHub(t, &im.Options{Log: log})
		setModes(t, hub, im.Modes{Delay: 5 * time.Second})
		ann, mod := hub.Join("42", user("ann")), hub.Join("42", user("mod", "moderator"))
		sendHeld(t, ann, mod, "hi")
		done := make(chan error)
		go func() { done <- hub.Shutdown(t.Context()) }()
		wantFate(t, ann, "c-hi", "refused", im.CodeShutdown)
		if u := waitFor(ann, "bye"); u.Code != im.CodeShutdown {
			t.Fatalf("%+v", u)
		}
		ann.Close()
		mod.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		page, err := log.Read(t.Context(), "42", im.Range{})
		if err != nil || len(page.Events) != 1 {
			t.Fatalf("%d events, %v", len(page.Events), err)
		}
	})
}

func TestDelayIsBounded(t *testing.T) {
	delayed(t, func(t *testing.T, hub *imtest.Hub, ann, mod *imtest.Viewer) {
		mod.Leave("42")
		for i := range 1000 {
			if r, err := ann.Send(im.Danmaku, i); err != nil || r.Status != im.StatusHeld {
				t.Fatalf("%d: %+v, %v", i, r, err)
			}
		}
		pass(2 * time.Second)
		_, err := ann.Send(im.Danmaku, "one too many")
		if e := asIm(err); e.Code != im.CodeOverloaded || e.RetryAfter != 3*time.Second {
			t.Fatal(err)
		}
		pass(asIm(err).RetryAfter)
		synctest.Wait()
		if _, err := ann.Send(im.Danmaku, "again"); err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			if n, err := im.Decode[int](ann.Event()); err != nil || n != i {
				t.Fatalf("event %d is %d (%v)", i, n, err)
			}
		}
	})
}

// A moderator who comes later, or becomes one, is shown what waits.
func TestStaffSeesWhatWaits(t *testing.T) {
	delayed(t, func(t *testing.T, hub *imtest.Hub, ann, mod *imtest.Viewer) {
		u := sendHeld(t, ann, mod, "hi")
		pass(2 * time.Second)
		late := hub.Join("42", user("late", "host"))
		if seen := waitFor(late, "held"); seen.Event.ID != u.Event.ID || seen.Wait != 3*time.Second {
			t.Fatalf("%+v", seen)
		}
		mod.Leave("42")
		if err := hub.Room("42").DropHeld(u.Event.ID, ""); err != nil {
			t.Fatal(err)
		}
		if seen := waitFor(late, "held"); seen.Event.ID != u.Event.ID || seen.Status != "refused" {
			t.Fatalf("%+v", seen)
		}
		for _, v := range []*imtest.Viewer{mod, ann} {
			for {
				seen, ok := v.TryNext(time.Second)
				if !ok {
					break
				}
				if seen.Op == "held" {
					t.Fatalf("%s, who is not staff in the room, is shown %+v", v.Session.User().ID, seen)
				}
			}
		}
	})
}

// The host's interceptors see a message before it waits, once.
func TestInterceptorsRunBeforeTheDelay(t *testing.T) {
	calls := 0
	count := func(next im.SendFunc) im.SendFunc {
		return func(ctx context.Context, d *im.Draft) (im.Receipt, error) {
			calls++
			d.Body = []byte(`"clean"`)
			return next(ctx, d)
		}
	}
	bubble(t, &im.Options{Intercept: []im.Middleware{count}}, func(t *testing.T, hub *imtest.Hub) {
		setModes(t, hub, im.Modes{Delay: time.Second})
		ann, mod := hub.Join("42", user("ann")), hub.Join("42", user("mod", "moderator"))
		if r, err := ann.Send(im.Chat, "dirty"); err != nil || r.Status != im.StatusHeld {
			t.Fatalf("%+v, %v", r, err)
		}
		if u := waitFor(mod, "held"); string(u.Event.Body) != `"clean"` {
			t.Fatalf("%s", u.Event.Body)
		}
		if e := ann.Event(); string(e.Body) != `"clean"` || calls != 1 {
			t.Fatalf("%s after %d calls", e.Body, calls)
		}
	})
}

func asIm(err error) *im.Error {
	e := &im.Error{}
	errors.As(err, &e)
	return e
}
