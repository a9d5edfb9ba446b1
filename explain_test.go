package im_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
	"github.com/liveim/im/imtest"
)

func hindered(list []im.Hindrance) string {
	var all []string
	for _, h := range list {
		all = append(all, h.Code)
	}
	return strings.Join(all, " ")
}

func explained(t *testing.T, hub *imtest.Hub, user string) im.Explanation {
	t.Helper()
	x, err := hub.Explain(t.Context(), user, "42")
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// What stands in a user's way is named: whatever it is, and only as long as it does.
func TestExplain(t *testing.T) {
	one := im.Limits{User: map[im.Kind]im.Limit{im.Chat: {N: 1, Per: 5 * time.Second}}}
	bubble(t, &im.Options{Limits: one, Flow: im.Flow{Budget: 1, Reserve: -1}}, func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		expect := func(user, sees, sends string) im.Explanation {
			t.Helper()
			x := explained(t, hub, user)
			if hindered(x.Sees) != sees || hindered(x.Sends) != sends {
				t.Errorf("%s is explained by %q and %q, want %q and %q", user, hindered(x.Sees), hindered(x.Sends), sees, sends)
			}
			return x
		}
		expect("nobody", "not_here", "")
		ann := hub.Connect(user("ann"))
		expect("ann", "not_joined", "")
		ann.Join("42", nil)
		if x := expect("ann", "", ""); len(x.Sessions) != 1 || !x.Sessions[0].Joined || x.Sessions[0].Tier != "full" {
			t.Errorf("her session is reported as %+v", x.Sessions)
		}
		if err := ann.SetTier("42", "critical"); err != nil {
			t.Fatal(err)
		}
		expect("ann", "tier", "")

		for range 2 {
			_, _ = ann.Send(im.Chat, "hi")
		}
		x := expect("ann", "tier", "rate_limited")
		if wait := time.Until(x.Sends[0].Until); wait <= 0 || wait > 5*time.Second {
			t.Errorf("she may send again in %v", wait)
		}
		if f := x.Fates; len(f) != 1 || f[0].Code != im.CodeRateLimited || f[0].Kind != im.Chat || f[0].Retry <= 0 {
			t.Errorf("her sends came to %+v", f)
		}
		<-time.After(5 * time.Second)
		expect("ann", "tier", "")

		if _, err := room.SetModes(t.Context(), im.Modes{Shield: true, EmojiOnly: true, Slow: time.Second}); err != nil {
			t.Fatal(err)
		}
		expect("ann", "tier", "room_mode room_mode room_mode")
		hub.Join("42", user("mod", "moderator"))
		expect("mod", "", "")
		if err := room.Close(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		expect("ann", "not_joined room_closed", "room_closed room_mode room_mode room_mode")
	})
}

// The fate of danmaku that a crowded room left out is remembered, the newest first, and not for ever more.
func TestExplainRemembersFates(t *testing.T) {
	bubble(t, &im.Options{Flow: im.Flow{Budget: 1, Reserve: -1}, Limits: unlimited}, func(t *testing.T, hub *imtest.Hub) {
		v := hub.Join("42", user("ann"))
		sends := make([]string, 20)
		for i := range sends {
			sends[i] = fmt.Sprintf(`{"op":"send","id":%d,"room":"42","kind":"danmaku","body":"%d"}`, i+1, i)
		}
		if err := v.Raw("[" + strings.Join(sends, ",") + "]"); err != nil {
			t.Fatal(err)
		}
		for ok := true; ok; {
			_, ok = v.TryNext(2 * time.Second)
		}
		x := explained(t, hub, "ann")
		if len(x.Fates) != 8 {
			t.Fatalf("%d fates are remembered", len(x.Fates))
		}
		for _, f := range x.Fates {
			if f.Status != im.StatusShed || f.Reason == "" || f.Kind != im.Danmaku {
				t.Errorf("a danmaku came to %+v", f)
			}
		}
		if !slices.IsSortedFunc(x.Fates, func(a, b im.FateReport) int { return b.At.Compare(a.At) }) {
			t.Error("the newest is not the first")
		}
	})
}

// The staff asks over the wire; packages add what they know.
func TestExplainOverTheWire(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		hub.OnExplain(func(_ context.Context, u im.User, room string) (sees, sends []im.Hindrance) {
			return nil, []im.Hindrance{{Code: "muted", Reason: u.ID + " is muted in " + room}}
		})
		mod := hub.Join("42", user("mod", "moderator"))
		ask := func(v *imtest.Viewer, body string) (string, error) {
			raw, err := v.Call("explain", "42", json.RawMessage(body))
			return string(raw), err
		}
		got, err := ask(mod, `{"user":"ann"}`)
		if err != nil || !strings.Contains(got, `"sends":[{"code":"muted","reason":"ann is muted in 42"}]`) {
			t.Errorf("the staff is told %s (%v)", got, err)
		}
		if _, err := ask(mod, `{}`); code(err) != im.CodeBadRequest {
			t.Errorf("no user: %v", err)
		}
		if _, err := ask(hub.Join("42", user("ann")), `{"user":"ann"}`); code(err) != im.CodeForbidden {
			t.Errorf("somebody else: %v", err)
		}
	})
}

// The Go client asks as well, and gets all of the answer back.
func TestExplainByClient(t *testing.T) {
	_, url := serve(t, func(r *http.Request) (im.User, error) {
		return im.User{ID: "mod", Roles: []string{"moderator"}}, nil
	}, nil, nil, nil)
	c, err := client.Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := c.Join(t.Context(), "42", &client.JoinOptions{NoUpdates: true})
	if err != nil {
		t.Fatal(err)
	}
	x, err := r.Explain(t.Context(), "mod")
	if err != nil || x.User != "mod" || len(x.Sees) != 0 || len(x.Sessions) != 1 || !x.Sessions[0].Joined {
		t.Errorf("she is told %+v (%v)", x, err)
	}
	if x, err = r.Explain(t.Context(), "bob"); err != nil || hindered(x.Sees) != "not_here" {
		t.Errorf("she is told %+v (%v)", x, err)
	}
}
