package presence_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/presence"
)

// TestPresenceAtTenThousand has 10,000 sessions of 8,000 users come and go at 500 a second: the count is exact, and the
// room is told twice a second at most.
func TestPresenceAtTenThousand(t *testing.T) {
	const (
		sessions, users = scale, scale * 8 / 10
		every           = 2 * time.Millisecond
		lasts           = 20 * time.Second
		grace           = 5 * time.Second
		late            = 60 * time.Millisecond // that a departure may be noticed after the grace
	)
	bubble(t, &presence.Options{Rank: func(_ string, u im.User) int { return len(u.ID) }}, func(t *testing.T, hub *imtest.Hub, p *presence.Presence) {
		rng := rand.New(rand.NewPCG(7, 7))
		viewers := make([]*imtest.Viewer, sessions)
		in := make([]int, users) // sessions of each user in the room
		left := make([]time.Time, users)
		for i := range viewers {
			viewers[i] = hub.Join("42", im.User{ID: fmt.Sprint("user-", i%users)})
			in[i%users]++
		}
		watcher := newFollower(t, hub.Hub, "42", "watcher")
		checks, ops, joined := 0, 0, time.Now()
		check := func() {
			checks++
			least, most := 1, 1 // the watcher
			for u := range users {
				switch away := time.Since(left[u]); {
				case in[u] > 0 || !left[u].IsZero() && away < grace:
					least++
					most++
				case !left[u].IsZero() && away < grace+late:
					most++
				}
			}
			if got := p.Count("42"); got < least || got > most {
				t.Fatalf("after %v: %d members, want %d to %d", time.Since(joined), got, least, most)
			}
		}
		pass(2 * time.Second)
		watcher.hear()
		watcher.heard = 0
		begin := time.Now()
		for time.Since(begin) < lasts {
			i := rng.IntN(sessions)
			u := i % users
			switch {
			case viewers[i] == nil:
				viewers[i] = hub.Join("42", im.User{ID: fmt.Sprint("user-", u)})
				in[u]++
				left[u] = time.Time{}
			default:
				if rng.IntN(2) == 0 {
					viewers[i].Leave("42")
				}
				viewers[i].Close()
				viewers[i] = nil
				if in[u]--; in[u] == 0 {
					left[u] = time.Now()
				}
			}
			ops++
			pass(every)
			if ops%250 == 0 {
				check()
				watcher.hear()
			}
		}
		most := int(2*lasts/time.Second) + 1
		if watcher.heard == 0 || watcher.heard > most || watcher.count < users/2 || watcher.large != (users > 1000) {
			t.Errorf("the room was told %d times in %v, at last %s", watcher.heard, lasts, watcher.last)
		}
		pass(2 * grace)
		watcher.hear()
		truth := 0
		for u := range hub.Room("42").Members() {
			truth++
			if _, ok := p.Member("42", u.ID); !ok {
				t.Fatalf("%s is there and not known", u.ID)
			}
		}
		if got := p.Count("42"); got != truth || watcher.count != truth {
			t.Errorf("%d members, told %d, want %d", got, watcher.count, truth)
		}
		t.Logf("%d comings and goings, %d checks, %d messages in %v, %d members at the end", ops, checks, watcher.heard, lasts, truth)
	})
}
