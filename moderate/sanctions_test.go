package moderate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/moderate"
)

func TestMuteEndsByItself(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub, mod *moderate.Moderation) {
		boss, bob := hub.Join("42", user("mod", "moderator")), hub.Join("42", user("bob"))
		var got struct{ Sanctions []moderate.Sanction }
		if err := call(t, boss, "mod.mute", `{"user":"bob","ms":3000,"reason":"shouting"}`, &got); err != nil || len(got.Sanctions) != 1 {
			t.Fatalf("%v, %+v", err, got)
		}
		_, err := bob.Send(im.Chat, "hi")
		e := err.(*im.Error)
		if e.Code != "muted" || !strings.Contains(e.Reason, "shouting") || e.RetryAfter <= 0 || e.RetryAfter > 3*time.Second {
			t.Errorf("he is told %v, to come back after %v", e, e.RetryAfter)
		}
		if list, err := mod.Sanctions(t.Context(), "42"); err != nil || len(list) != 1 || list[0].By != "mod" {
			t.Errorf("in force are %+v (%v)", list, err)
		}
		x, err := hub.Explain(t.Context(), "bob", "42")
		if err != nil || len(x.Sends) == 0 || x.Sends[0].Code != "muted" || x.Sends[0].Until.IsZero() {
			t.Errorf("it is explained by %+v (%v)", x.Sends, err)
		}
		<-time.After(3 * time.Second)
		if _, err := bob.Send(im.Chat, "hi"); err != nil {
			t.Errorf("after its end: %v", err)
		}
		<-time.After(2 * time.Second) // the key is gone by then as well
		if list, err := mod.Sanctions(t.Context(), "42"); err != nil || len(list) != 0 {
			t.Errorf("in force are %+v (%v)", list, err)
		}
	})
}

func TestSanctionsReplaceAndLift(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub, mod *moderate.Moderation) {
		bob := hub.Join("42", user("bob"))
		target := moderate.Target{User: "bob"}
		for _, d := range []time.Duration{time.Hour, 0, time.Second} { // the last counts
			if _, err := mod.Impose(t.Context(), "42", moderate.Mute, target, d, "", ""); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := mod.Impose(t.Context(), "42", moderate.Shadow, target, time.Hour, "", ""); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		list, err := mod.Sanctions(t.Context(), "42")
		if err != nil || len(list) != 1 || list[0].Sort != moderate.Shadow {
			t.Fatalf("in force are %+v (%v)", list, err)
		}
		if err := mod.Lift(t.Context(), "42", moderate.Shadow, target, "", ""); err != nil {
			t.Fatal(err)
		}
		if err := mod.Lift(t.Context(), "42", moderate.Shadow, target, "", ""); err != nil {
			t.Errorf("lifting twice: %v", err)
		}
		if _, err := bob.Send(im.Chat, "hi"); err != nil {
			t.Error(err)
		}
		for _, bad := range []moderate.Target{{}, {User: "a", Device: "b"}, {User: strings.Repeat("x", 129)}} {
			if _, err := mod.Impose(t.Context(), "42", moderate.Mute, bad, 0, "", ""); code(err) != im.CodeBadRequest {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}

// A ban ends the stay within a second, keeps out of history as well, and leaves the other rooms alone, unless it is of all rooms.
func TestBan(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub, mod *moderate.Moderation) {
		boss := hub.Join("42", user("mod", "moderator"))
		bob := hub.Join("42", user("bob"))
		bob.Join("43", nil)
		must(t, boss, "mod.ban", `{"user":"bob","reason":"spam"}`)
		if left := next(t, bob, "left"); left.Room != "42" || left.Code != im.CodeKicked || !strings.Contains(left.Reason, "spam") {
			t.Errorf("he is told %+v", left)
		}
		if _, err := bob.TryJoin("42", nil); code(err) != "banned" {
			t.Errorf("he joins again: %v", err)
		}
		if err := bob.Raw(`{"op":"history","id":99,"room":"42"}`); err != nil {
			t.Fatal(err)
		}
		if _, err := bob.SendTo("43", im.Chat, "c-1", "hi"); err != nil {
			t.Errorf("in another room: %v", err)
		}
		x, err := hub.Explain(t.Context(), "bob", "42")
		if err != nil || len(x.Sees) == 0 || x.Sees[0].Code != "banned" {
			t.Errorf("it is explained by %+v (%v)", x.Sees, err)
		}
		must(t, boss, "mod.unban", `{"user":"bob"}`)
		if _, err := bob.TryJoin("42", nil); err != nil {
			t.Errorf("after the ban: %v", err)
		}
		if _, err := mod.Impose(t.Context(), "", moderate.Ban, moderate.Target{User: "bob"}, time.Hour, "", "everywhere"); err != nil {
			t.Fatal(err)
		}
		if bye := next(t, bob, "bye"); bye.Code != "banned" || !strings.Contains(bye.Reason, "all others") {
			t.Errorf("he is told %+v", bye)
		}
		if _, err := hub.Connect(user("bob")).TryJoin("44", nil); code(err) != "banned" {
			t.Errorf("he joins another room: %v", err)
		}
		if _, err := boss.TryJoin("@moderation", nil); code(err) != im.CodeForbidden {
			t.Errorf("somebody joins the room of the sanctions: %v", err)
		}
	})
}

// A second node that follows the same log applies what the first one has imposed, to sessions that it holds.
func TestBanReachesOtherNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, err := im.NewMemoryLog(nil)
		if err != nil {
			t.Fatal(err)
		}
		var hubs [2]*imtest.Hub
		var mods [2]*moderate.Moderation
		device := func(s *im.Session) string { return "device of " + s.User().ID }
		for i := range hubs {
			hubs[i] = imtest.NewHub(t, &im.Options{Log: log, Limits: fast, Secret: []byte("0123456789abcdef")})
			if mods[i], err = moderate.New(hubs[i].Hub, &moderate.Options{Device: device}); err != nil {
				t.Fatal(err)
			}
			defer mods[i].Close()
		}
		for n, room := range []string{"42", ""} {
			who := fmt.Sprint("bob", n)
			bob := hubs[1].Join("42", user(who))
			if _, err := mods[0].Impose(t.Context(), room, moderate.Ban, moderate.Target{Device: "device of " + who}, time.Hour, "", ""); err != nil {
				t.Fatal(err)
			}
			next(t, bob, map[string]string{"42": "left", "": "bye"}[room])
		}
	})
}

// Devices and addresses are banned whoever uses them; a user who changes the name does not come in again.
func TestBanOfADevice(t *testing.T) {
	device := func(s *im.Session) string { return strings.TrimRight(s.User().ID, "0123456789") }
	bubble(t, &moderate.Options{Device: device}, func(t *testing.T, hub *imtest.Hub, _ *moderate.Moderation) {
		boss := hub.Join("42", user("mod", "moderator"))
		bob := hub.Join("42", user("bob1"))
		must(t, boss, "mod.ban", `{"user":"bob1","by":"device"}`)
		next(t, bob, "left")
		if _, err := hub.Connect(user("bob2")).TryJoin("42", nil); code(err) != "banned" {
			t.Errorf("another user of the device joins: %v", err)
		}
		if _, err := hub.Connect(user("ann1")).TryJoin("42", nil); err != nil {
			t.Errorf("somebody else: %v", err)
		}
		if err := call(t, boss, "mod.ban", `{"user":"bob1","by":"address"}`, nil); code(err) != im.CodeNotFound {
			t.Errorf("a session without an address: %v", err)
		}
		if err := call(t, boss, "mod.ban", `{"device":"mod"}`, nil); code(err) != im.CodeForbidden {
			t.Errorf("a ban that would hit oneself: %v", err)
		}
	})
}

func TestPrefixes(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub, mod *moderate.Moderation) {
		boss := hub.Join("42", user("mod", "moderator"))
		for body, want := range map[string]im.Code{
			`{"prefix":"203.0.113.7"}`:              "",
			`{"prefix":"203.0.113.0/24"}`:           "",
			`{"prefix":"2001:db8::/48"}`:            "",
			`{"prefix":"2001:db8::1"}`:              "",
			`{"prefix":"0.0.0.0/0"}`:                im.CodeBadRequest,
			`{"prefix":"::/0"}`:                     im.CodeBadRequest,
			`{"prefix":"nonsense"}`:                 im.CodeBadRequest,
			`{"prefix":"1.2.3.4","user":"b"}`:       im.CodeBadRequest,
			`{}`:                                    im.CodeBadRequest,
			`{"user":"bob","misspelt":1}`:           im.CodeBadRequest,
			`{"user":"bob","ms":-1}`:                im.CodeBadRequest,
			`{"user":"bob","ms":99999999999999999}`: im.CodeBadRequest,
		} {
			if err := call(t, boss, "mod.mute", body, nil); code(err) != want {
				t.Errorf("%s: %v, want %q", body, err, want)
			}
		}
		list, err := mod.Sanctions(t.Context(), "42")
		var got []string
		for _, s := range list {
			got = append(got, s.Target.Prefix.String())
		}
		slices.Sort(got)
		if want := "[2001:db8::/48 2001:db8::/64 203.0.113.0/24 203.0.113.7/32]"; err != nil || fmt.Sprint(got) != want {
			t.Errorf("muted are %v, want %s (%v)", got, want, err)
		}
	})
}

// Who is shadow-muted is answered as ever; only others see nothing of it.
func TestShadowMute(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub, _ *moderate.Moderation) {
		boss, ann, bob := hub.Join("42", user("mod", "moderator")), hub.Join("42", user("ann")), hub.Join("42", user("bob"))
		must(t, boss, "mod.shadow", `{"user":"bob"}`)
		first, err := bob.SendTo("42", im.Chat, "c-1", "hi")
		again, err2 := bob.SendTo("42", im.Chat, "c-1", "hi")
		if err != nil || err2 != nil || first.Status != im.StatusOK || first.Event == "" || first != again {
			t.Errorf("he is told %+v (%v), and again %+v (%v)", first, err, again, err2)
		}
		if r, err := bob.Send(im.Like, map[string]int{"n": 3}); err != nil || r.Status != im.StatusMerged {
			t.Errorf("his likes are answered with %+v (%v)", r, err)
		}
		if got := texts(ann); len(got) != 0 {
			t.Errorf("the others see %v", got)
		}
		if x, err := hub.Explain(t.Context(), "bob", "42"); err != nil || len(x.Sends) != 1 || x.Sends[0].Code != "shadow" {
			t.Errorf("it is explained by %+v (%v)", x.Sends, err)
		}
	})
}

// Sanctions survive a restart of everything but the log, and are no part of what viewers are sent.
func TestSanctionsAreInTheLog(t *testing.T) {
	log, err := im.NewMemoryLog(nil)
	if err != nil {
		t.Fatal(err)
	}
	for life := range 2 {
		hub, err := im.New(imtest.BearerUser, &im.Options{Log: log, Secret: []byte("0123456789abcdef")})
		if err != nil {
			t.Fatal(err)
		}
		mod, err := moderate.New(hub, nil)
		if err != nil {
			t.Fatal(err)
		}
		if life == 0 {
			for _, room := range []string{"42", ""} {
				if _, err := mod.Impose(t.Context(), room, moderate.Ban, moderate.Target{User: "bob"}, 0, "", ""); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, room := range []string{"42", ""} {
			if list, err := mod.Sanctions(t.Context(), room); err != nil || len(list) != 1 {
				t.Errorf("in life %d, room %q has %+v (%v)", life, room, list, err)
			}
		}
		page, err := hub.Room("42").History(t.Context(), im.HistoryQuery{})
		if err != nil || len(page.Events) != 0 {
			t.Errorf("viewers can read %d events of it (%v)", len(page.Events), err)
		}
		mod.Close()
		if err := hub.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
