package presence_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im/imtest"
	"github.com/liveim/im/presence"
	"github.com/liveim/im/transport/pipe"
)

// Many come, leave, are kicked and hang up at once, and in the end what is known is true: whatever the order
// in which the signals of it came.
func TestManyAtOnce(t *testing.T) {
	const workers, users, rooms = 8, 12, 3
	rounds := 150
	if testing.Short() {
		rounds = 30
	}
	hub := imtest.NewHub(t, patient())
	var hooks sync.Map // room and user: joins minus leaves
	count := func(by int) func(context.Context, string, presence.Member) {
		return func(_ context.Context, room string, m presence.Member) {
			n, _ := hooks.LoadOrStore(room+"/"+m.ID, new(int))
			*n.(*int) += by // calls are one after the other
			if *n.(*int) < 0 || *n.(*int) > 1 {
				t.Errorf("%s in %s: told %d joins more than leaves", m.ID, room, *n.(*int))
			}
		}
	}
	p := plug(t, hub.Hub, &presence.Options{LeaveAfter: time.Millisecond, OnJoin: count(1), OnLeave: count(-1), Limit: 8})
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range rounds {
				conn, peer := pipe.New(nil)
				if _, err := hub.Attach(conn, user(fmt.Sprint("user-", rng.IntN(users)))); err != nil {
					t.Error(err)
					return
				}
				for range 1 + rng.IntN(5) {
					op := []string{"join", "join", "leave"}[rng.IntN(3)]
					_ = peer.Send(t.Context(), fmt.Appendf(nil, `{"op":%q,"id":1,"room":"room-%d"}`, op, rng.IntN(rooms)))
				}
				if rng.IntN(10) == 0 {
					_ = hub.Room(fmt.Sprint("room-", rng.IntN(rooms))).Kick(t.Context(), fmt.Sprint("user-", rng.IntN(users)), "")
				}
				if i < rounds-2 {
					_ = peer.Close()
				} else {
					t.Cleanup(func() { _ = peer.Close() })
				}
			}
		})
	}
	wg.Wait()
	for room := range rooms {
		id := fmt.Sprint("room-", room)
		var want, got []string
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
			want, got = nil, members(p, id)
			for u := range hub.Room(id).Members() {
				want = append(want, u.ID)
			}
			slices.Sort(want)
			slices.Sort(got)
			if slices.Equal(want, got) {
				break
			}
		}
		if !slices.Equal(want, got) {
			t.Errorf("in %s are %q, known are %q", id, want, got)
		}
	}
	if err := p.Close(); err != nil || p.Stats().Dropped > 0 {
		t.Errorf("%v, %d calls dropped", err, p.Stats().Dropped)
	}
}
