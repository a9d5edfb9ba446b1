package im_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// seats are rules by which everybody may take a seat.
func seats() im.StatePolicy {
	return im.StatePolicy{Rules: []im.StateRule{{Prefix: "seat.", Set: im.Everyone(), Delete: im.Everyone(), Owned: true}}}
}

// patient viewers need not read what the hub asks them.
func patient(log im.Log) *im.Options {
	return &im.Options{Log: log, State: seats(), Timeouts: im.Timeouts{Heartbeat: time.Hour}}
}

func sit(t *testing.T, v *imtest.Viewer, key string) {
	t.Helper()
	if _, err := v.Call("state.set", "42", map[string]any{"key": key, "value": v.Session.User().ID, "owner": true}); err != nil {
		t.Fatalf("sit down: %v", err)
	}
}

func TestSeatsVanishWithTheirOwner(t *testing.T) {
	bubble(t, patient(nil), func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		ann, again, bob := hub.Join("42", user("ann")), hub.Join("42", user("ann")), hub.Join("42", user("bob"))
		sit(t, ann, "seat.1")
		sit(t, bob, "seat.2")
		pass(time.Minute)
		ann.Leave("42")
		pass(time.Minute)
		if value(t, room, "seat.1") == "" {
			t.Fatal("the seat is gone, but its owner is there with another device")
		}
		again.Close()
		pass(4 * time.Second)
		ann.Join("42", nil) // a reconnect
		pass(time.Minute)
		if value(t, room, "seat.1") == "" {
			t.Fatal("the seat is gone though its owner came back in time")
		}
		ann.Leave("42")
		pass(4 * time.Second)
		if value(t, room, "seat.1") == "" {
			t.Fatal("the seat is gone too early")
		}
		pass(2 * time.Second)
		if value(t, room, "seat.1") != "" || value(t, room, "seat.2") == "" {
			t.Fatal("the seat of who has left is still there, or that of who has not is gone")
		}
		before, _ := room.Position(t.Context())
		pass(10 * time.Minute)
		if after, _ := room.Position(t.Context()); after != before {
			t.Fatalf("a room in which nothing happens went from %v to %v", before, after)
		}
	})
}

func TestAnOwnerMayBeOnAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := sharedLog(t)
		a, b := imtest.NewHub(t, patient(log)), imtest.NewHub(t, patient(log))
		here := func(when string, want bool) {
			t.Helper()
			for i, hub := range []*imtest.Hub{a, b} {
				if got := value(t, hub.Room("42"), "seat.1") != ""; got != want {
					t.Fatalf("%s: node %d has the seat: %v", when, i+1, got)
				}
			}
		}
		there := b.Join("42", user("ann"))
		ann := a.Join("42", user("ann"))
		sit(t, ann, "seat.1")
		ann.Leave("42")
		pass(5 * time.Minute)
		here("the owner is on the other node", true)
		if head, _ := a.Room("42").Position(t.Context()); head.Seq > 40 {
			t.Fatalf("five minutes took %d events", head.Seq)
		}
		there.Leave("42")
		pass(3 * time.Second)
		ann.Join("42", nil) // moves
		pass(5 * time.Minute)
		here("the owner has moved", true)
		ann.Leave("42")
		pass(7 * time.Second)
		here("the owner has left", false)
	})
}

func TestOwnersWhoDoNotComeBackAfterACrash(t *testing.T) {
	crash := func(t *testing.T, log im.Log) {
		t.Helper()
		hub := imtest.NewHub(t, patient(log))
		sit(t, hub.Join("42", user("ann")), "seat.1")
		sit(t, hub.Join("42", user("bob")), "seat.2")
		if err := hub.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log := sharedLog(t)
			crash(t, log)
			pass(time.Hour)
			hub := imtest.NewHub(t, patient(log))
			room := hub.Room("42")
			pass(time.Second)
			if value(t, room, "seat.1") == "" || value(t, room, "seat.2") == "" {
				t.Fatal("seats are gone at once")
			}
			pass(20 * time.Second)
			hub.Join("42", user("ann"))
			pass(time.Minute)
			if value(t, room, "seat.1") == "" {
				t.Fatal("the seat of an owner who came back is gone")
			}
			if value(t, room, "seat.2") != "" {
				t.Fatal("the seat of an owner who never came back is still there")
			}
		})
	})
	t.Run("others go on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log := sharedLog(t)
			hub := imtest.NewHub(t, patient(log))
			hub.Join("42", user("cat"))
			crash(t, log)
			pass(3 * time.Minute)
			if value(t, hub.Room("42"), "seat.1") != "" || value(t, hub.Room("42"), "seat.2") != "" {
				t.Fatal("seats of the node that crashed are still there")
			}
		})
	})
	t.Run("a restart in order", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log := sharedLog(t)
			hub := imtest.NewHub(t, patient(log))
			sit(t, hub.Join("42", user("ann")), "seat.1")
			if err := hub.Close(); err != nil {
				t.Fatal(err)
			}
			pass(20 * time.Second)
			next := imtest.NewHub(t, patient(log))
			if e := next.Connect(user("ann")).Join("42", nil); e.State["seat.1"] == nil {
				t.Fatal("the seat is gone after a restart")
			}
		})
	})
}

func TestStateRules(t *testing.T) {
	opts := &im.Options{
		State: im.StatePolicy{Rules: []im.StateRule{
			{Prefix: "seat.", Set: im.Everyone(), Delete: im.Everyone(), Owned: true},
			{Prefix: "vote.", Add: im.Everyone()},
			{Prefix: "vote.secret", Set: im.Senders{"teller"}},
		}},
		Limits: im.Limits{User: map[im.Kind]im.Limit{im.State: im.Unlimited}},
	}
	const ok, no, taken = im.Code(""), im.CodeForbidden, im.CodeConflict
	set := func(key string, more string) string { return fmt.Sprintf(`{"key":%q,"value":1%s}`, key, more) }
	bubble(t, opts, func(t *testing.T, hub *imtest.Hub) {
		viewers := map[string]*imtest.Viewer{}
		for _, u := range []im.User{user("ann"), user("bob"), user("tom", "teller"), user("mod", "moderator")} {
			viewers[u.ID] = hub.Join("42", u)
		}
		for i, c := range []struct {
			who, op, body string
			want          im.Code
		}{
			{"ann", "state.set", set("slide", ""), no},
			{"mod", "state.set", set("slide", ""), ok},
			{"ann", "state.set", `{"key":"slide","delete":true}`, no},
			{"ann", "state.set", set("seat.1", ""), no}, // would not be owned
			{"ann", "state.set", set("seat.1", `,"owner":true`), ok},
			{"bob", "state.set", set("seat.1", `,"owner":true`), taken},
			{"bob", "state.set", `{"key":"seat.1","delete":true}`, taken},
			{"ann", "state.set", set("seat.1", `,"owner":true,"ttl_ms":60000`), ok},
			{"ann", "state.add", `{"key":"seat.1","add":1,"owner":true}`, no},
			{"ann", "state.set", `{"key":"seat.1","delete":true}`, ok},
			{"bob", "state.set", set("seat.1", `,"owner":true`), ok},
			{"mod", "state.set", set("seat.2", ""), ok},
			{"bob", "state.set", set("seat.2", `,"owner":true`), taken}, // nobody's
			{"mod", "state.set", `{"key":"seat.1","delete":true}`, ok},  // staff may
			{"ann", "state.add", `{"key":"vote.a","add":1}`, ok},
			{"bob", "state.add", `{"key":"vote.a","add":1,"max":1}`, taken},
			{"ann", "state.set", set("vote.a", ""), no},
			{"tom", "state.set", set("vote.secret", ""), ok},
			{"tom", "state.set", set("vote.a", ""), no},
			{"ann", "modes.set", `{"stopped":true}`, no},
			{"mod", "state.set", set("im.modes", ""), im.CodeBadRequest},
			{"mod", "state.add", set("n", ""), im.CodeBadRequest},
			{"mod", "state.set", `{"key":"n","add":1}`, im.CodeBadRequest},
			{"mod", "state.add", `{"key":"n","add":1.5}`, im.CodeBadRequest},
			{"mod", "state.set", set("n", `,"ttl_ms":-1`), im.CodeBadRequest},
			{"mod", "state.set", `{"key":"n","delete":true,"owner":true}`, im.CodeBadRequest},
			{"mod", "state.set", `7`, im.CodeBadRequest},
		} {
			if _, err := viewers[c.who].Call(c.op, "42", json.RawMessage(c.body)); code(err) != c.want {
				t.Errorf("%d: %s %s %s: %v, want %q", i, c.who, c.op, c.body, err, c.want)
			}
		}
		body, err := viewers["ann"].Call("state.add", "42", json.RawMessage(`{"key":"vote.a","add":4}`))
		var r struct{ Value, Version uint64 }
		if err != nil || json.Unmarshal(body, &r) != nil || r.Value != 5 || r.Version == 0 {
			t.Errorf("state.add answers %s, %v", body, err)
		}
		for i := range 17 {
			_, err = viewers["bob"].Call("state.set", "42", json.RawMessage(set(fmt.Sprint("seat.more.", i), `,"owner":true`)))
		}
		if code(err) != taken || !strings.Contains(err.Error(), "16") {
			t.Errorf("the 17th key of one user: %v", err)
		}
	})
}

func TestTwoWhoTakeASeatAtOnce(t *testing.T) {
	bubble(t, patient(nil), func(t *testing.T, hub *imtest.Hub) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		var got []string
		for i := range 10 {
			v := hub.Join("42", user(fmt.Sprint("user-", i)))
			wg.Go(func() {
				_, err := v.Call("state.set", "42", json.RawMessage(`{"key":"seat.1","value":1,"owner":true}`))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					got = append(got, v.Session.User().ID)
				} else if !errors.Is(err, im.ErrConflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(got) != 1 {
			t.Fatalf("%q have the seat", got)
		}
	})
}

func TestARetryOfAChangeThatExpiresIsNoConflict(t *testing.T) {
	bubble(t, patient(nil), func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		first := set(t, room, "poll", 1, im.WithTTL(time.Minute), im.SetID("once"))
		pass(time.Second)
		if again := set(t, room, "poll", 1, im.WithTTL(time.Minute), im.SetID("once")); again != first {
			t.Fatalf("the retry has version %d, the first %d", again, first)
		}
		if _, err := room.Set(t.Context(), "poll", 1, im.WithTTL(time.Hour), im.SetID("once")); !errors.Is(err, im.ErrConflict) {
			t.Fatalf("the same id with another time: %v", err)
		}
	})
}

func TestStatePolicyIsChecked(t *testing.T) {
	for _, p := range []im.StatePolicy{
		{OwnerGrace: time.Millisecond}, {OwnerGrace: time.Hour}, {Rules: []im.StateRule{{}}}, {Rules: []im.StateRule{{Prefix: "im.modes"}}},
		{Rules: []im.StateRule{{Prefix: "a\nb"}}},
	} {
		if _, err := im.New(imtest.BearerUser, &im.Options{State: p}); err == nil || !strings.Contains(err.Error(), "Options.State") {
			t.Errorf("%+v: %v", p, err)
		}
	}
}
