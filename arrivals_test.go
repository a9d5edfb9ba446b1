package im_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// arrivalsOf reads what a viewer is told for d, and adds up who came in.
func arrivalsOf(v *imtest.Viewer, d time.Duration) (all imtest.Joins, messages int) {
	for end := time.Now().Add(d); ; {
		u, ok := v.TryNext(time.Until(end))
		if !ok {
			return all, messages
		}
		if u.Joined != nil {
			all.Names = append(all.Names, u.Joined.Names...)
			all.N += u.Joined.N
			messages++
		}
	}
}

func (v *watchedRoom) expect(t *testing.T, why string, n int, names ...string) {
	t.Helper()
	got, _ := arrivalsOf(v.viewer, 3*time.Second)
	if got.N != n || !slices.Equal(got.Names, names) {
		t.Fatalf("%s: told of %d, %q; want %d, %q", why, got.N, got.Names, n, names)
	}
}

// watchedRoom is a room with somebody in it who has been told of himself.
type watchedRoom struct{ viewer *imtest.Viewer }

func watchedBy(hub *imtest.Hub, id string) *watchedRoom {
	w := &watchedRoom{hub.Join("42", user(id))}
	arrivalsOf(w.viewer, 6*time.Second)
	return w
}

func TestJoinsAreTold(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room := watchedBy(hub, "first")
		for i := range 39 {
			hub.Join("42", im.User{ID: fmt.Sprint("u", i), Name: fmt.Sprintf("<%d>\"\\", i)})
		}
		got, messages := arrivalsOf(room.viewer, 3*time.Second)
		// The first are told of at once, the others a second later.
		if messages != 2 || got.N != 39 || len(got.Names) < 4 || len(got.Names) > 6 || got.Names[0] != "<0>\"\\" {
			t.Fatalf("39 came in one after the other: told of %d, %q in %d messages", got.N, got.Names, messages)
		}
		if u, ok := room.viewer.TryNext(20 * time.Second); ok {
			t.Fatalf("nobody came since: %+v", u)
		}
	})
}

// Each user comes in once, however many connections that takes.
func TestJoinsAreOfUsers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room := watchedBy(hub, "first")
		ann := hub.Join("42", user("ann"))
		second := hub.Join("42", user("ann"))
		room.expect(t, "two sessions of one user in one tick", 1, "ann")
		hub.Join("42", user("ann")).Close()
		room.expect(t, "another session of who is there", 0)

		v := hub.Join("42", user("bo"))
		v.Close()
		room.expect(t, "gone before it was told: the count has not changed, but somebody came", 1, "bo")
		ann.Close()
		second.Close()
		synctest.Wait()
		ann = hub.Join("42", user("ann"))
		room.expect(t, "a page that was reloaded", 0)
		ann.Close()
		pass(6 * time.Second)
		hub.Join("42", user("ann"))
		room.expect(t, "away for longer", 1, "ann")
	})
}

func TestResumesAreNoJoins(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room := watchedBy(hub, "first")
		ann := hub.Join("42", user("ann"))
		room.expect(t, "the first time", 1, "ann")
		pos := ann.Join("42", nil).Pos
		room.expect(t, "a join that replaces one", 0)
		ann.Close()
		pass(time.Minute)
		ann = hub.Connect(user("ann"))
		if e := ann.Join("42", &imtest.JoinOptions{Since: pos}); !e.Recovered {
			t.Fatalf("%+v", e)
		}
		room.expect(t, "a resume", 0)
		ann.Close()
		pass(time.Minute)
		hub.Connect(user("ann")).Join("42", &imtest.JoinOptions{Since: im.Position{Epoch: "lost", Seq: 7}})
		room.expect(t, "a resume after the log was lost", 0)
	})
}

func TestJoinPolicy(t *testing.T) {
	t.Run("off", func(t *testing.T) {
		bubble(t, &im.Options{Joins: im.JoinPolicy{Off: true}}, func(t *testing.T, hub *imtest.Hub) {
			room := watchedBy(hub, "first")
			hub.Join("42", user("ann"))
			room.expect(t, "switched off", 0)
		})
	})
	t.Run("except", func(t *testing.T) {
		bubble(t, &im.Options{Joins: im.JoinPolicy{Except: []string{"bot"}}}, func(t *testing.T, hub *imtest.Hub) {
			room := watchedBy(hub, "first")
			hub.Join("42", user("robot", "bot"))
			hub.Join("42", user("ann", "host"))
			room.expect(t, "a bot and a host", 1, "ann")
		})
	})
	t.Run("large rooms", func(t *testing.T) {
		bubble(t, &im.Options{Joins: im.JoinPolicy{MaxOnline: 3}}, func(t *testing.T, hub *imtest.Hub) {
			room := watchedBy(hub, "first")
			hub.Crowd("42", 5)
			room.expect(t, "five more into a room of one", 2, "viewer-1", "viewer-2")
		})
	})
	t.Run("brown-out", func(t *testing.T) {
		var pressure atomic.Int64
		opts := &im.Options{Pressure: func() float64 { return float64(pressure.Load()) }}
		bubble(t, opts, func(t *testing.T, hub *imtest.Hub) {
			room := watchedBy(hub, "first")
			hub.Join("42", user("early"))
			pressure.Store(1)
			for hub.Stats().Brownout < im.BrownoutNoJoins {
				pass(100 * time.Millisecond)
			}
			pressure.Store(0)
			room.viewer.TryNext(time.Nanosecond)
			hub.Join("42", user("ann"))
			got, _ := arrivalsOf(room.viewer, 5*time.Second)
			if slices.Contains(got.Names, "ann") {
				t.Fatalf("told of %q", got.Names)
			}
			for hub.Stats().Brownout >= im.BrownoutNoJoins {
				pass(100 * time.Millisecond)
			}
			hub.Join("42", user("late"))
			got, _ = arrivalsOf(room.viewer, 10*time.Second)
			if got.N != 1 || !slices.Equal(got.Names, []string{"late"}) {
				t.Fatalf("told of %d, %q", got.N, got.Names)
			}
		})
	})
}

// What a room remembers of comings and goings is bounded.
func TestManyLeaveAndComeBack(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room := watchedBy(hub, "first")
		for range 3 {
			for _, v := range hub.Crowd("42", 200) {
				v.Close()
			}
			synctest.Wait()
		}
		if got, _ := arrivalsOf(room.viewer, 10*time.Second); got.N < 200 || got.N > 600 {
			t.Fatalf("told of %d", got.N)
		}
	})
}
