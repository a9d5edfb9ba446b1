package presence_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/presence"
)

func TestRosterRights(t *testing.T) {
	bubble(t, &presence.Options{Readers: im.Senders{"host"}}, func(t *testing.T, hub *imtest.Hub, p *presence.Presence) {
		ann, host := hub.Join("42", user("ann")), hub.Join("42", user("boss", "host"))
		for _, tt := range []struct {
			viewer *imtest.Viewer
			room   string
			body   string
			want   im.Code
		}{
			{ann, "42", `{}`, im.CodeForbidden},
			{host, "42", `{}`, ""},
			{host, "42", `{"after":0,"max":1,"unknown":true}`, ""},
			{host, "43", `{}`, im.CodeNotJoined},
			{host, "", `{}`, im.CodeBadRequest},
			{host, "42", `{"max":-1}`, im.CodeBadRequest},
			{host, "42", `[]`, im.CodeBadRequest},
		} {
			if _, err := tt.viewer.Call("presence.list", tt.room, json.RawMessage(tt.body)); code(err) != tt.want {
				t.Errorf("%s asks for %s of %q: %v, want %q", tt.viewer.Session.User().ID, tt.body, tt.room, err, tt.want)
			}
		}
		w := newFollower(t, hub.Hub, "42", "watcher")
		pass(2 * time.Second)
		w.hear()
		if w.names != nil || w.count != 3 || strings.Contains(w.last, "ann") {
			t.Errorf("a room whose roster is for hosts was told %s", w.last)
		}
	})
}

func TestRosterPages(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub, p *presence.Presence) {
		crowd := hub.Crowd("42", 250)
		pass(time.Second)
		var ids []string
		after, pages := uint64(0), 0
		for {
			raw, err := crowd[0].Call("presence.list", "42", map[string]any{"after": after})
			if err != nil {
				t.Fatal(err)
			}
			var page presence.Page
			if err := json.Unmarshal(raw, &page); err != nil || page.Count != 250 {
				t.Fatalf("%s: %v", raw, err)
			}
			for _, m := range page.Members {
				ids = append(ids, m.ID)
			}
			pages++
			if after = page.Next; after == 0 {
				break
			}
		}
		if pages != 3 || len(ids) != 250 || ids[0] != "viewer-1" || ids[249] != "viewer-250" {
			t.Errorf("%d members in %d pages", len(ids), pages)
		}
	})
}

func TestLargeRooms(t *testing.T) {
	opts := &presence.Options{Limit: 20, Top: 3, LeaveAfter: time.Second, Rank: func(room string, u im.User) (n int) {
		_, _ = fmt.Sscanf(u.ID, "viewer-%d", &n)
		return n
	}}
	bubble(t, opts, func(t *testing.T, hub *imtest.Hub, p *presence.Presence) {
		w := newFollower(t, hub.Hub, "42", "watcher")
		crowd := hub.Crowd("42", 50)
		pass(3 * time.Second)
		w.hear()
		if !w.large || w.names != nil || w.count != 51 || w.top != "viewer-50=50 viewer-49=49 viewer-48=48" {
			t.Errorf("told %s", w.last)
		}
		raw, err := crowd[0].Call("presence.list", "42", nil)
		if err != nil {
			t.Fatal(err)
		}
		var page presence.Page
		if err := json.Unmarshal(raw, &page); err != nil || !page.Large || len(page.Members) != 0 || len(page.Top) != 3 {
			t.Errorf("a page of a large room is %s (%v)", raw, err)
		}
		if n := len(members(p, "42")); n != 51 {
			t.Errorf("Go sees %d of 51", n)
		}
		for _, v := range crowd[10:] {
			v.Close()
		}
		pass(5 * time.Second)
		w.hear()
		if w.large || w.count != 11 || w.top != "viewer-10=10 viewer-9=9 viewer-8=8" || !strings.Contains(w.who(), "viewer-7") {
			t.Errorf("small again: told %s", w.last)
		}
	})
}
