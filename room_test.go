package im_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// bubble runs a test with a hub on virtual time.
func bubble(t *testing.T, opts *im.Options, test func(t *testing.T, hub *imtest.Hub)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, imtest.NewHub(t, opts)) })
}

func user(id string, roles ...string) im.User { return im.User{ID: id, Roles: roles} }

func code(err error) im.Code {
	var e *im.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestSendReachesEverybodyInOrder(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		viewers := hub.Crowd("42", 10)
		for i := range 8 {
			r, err := viewers[0].Send(im.Chat, i)
			if err != nil || r.Status != im.StatusOK {
				t.Fatalf("send %d: %+v, %v", i, r, err)
			}
		}
		for _, v := range viewers {
			for i := range 8 {
				e := v.Event()
				if n, err := im.Decode[int](e); err != nil || n != i || e.From.ID != "viewer-1" || e.Kind != im.Chat {
					t.Fatalf("event %d is %s %s from %q (%v)", i, e.Kind, e.Body, e.From.ID, err)
				}
			}
		}
	})
}

func TestHostSends(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		v := hub.Join("42", user("ann"))
		sent, err := hub.Room("42").Send(t.Context(), im.Notice, map[string]string{"text": "welcome"})
		if err != nil {
			t.Fatal(err)
		}
		got := v.Event()
		if got.ID != sent.ID || got.Pos != sent.Pos || got.From.ID != "" || string(got.Body) != `{"text":"welcome"}` {
			t.Fatalf("got %+v, sent %+v", got, sent)
		}
		again, err := hub.Room("42").Send(t.Context(), im.Gift, 1, im.WithID("order-1"))
		if err != nil {
			t.Fatal(err)
		}
		retry, err := hub.Room("42").Send(t.Context(), im.Gift, 1, im.WithID("order-1"))
		if err != nil || retry.Pos != again.Pos {
			t.Fatalf("the retry got %+v, %v; the first %+v", retry, err, again)
		}
		if _, err := hub.Room("42").Send(t.Context(), im.Gift, 2, im.WithID("order-1")); !errors.Is(err, im.ErrConflict) {
			t.Fatalf("another gift under the same id: %v", err)
		}
	})
}

func TestJoinShowsStateAndNewestEvents(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		version, err := room.Set(t.Context(), "slide", 12)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 30 {
			if _, err := room.Send(t.Context(), im.Notice, i); err != nil {
				t.Fatal(err)
			}
		}
		e := hub.Connect(user("ann")).Join("42", nil)
		if string(e.State["slide"]) != "12" || e.Recovered || len(e.Events) != 20 || e.Online != 1 {
			t.Fatalf("entry %+v", e)
		}
		if first := string(e.Events[0].Body); first != "10" {
			t.Fatalf("the oldest of the newest 20 is %s, want 10", first)
		}
		if v, ver, err := room.State().Get(t.Context(), "slide"); err != nil || string(v) != "12" || ver != version {
			t.Fatalf("Get: %s, %d, %v; Set said %d", v, ver, err, version)
		}
	})
}

func TestTwoRoomsOnOneConnection(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		v := hub.Connect(user("ann"))
		v.Join("a", nil)
		v.Join("b", nil)
		for i := range 5 {
			for _, room := range []string{"a", "b"} {
				if _, err := hub.Room(room).Send(t.Context(), im.Notice, i); err != nil {
					t.Fatal(err)
				}
			}
		}
		next := map[string]int{}
		for range 10 {
			u := v.Next()
			for u.Op != "event" {
				u = v.Next()
			}
			if n, _ := im.Decode[int](u.Event); n != next[u.Room] {
				t.Fatalf("room %s: event %d, want %d", u.Room, n, next[u.Room])
			}
			next[u.Room]++
		}
		v.Leave("a")
		if _, err := hub.Room("a").Send(t.Context(), im.Notice, 99); err != nil {
			t.Fatal(err)
		}
		if _, err := hub.Room("b").Send(t.Context(), im.Notice, 5); err != nil {
			t.Fatal(err)
		}
		if e := v.Event(); string(e.Body) != "5" {
			t.Fatalf("after leaving room a the viewer got %s", e.Body)
		}
		if _, err := v.SendTo("a", im.Chat, "", 1); code(err) != im.CodeNotJoined {
			t.Fatalf("send to a room that was left: %v", err)
		}
	})
}

func TestKickCloseOpen(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		ann, bob := hub.Join("42", user("ann")), hub.Join("42", user("bob"))
		if err := room.Kick(t.Context(), "ann", "spam"); err != nil {
			t.Fatal(err)
		}
		left := waitFor(ann, "left")
		if left.Code != im.CodeKicked || left.Reason != "spam" || room.Len() != 1 {
			t.Fatalf("%+v, %d in the room", left, room.Len())
		}
		ann.Join("42", nil)
		if err := room.Close(t.Context(), "the stream has ended"); err != nil {
			t.Fatal(err)
		}
		for _, v := range []*imtest.Viewer{ann, bob} {
			if left := waitFor(v, "left"); left.Code != im.CodeRoomClosed {
				t.Fatalf("%+v", left)
			}
		}
		if _, err := ann.TryJoin("42", nil); code(err) != im.CodeRoomClosed {
			t.Fatalf("join of a closed room: %v", err)
		}
		if _, err := room.Send(t.Context(), im.Notice, 1); !errors.Is(err, im.ErrRoomClosed) {
			t.Fatalf("send to a closed room: %v", err)
		}
		if err := room.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		ann.Join("42", nil)
	})
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }

func waitFor(v *imtest.Viewer, op string) imtest.Update {
	for {
		if u := v.Next(); u.Op == op {
			return u
		}
	}
}

func TestDirectMessages(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		phone, laptop, other := hub.Connect(user("ann")), hub.Connect(user("ann")), hub.Connect(user("bob"))
		n, err := hub.User("ann").Send(t.Context(), im.Notice, "for you")
		if err != nil || n != 2 {
			t.Fatalf("%d sessions, %v", n, err)
		}
		for _, v := range []*imtest.Viewer{phone, laptop} {
			if u := v.Next(); u.Op != "direct" || string(u.Event.Body) != `"for you"` {
				t.Fatalf("%+v", u)
			}
		}
		if u, ok := other.TryNext(time.Second); ok {
			t.Fatalf("bob got %+v", u)
		}
	})
}

func TestMembersAndLen(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		a1 := hub.Join("42", user("ann"))
		hub.Join("42", user("ann"))
		hub.Join("42", user("bob"))
		var ids []string
		for u := range room.Members() {
			ids = append(ids, u.ID)
		}
		slices.Sort(ids)
		if !slices.Equal(ids, []string{"ann", "bob"}) || room.Len() != 3 {
			t.Fatalf("members %q, %d sessions", ids, room.Len())
		}
		a1.Close()
		synctest.Wait()
		if room.Len() != 2 {
			t.Fatalf("%d sessions after one has hung up", room.Len())
		}
	})
}

func TestOnlineCountConverges(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		first := hub.Join("42", user("first"))
		crowd := hub.Crowd("42", 50)
		for _, v := range crowd[10:] {
			v.Close()
		}
		last, told := 1, 0
		for {
			u, ok := first.TryNext(3 * time.Second)
			if !ok {
				break
			}
			if u.Op == "online" {
				last, told = u.Count, told+1
			}
		}
		if last != 11 || told > 3 {
			t.Fatalf("the last count told is %d in %d messages, want 11 in at most 3", last, told)
		}
	})
}

func TestLikesAreMerged(t *testing.T) {
	bubble(t, &im.Options{Limits: im.Limits{User: map[im.Kind]im.Limit{im.Like: im.Unlimited}}}, func(t *testing.T, hub *imtest.Hub) {
		v := hub.Join("42", user("ann"))
		for range 100 {
			if r, err := v.Send(im.Like, map[string]int{"n": 3}); err != nil || r.Status != im.StatusMerged {
				t.Fatalf("%+v, %v", r, err)
			}
		}
		events, total := 0, uint64(0)
		for {
			u, ok := v.TryNext(2 * time.Second)
			if !ok {
				break
			}
			if u.Op == "event" {
				b, err := im.Decode[struct{ N, Total uint64 }](u.Event)
				if err != nil {
					t.Fatal(err)
				}
				events, total = events+1, b.Total
			}
		}
		if total != 300 || events > 2 {
			t.Fatalf("total %d in %d events, want 300 in at most 2", total, events)
		}
		if e := hub.Connect(user("late")).Join("42", nil); string(e.State["im.total.like"]) != "300" {
			t.Fatalf("a late joiner sees %s", e.State["im.total.like"])
		}
	})
}

func TestHistoryPages(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		for i := range 25 {
			if _, err := room.Send(t.Context(), im.Notice, i); err != nil {
				t.Fatal(err)
			}
		}
		if err := room.Kick(t.Context(), "nobody", ""); err != nil { // a control event is not for viewers
			t.Fatal(err)
		}
		var got []string
		after := im.Position{}
		for {
			page, err := room.History(t.Context(), im.HistoryQuery{After: after, Max: 10})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				got = append(got, string(e.Body))
				after = e.Pos
			}
			if !page.More {
				break
			}
		}
		if len(got) != 25 || got[0] != "0" || got[24] != "24" {
			t.Fatalf("paged through %v", got)
		}
		if _, err := room.History(t.Context(), im.HistoryQuery{After: im.Position{Epoch: "gone", Seq: 1}}); !errors.Is(err, im.ErrGap) {
			t.Fatalf("history after a foreign epoch: %v", err)
		}
	})
}

func TestRoomIsUnloadedAndComesBack(t *testing.T) {
	bubble(t, &im.Options{Timeouts: im.Timeouts{RoomIdle: time.Minute}}, func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		want, err := room.Set(t.Context(), "slide", 1)
		if err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Minute)
		if n := hub.Stats().Rooms; n != 0 {
			t.Fatalf("%d rooms in use after three idle minutes", n)
		}
		pass(time.Hour) // the event itself is past its retention now
		if v, got, err := room.State().Get(t.Context(), "slide"); err != nil || string(v) != "1" || got != want {
			t.Fatalf("the state came back as %s, version %d; want 1, %d", v, got, want)
		}
		v := hub.Join("42", user("ann"))
		if _, err := room.Set(t.Context(), "slide", 2, im.IfVersion(want)); err != nil {
			t.Fatal(err)
		}
		if e := v.Event(); e.Kind != im.State || string(e.Body) != fmt.Sprintf(`{"key":"slide","value":2,"if":%d}`, want) {
			t.Fatalf("%s %s", e.Kind, e.Body)
		}
	})
}
