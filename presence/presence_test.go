package presence_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/presence"
)

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// bubble runs a test with a hub and its presence, in virtual time.
func bubble(t *testing.T, opts *presence.Options, test func(t *testing.T, hub *imtest.Hub, p *presence.Presence)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		hub := imtest.NewHub(t, patient())
		p := plug(t, hub.Hub, opts)
		test(t, hub, p)
	})
}

// patient are the options of a hub that does not mind clients which answer no pings.
func patient() *im.Options {
	return &im.Options{Pressure: func() float64 { return 0 }, Timeouts: im.Timeouts{Heartbeat: time.Hour, Write: time.Hour}}
}

func plug(t *testing.T, hub *im.Hub, opts *presence.Options) *presence.Presence {
	t.Helper()
	p, err := presence.New(hub, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func user(id string, roles ...string) im.User { return im.User{ID: id, Roles: roles} }

func code(err error) im.Code {
	var e *im.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// diary is what hooks were told.
type diary struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (d *diary) note(what string) func(context.Context, string, presence.Member) {
	return func(_ context.Context, room string, m presence.Member) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.lines = append(d.lines, fmt.Sprintf("%s %s %s", m.Name, what, room))
	}
}

func (d *diary) expect(t *testing.T, why string, want ...string) {
	t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.lines, want) {
		t.Errorf("%s: told of %q, want %q", why, d.lines, want)
	}
	d.lines = nil
}

func members(p *presence.Presence, room string) (ids []string) {
	for m := range p.Members(room) {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestSessionsOfOneUserAreOneMember(t *testing.T) {
	var d diary
	bubble(t, &presence.Options{OnJoin: d.note("joins"), OnLeave: d.note("leaves")}, func(t *testing.T, hub *imtest.Hub, p *presence.Presence) {
		a := hub.Join("42", user("ann"))
		b := hub.Join("42", user("ann"))
		hub.Join("42", user("bob"))
		d.expect(t, "two sessions of ann and one of bob", "ann joins 42", "bob joins 42")
		if got := members(p, "42"); p.Count("42") != 2 || !slices.Equal(got, []string{"ann", "bob"}) {
			t.Errorf("the members are %q", got)
		}
		a.Close()
		pass(time.Minute)
		d.expect(t, "one of two sessions of ann is gone")
		b.Leave("42")
		pass(4 * time.Second)
		if p.Count("42") != 2 {
			t.Error("who left 4 s ago is a member no more")
		}
		pass(2 * time.Second)
		d.expect(t, "ann has left", "ann leaves 42")
		if _, ok := p.Member("42", "ann"); ok || p.Count("42") != 1 {
			t.Error("ann is still there")
		}
		b.Join("42", nil)
		d.expect(t, "ann is back", "ann joins 42")
	})
}

func TestReconnectsDoNotFlicker(t *testing.T) {
	var d diary
	bubble(t, &presence.Options{OnJoin: d.note("joins"), OnLeave: d.note("leaves")}, func(t *testing.T, hub *imtest.Hub, p *presence.Presence) {
		watcher := newFollower(t, hub.Hub, "42", "watcher")
		ann := hub.Join("42", user("ann"))
		pass(10 * time.Second)
		watcher.hear()
		d.expect(t, "before", "watcher joins 42", "ann joins 42")
		v := watcher.v
		for range 50 {
			ann.Close() // without a leave
			pass(300 * time.Millisecond)
			ann = hub.Join("42", user("ann"))
			pass(3 * time.Second)
		}
		watcher.hear()
		d.expect(t, "50 reconnects")
		if watcher.v != v || p.Count("42") != 2 {
			t.Errorf("version %d became %d", v, watcher.v)
		}
		if m, ok := p.Member("42", "ann"); !ok || time.Since(m.Since) < 100*time.Second {
			t.Errorf("ann is there since %v", m.Since)
		}
		ann.Close()
		pass(10 * time.Second)
		watcher.hear()
		d.expect(t, "gone for good", "ann leaves 42")
		if got := watcher.who(); got != "watcher" {
			t.Errorf("the watcher sees %s", got)
		}
	})
}

func TestKickedAndClosed(t *testing.T) {
	bubble(t, &presence.Options{LeaveAfter: time.Millisecond}, func(t *testing.T, hub *imtest.Hub, p *presence.Presence) {
		for _, id := range []string{"ann", "bob", "cy"} {
			hub.Join("42", user(id))
			hub.Join("43", user(id))
		}
		if err := hub.Room("42").Kick(t.Context(), "ann", ""); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if got := members(p, "42"); !slices.Equal(got, []string{"bob", "cy"}) {
			t.Errorf("after a kick: %q", got)
		}
		if err := hub.Room("42").Close(t.Context(), "over"); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if got := members(p, "42"); len(got) != 0 || p.Count("43") != 3 {
			t.Errorf("after the room was closed: %q", got)
		}
		if n := p.Stats().Rooms; n != 1 {
			t.Errorf("%d rooms are remembered, want 1", n)
		}
	})
}

func TestInvisibleRoles(t *testing.T) {
	var d diary
	bubble(t, &presence.Options{Except: []string{"bot", "ghost"}, OnJoin: d.note("joins")}, func(t *testing.T, hub *imtest.Hub, p *presence.Presence) {
		hub.Join("42", user("robot", "bot"))
		hub.Join("42", user("ann", "host"))
		d.expect(t, "a bot and a host", "ann joins 42")
		if p.Count("42") != 1 {
			t.Errorf("%q", members(p, "42"))
		}
	})
}

// A token that says who the user is now: "id:name:role".
func authByToken(r *http.Request) (im.User, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return im.User{}, im.ErrNoCredentials
	}
	f := strings.Split(token, ":")
	return im.User{ID: f[0], Name: f[1], Roles: f[2:]}, nil
}

func TestNamesAndRolesChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, err := im.New(authByToken, patient())
		if err != nil {
			t.Fatal(err)
		}
		defer hub.Close()
		var d diary
		p := plug(t, hub, &presence.Options{Except: []string{"ghost"}, OnJoin: d.note("joins"), OnLeave: d.note("leaves")})
		watcher := newFollower(t, hub, "42", "watcher")
		ann := newFollower(t, hub, "42", "ann")
		pass(2 * time.Second)
		refresh := func(token string) {
			ann.ask(`{"op":"refresh","id":9,"token":%q}`, token)
			pass(2 * time.Second)
			watcher.hear()
		}
		refresh("ann:Ann B.:vip")
		if m, _ := p.Member("42", "ann"); m.Name != "Ann B." || !slices.Equal(m.Roles, []string{"vip"}) {
			t.Errorf("ann is %+v", m)
		}
		if got := watcher.who(); got != "ann=Ann B. watcher" {
			t.Errorf("the watcher sees %s", got)
		}
		d.expect(t, "another name is not another user", "watcher joins 42", "ann joins 42")
		refresh("ann:Ann B.:ghost")
		if got := watcher.who(); p.Count("42") != 1 || got != "watcher" {
			t.Errorf("who became invisible is seen as %s", got)
		}
		d.expect(t, "invisible", "Ann B. leaves 42")
		refresh("ann:Ann:")
		if got := watcher.who(); got != "ann=Ann watcher" {
			t.Errorf("who became visible again: %s", got)
		}
		d.expect(t, "visible", "Ann joins 42")
	})
}

func TestHooksThatFail(t *testing.T) {
	var d diary
	release := make(chan struct{})
	note := d.note("joins")
	opts := &presence.Options{
		Logger:      slog.New(slog.NewTextHandler(io.Discard, nil)),
		HookTimeout: time.Second,
		Rank:        func(string, im.User) int { panic("no rank") },
		OnJoin: func(ctx context.Context, room string, m presence.Member) {
			switch m.ID {
			case "panics":
				panic("a hook that fails")
			case "hangs":
				<-release
			}
			note(ctx, room, m)
		},
	}
	bubble(t, opts, func(t *testing.T, hub *imtest.Hub, p *presence.Presence) {
		release = make(chan struct{}) // of the bubble
		for _, id := range []string{"panics", "hangs", "ann"} {
			hub.Join("42", user(id))
		}
		d.expect(t, "one hangs")
		if p.Count("42") != 3 {
			t.Error("presence waits for a hook")
		}
		pass(2 * time.Second)
		d.expect(t, "one was left behind", "ann joins 42")
		for i := range 100 {
			hub.Join(fmt.Sprint("room-", i), user("hangs"))
		}
		pass(2 * time.Minute)
		hub.Join("42", user("bob"))
		pass(time.Second)
		d.expect(t, "too many hang")
		if p.Stats().Dropped == 0 {
			t.Error("no call was left out")
		}
		close(release)
		synctest.Wait()
		d.mu.Lock()
		d.lines = nil
		d.mu.Unlock()
		hub.Join("42", user("cy"))
		d.expect(t, "none hangs", "cy joins 42")
	})
}

// What a signal that was lost has left is mended within a minute or so.
func TestSweepMends(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub, p *presence.Presence) {
		hub.Join("42", user("ann"))
		pass(time.Second)
		presence.Forget(p, "42", "ann")
		if p.Count("42") != 0 {
			t.Fatal("it was not forgotten")
		}
		presence.Invent(p, "42", im.User{ID: "ghost"})
		pass(61 * time.Second)
		if _, ok := p.Member("42", "ann"); !ok {
			t.Error("ann is there and not known")
		}
		pass(6 * time.Second)
		if _, ok := p.Member("42", "ghost"); ok {
			t.Error("the ghost is not there and known")
		}
	})
}

func TestOptions(t *testing.T) {
	hub := imtest.NewHub(t, nil)
	for _, tt := range []struct {
		opts presence.Options
		want string
	}{
		{presence.Options{Limit: -1}, "Options.Limit is -1: want 1 to 10000, or 0 for 1000"},
		{presence.Options{Top: 51}, "Options.Top is 51"},
		{presence.Options{LeaveAfter: time.Hour}, "Options.LeaveAfter is 1h0m0s: want 1ms to 10m0s, or 0 for 5s"},
		{presence.Options{HookTimeout: 1}, "Options.HookTimeout"},
	} {
		if _, err := presence.New(hub.Hub, &tt.opts); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %s", tt.opts, err, tt.want)
		}
	}
	if _, err := presence.New(nil, nil); err == nil {
		t.Error("a hub is needed")
	}
	p, err := presence.New(hub.Hub, nil)
	if err != nil {
		t.Fatal(err)
	}
	var closers sync.WaitGroup
	for range 3 {
		closers.Go(func() { _ = p.Close() })
	}
	closers.Wait()
	if p.Count("42") != 0 || len(p.Top("42")) != 0 || len(p.Page("42", 0, 10).Members) != 0 {
		t.Error("somebody is in a room that was never used")
	}
}
