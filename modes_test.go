package im_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

func setModes(t *testing.T, hub *imtest.Hub, m im.Modes) {
	t.Helper()
	if _, err := hub.Room("42").SetModes(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func TestModesDecideWhoMaySendWhat(t *testing.T) {
	const ok = im.Code("")
	ann, member, mod := user("ann"), user("cid", "member"), user("mod", "moderator")
	for _, c := range []struct {
		name  string
		modes im.Modes
		from  im.User
		kind  im.Kind
		body  any
		want  im.Code
	}{
		{"none", im.Modes{}, ann, im.Danmaku, "hi", ok},
		{"only: a stranger", im.Modes{Only: []string{"follower", "member"}}, ann, im.Danmaku, "hi", im.CodeRoomMode},
		{"only: chat as well", im.Modes{Only: []string{"member"}}, ann, im.Chat, "hi", im.CodeRoomMode},
		{"only: a member", im.Modes{Only: []string{"follower", "member"}}, member, im.Danmaku, "hi", ok},
		{"only: staff", im.Modes{Only: []string{"member"}}, mod, im.Danmaku, "hi", ok},
		{"only: likes go on", im.Modes{Only: []string{"member"}}, ann, im.Like, map[string]int{"n": 1}, ok},
		{"only: critical goes on", im.Modes{Only: []string{"member"}}, ann, "pledge", "hi", ok},
		{"emoji: text", im.Modes{EmojiOnly: true}, ann, im.Danmaku, "hi", im.CodeRoomMode},
		{"emoji: text in an object", im.Modes{EmojiOnly: true}, ann, im.Danmaku, map[string]string{"text": "hi 😂"}, im.CodeRoomMode},
		{"emoji: emoji", im.Modes{EmojiOnly: true}, ann, im.Danmaku, "😂 👍🏽", ok},
		{"emoji: in an object", im.Modes{EmojiOnly: true}, ann, im.Chat, map[string]any{"text": "🇨🇳", "color": 1}, ok},
		{"emoji: no text", im.Modes{EmojiOnly: true}, ann, im.Danmaku, 7, im.CodeRoomMode},
		{"emoji: staff", im.Modes{EmojiOnly: true}, mod, im.Danmaku, "please, emoji only", ok},
		{"shield: others", im.Modes{Shield: true, Allow: []string{"bob"}}, ann, im.Danmaku, "hi", im.CodeRoomMode},
		{"shield: by id", im.Modes{Shield: true, Allow: []string{"bob", "ann"}}, ann, im.Danmaku, "hi", ok},
		{"shield: by role", im.Modes{Shield: true, Allow: []string{"role:member"}}, member, im.Danmaku, "hi", ok},
		{"shield: a role is no id", im.Modes{Shield: true, Allow: []string{"member"}}, member, im.Danmaku, "hi", im.CodeRoomMode},
		{"shield: staff", im.Modes{Shield: true}, mod, im.Chat, "hi", ok},
		{"stopped: danmaku", im.Modes{Stopped: true}, ann, im.Danmaku, "hi", im.CodeRoomMode},
		{"stopped: likes", im.Modes{Stopped: true}, ann, im.Like, map[string]int{"n": 1}, im.CodeRoomMode},
		{"stopped: critical goes on", im.Modes{Stopped: true}, ann, "pledge", "hi", ok},
		{"stopped: staff", im.Modes{Stopped: true}, mod, im.Danmaku, "back soon", ok},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := &im.Options{Kinds: []im.KindSpec{{Kind: "pledge", Class: im.Critical, From: im.Everyone()}}}
			bubble(t, opts, func(t *testing.T, hub *imtest.Hub) {
				v := hub.Join("42", c.from)
				setModes(t, hub, c.modes)
				_, err := v.Send(c.kind, c.body)
				if code(err) != c.want {
					t.Fatalf("got %v, want %q", err, c.want)
				}
				var refusal *im.Error
				if errors.As(err, &refusal) && (refusal.Reason == "" || refusal.Reason == (&im.Error{Code: im.CodeRoomMode}).Reason) {
					t.Fatalf("the refusal does not name the mode: %v", err)
				}
				if _, err := hub.Room("42").Send(t.Context(), im.Danmaku, "the host may always", im.AsUser(c.from)); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func TestSlowModeTellsTheTruth(t *testing.T) {
	refuse := func(next im.SendFunc) im.SendFunc {
		return func(ctx context.Context, d *im.Draft) (im.Receipt, error) {
			if string(d.Body) == `"spam"` {
				return im.Receipt{}, &im.Error{Code: im.CodeForbidden}
			}
			return next(ctx, d)
		}
	}
	bubble(t, &im.Options{Intercept: []im.Middleware{refuse}}, func(t *testing.T, hub *imtest.Hub) {
		setModes(t, hub, im.Modes{Slow: 5 * time.Second})
		ann, again, bob := hub.Join("42", user("ann")), hub.Join("42", user("ann")), hub.Join("42", user("bob"))
		if _, err := ann.Send(im.Danmaku, "spam"); code(err) != im.CodeForbidden {
			t.Fatal(err)
		}
		first, err := ann.SendTo("42", im.Danmaku, "c-1", "one")
		if err != nil {
			t.Fatalf("what was refused has started the clock: %v", err)
		}
		pass(1200 * time.Millisecond)
		var slow *im.Error
		if _, err := again.Send(im.Chat, "two"); !errors.As(err, &slow) || slow.Code != im.CodeRateLimited || slow.RetryAfter != 3800*time.Millisecond {
			t.Fatalf("another device, another kind, too early: %v", err)
		}
		if retry, err := again.SendTo("42", im.Danmaku, "c-1", "one"); err != nil || retry != first {
			t.Fatalf("the retry of what was taken: %+v, %v", retry, err)
		}
		if _, err := bob.Send(im.Danmaku, "mine"); err != nil {
			t.Fatalf("another user: %v", err)
		}
		pass(slow.RetryAfter - time.Millisecond)
		if _, err := ann.Send(im.Danmaku, "two"); code(err) != im.CodeRateLimited {
			t.Fatalf("a millisecond early: %v", err)
		}
		pass(time.Millisecond)
		if _, err := ann.Send(im.Danmaku, "two"); err != nil {
			t.Fatalf("after the time that it was told: %v", err)
		}
		setModes(t, hub, im.Modes{})
		if _, err := ann.Send(im.Danmaku, "three"); err != nil {
			t.Fatalf("slow mode is off: %v", err)
		}
	})
}

func TestUniqueTexts(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		setModes(t, hub, im.Modes{Unique: 10 * time.Second})
		ann, bob := hub.Join("42", user("ann")), hub.Join("42", user("bob"))
		first, err := ann.SendTo("42", im.Danmaku, "c-1", "Hello 666")
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []any{"hello 666666!", map[string]string{"text": "ＨＥＬＬＯ　６６６"}} {
			if _, err := bob.Send(im.Chat, text); code(err) != im.CodeRoomMode {
				t.Fatalf("%v: %v", text, err)
			}
		}
		if retry, err := ann.SendTo("42", im.Danmaku, "c-1", "Hello 666"); err != nil || retry != first {
			t.Fatalf("the retry: %+v, %v", retry, err)
		}
		if _, err := bob.Send(im.Danmaku, "hello 667"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := bob.Send(im.Danmaku, map[string]int{"sticker": 7}); err != nil {
				t.Fatalf("a message without text: %v", err)
			}
		}
		pass(10 * time.Second)
		if _, err := bob.Send(im.Danmaku, "hello 666"); err != nil {
			t.Fatalf("after its time: %v", err)
		}
	})
}

// A text function that panics makes a text of nothing and no harm.
func TestOptionsText(t *testing.T) {
	text := func(_ im.Kind, body json.RawMessage) string {
		var b struct{ Say string }
		if json.Unmarshal(body, &b) != nil {
			panic("no object")
		}
		return b.Say
	}
	bubble(t, &im.Options{Text: text, Staff: im.Senders{"owner"}}, func(t *testing.T, hub *imtest.Hub) {
		setModes(t, hub, im.Modes{EmojiOnly: true})
		v := hub.Join("42", user("ann", "host"))
		for body, want := range map[string]im.Code{`{"say":"😂"}`: "", `{"say":"hi"}`: im.CodeRoomMode, `"x"`: im.CodeRoomMode} {
			if _, err := v.Send(im.Danmaku, json.RawMessage(body)); code(err) != want {
				t.Errorf("%s: %v", body, err)
			}
		}
		if _, err := hub.Join("42", user("boss", "owner")).Send(im.Danmaku, "x"); err != nil {
			t.Errorf("staff by Options.Staff: %v", err)
		}
	})
}

func TestModesAreStateAndReadable(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		v := hub.Join("42", user("ann"))
		want := im.Modes{Slow: 1500 * time.Microsecond, Only: []string{"member"}, Unique: time.Second, Shield: true, Allow: []string{"bob"}, Budget: 30}
		version, err := room.SetModes(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		if e := v.Event(); string(e.Body) != `{"key":"im.modes","value":{"slow_ms":2,"only":["member"],"unique_ms":1000,"shield":true,"allow":["bob"],"budget":30}}` {
			t.Fatalf("viewers are told %s", e.Body)
		}
		got, v2, err := room.Modes(t.Context())
		want.Slow = 2 * time.Millisecond
		if err != nil || v2 != version || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%+v, version %d, %v; want %+v, %d", got, v2, err, want, version)
		}
		if e := hub.Connect(user("bob")).Join("42", nil); !strings.Contains(string(e.State["im.modes"]), `"slow_ms":2`) {
			t.Fatalf("who joins is told %s", e.State["im.modes"])
		}
		if _, err := room.SetModes(t.Context(), im.Modes{}, im.IfVersion(version+1)); !errors.Is(err, im.ErrConflict) {
			t.Fatalf("a wrong version: %v", err)
		}
		if v, err := room.SetModes(t.Context(), im.Modes{}, im.IfVersion(version)); err != nil || v != 0 {
			t.Fatal(v, err)
		}
		if got, _, err := room.Modes(t.Context()); err != nil || fmt.Sprint(got) != fmt.Sprint(im.Modes{}) {
			t.Fatalf("%+v, %v", got, err)
		}
		if _, err := room.Set(t.Context(), "im.modes", 1); code(err) != im.CodeBadRequest {
			t.Fatalf("a reserved key by its name: %v", err)
		}
		if err := room.Delete(t.Context(), "im.modes"); code(err) != im.CodeBadRequest {
			t.Fatalf("a reserved key by its name: %v", err)
		}
	})
}

func TestModesOutOfBounds(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		for _, m := range []im.Modes{
			{Slow: -1}, {Slow: 2 * time.Hour}, {Unique: 11 * time.Minute}, {Delay: 61 * time.Second}, {Only: make([]string, 21)}, {Only: []string{""}},
			{Shield: true, Allow: []string{"role:"}}, {Budget: -1}, {Budget: 10_001}, {Stopped: true, Until: time.Now().Add(-time.Second)},
		} {
			if _, err := hub.Room("42").SetModes(t.Context(), m); code(err) != im.CodeBadRequest {
				t.Errorf("%+v: %v", m, err)
			}
		}
	})
}

func TestModesSetByClients(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		mod, ann := hub.Join("42", user("mod", "moderator")), hub.Join("42", user("ann"))
		if _, err := ann.Call("modes.set", "42", map[string]any{"shield": true}); code(err) != im.CodeForbidden {
			t.Fatalf("a viewer sets modes: %v", err)
		}
		for _, body := range []string{`{"slow":5}`, `{"slow_ms":-1}`, `{"slow_ms":3600001}`, `{"until":1}`, `{"shield":1}`, `null`, `[]`, `"x"`, `{"if":-1}`} {
			if body == `{"until":1}` {
				body = `{"until":1,"stopped":true}`
			}
			if _, err := mod.Call("modes.set", "42", json.RawMessage(body)); code(err) != im.CodeBadRequest {
				t.Errorf("%s: %v", body, err)
			}
		}
		pass(12 * time.Second) // for the limit
		body, err := mod.Call("modes.set", "42", map[string]any{"shield": true, "if": 0})
		if err != nil || string(body) != `{"version":1}` {
			t.Fatalf("%s, %v", body, err)
		}
		if _, err := mod.Call("modes.set", "42", map[string]any{"if": 0}); code(err) != im.CodeConflict {
			t.Fatalf("a wrong version: %v", err)
		}
		if _, err := ann.Send(im.Danmaku, "hi"); code(err) != im.CodeRoomMode {
			t.Fatal(err)
		}
		if _, err := mod.Call("modes.set", "42", map[string]any{}); err != nil {
			t.Fatal(err)
		}
		if _, err := ann.Send(im.Danmaku, "hi"); err != nil {
			t.Fatal(err)
		}
		if _, err := mod.Set("42", "im.modes", 1, nil); code(err) != im.CodeBadRequest {
			t.Fatalf("state.set of the key: %v", err)
		}
	})
}

// Modes end by the wall clock of Options.Now, and one event says so.
func TestModesEndByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead time.Duration
		log, err := im.NewMemoryLog(nil)
		if err != nil {
			t.Fatal(err)
		}
		opts := &im.Options{Log: log, Now: func() time.Time { return time.Now().Add(ahead) }, Secret: make([]byte, 16)}
		hub, other := imtest.NewHub(t, opts), imtest.NewHub(t, opts) // two nodes of a cluster
		ann, bob := hub.Join("42", user("ann")), other.Join("42", user("bob"))
		setModes(t, hub, im.Modes{Stopped: true, Until: opts.Now().Add(20 * time.Second)})
		synctest.Wait()
		for _, v := range []*imtest.Viewer{ann, bob} {
			if e := v.Event(); !strings.Contains(string(e.Body), `"until":`) {
				t.Fatalf("%s", e.Body)
			}
			if _, err := v.Send(im.Danmaku, "hi"); code(err) != im.CodeRoomMode {
				t.Fatal(err)
			}
		}
		ahead = 20 * time.Second // somebody sets the clock
		if _, err := ann.Send(im.Danmaku, "at once"); err != nil {
			t.Fatalf("the time is up: %v", err)
		}
		if m, _, err := hub.Room("42").Modes(t.Context()); err != nil || m.Stopped {
			t.Fatalf("%+v, %v", m, err)
		}
		pass(21 * time.Second)
		for _, v := range []*imtest.Viewer{ann, bob} {
			if e := v.Event(); e.Kind != im.Danmaku {
				t.Fatalf("first %s", e.Kind)
			}
			if e := v.Event(); !strings.HasPrefix(string(e.Body), `{"key":"im.modes","delete":true,"if":`) || e.From.ID != "" {
				t.Fatalf("%+v", e)
			}
			if u, ok := v.TryNext(5 * time.Second); ok && u.Op == "event" {
				t.Fatalf("a second end: %+v", u)
			}
		}
	})
}

func TestModesEndInARoomThatIsOpenedAgain(t *testing.T) {
	opts := &im.Options{Timeouts: im.Timeouts{RoomIdle: time.Minute}}
	bubble(t, opts, func(t *testing.T, hub *imtest.Hub) {
		setModes(t, hub, im.Modes{Stopped: true, Until: time.Now().Add(time.Hour)})
		if err := hub.Room("42").Close(t.Context(), "a break"); err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Minute)
		for r := range hub.Rooms() {
			t.Fatalf("room %s is still in use", r.ID())
		}
		pass(time.Hour)
		if err := hub.Room("42").Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if v, _, err := hub.Room("42").State().Get(t.Context(), "im.modes"); err != nil || v != nil {
			t.Fatalf("the state still has %s (%v)", v, err)
		}
	})
}
