package presence_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/presence"
	"github.com/liveim/im/transport/pipe"
)

// dial connects a Go client to the hub in memory.
func dial(t *testing.T, hub *im.Hub, id string) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), "", &client.Options{Dial: func(context.Context) (client.Conn, error) {
		conn, peer := pipe.New(nil)
		if _, err := hub.Attach(conn, user(id)); err != nil {
			return nil, err
		}
		return peer, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// The Go client knows who is in the room, in small and middling rooms, whatever happens.
func TestGoClientKnowsTheRoster(t *testing.T) {
	bubble(t, &presence.Options{LeaveAfter: time.Second, Limit: 300}, func(t *testing.T, hub *imtest.Hub, p *presence.Presence) {
		rng := rand.New(rand.NewPCG(1, 2))
		room, err := dial(t, hub.Hub, "watcher").Join(t.Context(), "42", nil)
		if err != nil {
			t.Fatal(err)
		}
		known, changes, lost := map[string]bool{}, 0, 0
		go func() {
			for u := range room.Updates(t.Context()) {
				if o, ok := u.(client.Online); ok && o.Presence != nil {
					changes++
					if o.Presence.Lost {
						lost++
					}
				}
			}
		}()
		viewers := map[int]*imtest.Viewer{}
		for round := range 60 {
			for range rng.IntN(40) {
				n := rng.IntN(250)
				if v := viewers[n]; v != nil && rng.IntN(3) > 0 {
					v.Close()
					delete(viewers, n)
				} else if v == nil {
					viewers[n] = hub.Join("42", im.User{ID: fmt.Sprint("user-", n)})
				}
				pass(time.Duration(rng.IntN(100)) * time.Millisecond)
			}
			pass(4 * time.Second) // all is told
			roster, err := room.Roster(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			clear(known)
			for _, m := range roster.Members {
				got = append(got, m.ID)
				known[m.ID] = true
			}
			slices.Sort(got)
			want := members(p, "42")
			slices.Sort(want)
			if !slices.Equal(got, want) || roster.Count != len(want) || len(known) != len(got) {
				t.Fatalf("round %d: the client knows %d members, want %d\n%q\n%q", round, len(got), len(want), got, want)
			}
		}
		synctest.Wait()
		t.Logf("%d changes, %d times lost, %d members at the end", changes, lost, p.Count("42"))
		if lost > 5 {
			t.Errorf("the client lost the roster %d times", lost)
		}
	})
}
