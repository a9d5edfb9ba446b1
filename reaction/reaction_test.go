package reaction_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/reaction"
)

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func plug(t *testing.T, hub *imtest.Hub, opts *reaction.Options) *reaction.Reactions {
	t.Helper()
	r, err := reaction.New(hub.Hub, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// options are those of one of several nodes on a log.
func options(log im.Log) *im.Options {
	return &im.Options{
		Log: log, Secret: []byte("0123456789abcdef"), Kinds: reaction.Kinds("heart"),
		Limits:   im.Limits{User: reaction.Limits("heart")},
		Logger:   slog.New(slog.NewTextHandler(io.Discard, nil)),
		Timeouts: im.Timeouts{Heartbeat: time.Hour},
	}
}

func memory(t *testing.T) im.Log {
	t.Helper()
	log, err := im.NewMemoryLog(nil)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// milestones returns the events of a room that tell of milestones.
func milestones(t *testing.T, hub *imtest.Hub, room string) (list []string) {
	t.Helper()
	page, err := hub.Room(room).History(t.Context(), im.HistoryQuery{Kinds: []im.Kind{im.Notice}, Max: 500})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Events {
		m, err := im.Decode[reaction.Milestone](e)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprint(m.Kind, " ", m.N))
	}
	return list
}

// calls are those of OnMilestone.
type calls struct {
	mu   sync.Mutex // guards list
	list []string
}

func (c *calls) note(_ context.Context, room string, m reaction.Milestone) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, fmt.Sprint(room, " ", m.Kind, " ", m.N))
}

func (c *calls) sorted() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(slices.Values(c.list))
}

func TestMilestones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		hub := imtest.NewHub(t, options(nil))
		r := plug(t, hub, &reaction.Options{Kinds: []im.Kind{im.Like, "heart"}, At: []uint64{10}, Every: 100, OnMilestone: c.note})
		ann := hub.Join("42", im.User{ID: "ann"})
		watcher := hub.Join("42", im.User{ID: "watcher"})
		for range 12 {
			if _, err := ann.Send(im.Like, map[string]int{"n": 9}); err != nil {
				t.Fatal(err)
			}
			if _, err := ann.Send("heart", map[string]int{"n": 1}); err != nil {
				t.Fatal(err)
			}
			pass(2 * time.Second)
		}
		if n, err := r.Total(t.Context(), "42", im.Like); n != 108 || err != nil {
			t.Errorf("%d likes, %v", n, err)
		}
		want := []string{"like 10", "heart 10", "like 100"}
		if got := milestones(t, hub, "42"); !slices.Equal(got, want) {
			t.Errorf("milestones %q, want %q", got, want)
		}
		if got := c.sorted(); !slices.Equal(got, []string{"42 heart 10", "42 like 10", "42 like 100"}) {
			t.Errorf("OnMilestone was called for %q", got)
		}
		for {
			if e := watcher.Event(); e.Kind == im.Notice {
				if string(e.Body) != `{"reaction":"like","milestone":10}` {
					t.Errorf("the watcher sees %s", e.Body)
				}
				break
			}
		}
		if entry := hub.Connect(im.User{ID: "late"}).Join("42", nil); len(entry.State) != 2 {
			t.Errorf("clients see the state %s", entry.State)
		}
		if err := hub.Room("43").Add(t.Context(), im.Like, 1_000_000); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		if got := milestones(t, hub, "43"); len(got) != 16 || got[15] != "like 1000000" {
			t.Errorf("10,000 milestones at once are told as %q", got)
		}
	})
}

// Two nodes on one log see the same totals pass, and there is one event for each milestone.
func TestMilestonesOfTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		log := memory(t)
		opts := &reaction.Options{Every: 10, OnMilestone: c.note}
		var hubs []*imtest.Hub
		for range 2 {
			hub := imtest.NewHub(t, options(log))
			plug(t, hub, opts)
			hubs = append(hubs, hub)
		}
		var want, called []string
		total := 0
		for i := range 25 {
			for _, hub := range hubs {
				if err := hub.Room("42").Add(t.Context(), im.Like, uint64(1+i%4)); err != nil {
					t.Fatal(err)
				}
				total += 1 + i%4
			}
			pass(600 * time.Millisecond)
		}
		pass(5 * time.Second)
		for n := 10; n <= total; n += 10 {
			want = append(want, fmt.Sprint("like ", n))
			called = append(called, fmt.Sprint("42 like ", n))
		}
		slices.Sort(called)
		for _, hub := range hubs {
			if got := milestones(t, hub, "42"); !slices.Equal(got, want) {
				t.Errorf("milestones %q, want %q", got, want)
			}
		}
		if got := c.sorted(); !slices.Equal(got, called) {
			t.Errorf("OnMilestone was called for %q, want %q", got, called)
		}
	})
}

// A restart forgets no milestone, and tells none again.
func TestMilestonesAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory(t)
		for life := range 4 {
			hub := imtest.NewHub(t, options(log))
			r := plug(t, hub, &reaction.Options{At: []uint64{10, 25, 60}})
			if err := hub.Room("42").Add(t.Context(), im.Like, 12); err != nil {
				t.Fatal(err)
			}
			if life == 1 {
				pass(2 * time.Second)
			}
			if err := hub.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			_ = r.Close()
		}
		hub := imtest.NewHub(t, options(log))
		plug(t, hub, &reaction.Options{At: []uint64{10, 25, 60}})
		if err := hub.Room("42").Add(t.Context(), im.Like, 12); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		if got := milestones(t, hub, "42"); !slices.Equal(got, []string{"like 10", "like 25", "like 60"}) {
			t.Errorf("milestones %q", got)
		}
	})
}

func TestHostsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		hub := imtest.NewHub(t, options(nil))
		plug(t, hub, &reaction.Options{
			Every:  10,
			Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Body:   func(string, reaction.Milestone) any { panic("no body") },
			OnMilestone: func(ctx context.Context, room string, m reaction.Milestone) {
				switch m.N {
				case 10:
					panic("a hook that fails")
				case 20:
					<-ctx.Done()
				}
				c.note(ctx, room, m)
			},
		})
		if err := hub.Room("42").Add(t.Context(), im.Like, 30); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		if got := c.sorted(); !slices.Equal(got, []string{"42 like 30"}) {
			t.Errorf("%q", got)
		}
		pass(20 * time.Second)
		if got := milestones(t, hub, "42"); len(got) != 3 || len(c.sorted()) != 2 {
			t.Errorf("%q, %q", got, c.sorted())
		}
	})
}

func TestOptions(t *testing.T) {
	hub := imtest.NewHub(t, options(nil))
	for _, tt := range []struct {
		opts reaction.Options
		want string
	}{
		{reaction.Options{Kinds: []im.Kind{"laugh"}}, "the hub does not know"},
		{reaction.Options{Kinds: []im.Kind{im.Chat}}, "its class is normal"},
		{reaction.Options{Kinds: []im.Kind{im.Presence}}, "not added up"},
		{reaction.Options{At: []uint64{0, 10}}, "Options.At"},
		{reaction.Options{Every: 1 << 60}, "Options.Every"},
		{reaction.Options{Event: im.Danmaku}, "Options.Event"},
		{reaction.Options{Event: im.State}, "Options.Event"},
		{reaction.Options{HookTimeout: -1}, "Options.HookTimeout is -1ns"},
	} {
		if _, err := reaction.New(hub.Hub, &tt.opts); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %s", tt.opts, err, tt.want)
		}
	}
	if _, err := reaction.New(nil, nil); err == nil {
		t.Error("a hub is needed")
	}
}
