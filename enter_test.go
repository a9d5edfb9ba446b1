package im_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/wire"
)

// readLog counts reads, and fails them if it is told to.
type readLog struct {
	im.Log
	reads atomic.Int32
	fails atomic.Bool
}

func (l *readLog) Read(ctx context.Context, room string, r im.Range) (im.Page, error) {
	l.reads.Add(1)
	if l.fails.Load() {
		return im.Page{}, errors.New("the log does not answer")
	}
	return l.Log.Read(ctx, room, r)
}

func newReadLog(t *testing.T) *readLog {
	t.Helper()
	log, err := im.NewMemoryLog(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &readLog{Log: log}
}

// texts are the events of an entry.
func texts(e *imtest.Entry) (list []string) {
	for _, ev := range e.Events {
		list = append(list, string(ev.Body))
	}
	return list
}

// A crowd that enters at one position costs one read of the log, and everybody in it is told the
// same; whoever comes after the next event is told that one too.
func TestACrowdSharesTheNewestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newReadLog(t)
		hub := imtest.NewHub(t, &im.Options{Log: log})
		room := hub.Room("42")
		for i := range 30 {
			if _, err := room.Send(t.Context(), im.Chat, i); err != nil {
				t.Fatal(err)
			}
		}
		come := func(n int) (reads int32, entries [][]string) {
			before := log.reads.Load()
			for range n {
				v := hub.Connect(im.User{ID: fmt.Sprint("viewer-", log.reads.Load(), "-", len(entries))})
				entries = append(entries, texts(v.Join("42", nil)))
			}
			return log.reads.Load() - before, entries
		}
		reads, entries := come(50)
		if reads > 2 { // the first is no crowd yet
			t.Errorf("50 joins at one position read the log %d times", reads)
		}
		for _, e := range entries {
			if len(e) != 20 || e[0] != "10" || e[19] != "29" {
				t.Fatalf("an entry has %v", e)
			}
		}
		if _, err := room.Send(t.Context(), im.Chat, 30); err != nil {
			t.Fatal(err)
		}
		reads, entries = come(10)
		if reads != 1 || entries[0][19] != "30" || !reflect.DeepEqual(entries[0], entries[9]) {
			t.Errorf("after one more event: %d reads, %v and %v", reads, entries[0], entries[9])
		}
		pass(2 * time.Second) // the log may have forgotten something
		if reads, _ = come(1); reads != 1 {
			t.Errorf("what was read 2 s ago was used again")
		}
	})
}

// The tiers of a crowd are told apart.
func TestACrowdOfTiers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := imtest.NewHub(t, nil)
		for i, kind := range []im.Kind{im.Gift, im.Chat, im.Danmaku} {
			if _, err := hub.Room("42").Send(t.Context(), kind, i); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 12 {
			n := i % 3
			v := hub.Connect(im.User{ID: fmt.Sprint("viewer-", i)})
			e := v.Join("42", &imtest.JoinOptions{Tier: [...]string{"critical", "reduced", "full"}[n]})
			if want := []string{"0", "1", "2"}[:n+1]; !reflect.DeepEqual(texts(e), want) {
				t.Errorf("tier %d is told %v; want %v", n, texts(e), want)
			}
		}
	})
}

// What cannot be read is nobody's page: all are refused, and those who come when the log answers are not.
func TestACrowdIsNotToldOfAFailedRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newReadLog(t)
		hub := imtest.NewHub(t, &im.Options{Log: log})
		if _, err := hub.Room("42").Send(t.Context(), im.Chat, "hello"); err != nil {
			t.Fatal(err)
		}
		join := func(i int) (*imtest.Entry, error) {
			return hub.Connect(im.User{ID: fmt.Sprint("viewer-", i)}).TryJoin("42", nil)
		}
		log.fails.Store(true)
		var crowd sync.WaitGroup
		for i := range 10 {
			crowd.Go(func() {
				if _, err := join(i); err == nil {
					t.Error("joined without the log")
				}
			})
		}
		crowd.Wait()
		log.fails.Store(false)
		for i := range 3 {
			if e, err := join(10 + i); err != nil || len(e.Events) != 1 {
				t.Errorf("after that: %v, %v", e, err)
			}
		}
	})
}

// The rooms that the query of a handshake names are joined before the client has said anything.
func TestRoomsOfTheHandshake(t *testing.T) {
	hub, url := serve(t, imtest.BearerUser, &im.Options{Admit: func(_ context.Context, _ *im.Session, room string) error {
		if room == "club" {
			return &im.Error{Code: im.CodeForbidden, Reason: "members only"}
		}
		return nil
	}}, nil, nil)
	first, err := hub.Room("42").Send(t.Context(), im.Chat, "first")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hub.Room("42").Send(t.Context(), im.Chat, "second"); err != nil {
		t.Fatal(err)
	}
	ann := dialAs(t, url+"?room=42&room=club&room=43&since="+first.Pos.String(), "ann")
	if m := ann.expect(wire.OpWelcome); m.User.ID != "ann" || m.SID == "" || !slices.Equal(m.Joining, []string{"42", "club", "43"}) {
		t.Errorf("welcome is %+v", m)
	}
	if m := ann.expect(wire.OpJoined); m.Room != "42" || !m.Recovered || len(m.Events) != 1 || m.ID != 0 {
		t.Errorf("joined is %+v", m)
	}
	if m := ann.expect(wire.OpLeft); m.Room != "club" || m.Code != "forbidden" || m.Reason != "members only" {
		t.Errorf("left is %+v", m)
	}
	if m := ann.expect(wire.OpJoined); m.Room != "43" {
		t.Errorf("joined is %+v", m)
	}
	if _, err := hub.Room("42").Send(t.Context(), im.Chat, "third"); err != nil {
		t.Fatal(err)
	}
	if m := ann.expect(wire.OpEvents); m.Room != "42" || string(m.Events[0].Body) != `"third"` {
		t.Errorf("events is %+v", m)
	}
	ann.send(`{"op":"leave","id":7,"room":"42"}`)
	if m := ann.expect(wire.OpLeft); m.ID != 7 || m.Code != "" {
		t.Errorf("left is %+v", m)
	}
	for query, status := range map[string]string{"?room=42": "401", "?room=": "400", "?room=42&since=x": "400", "?room=42&room=42": "400"} {
		header := http.Header{}
		if status != "401" {
			header.Set("Authorization", "Bearer ann")
		}
		if _, err := tryDial(t, url+query, header); err == nil || !strings.Contains(err.Error(), status) {
			t.Errorf("%s: %v; want %s", query, err, status)
		}
	}
}

// Whoever has been told that it is in can be found: by its id, and by its user.
func TestTheWelcomedAreKnown(t *testing.T) {
	hub, url := serve(t, imtest.BearerUser, nil, nil, nil)
	for i := range 50 {
		user := fmt.Sprint("viewer-", i)
		s := dialAs(t, url, user)
		sid := s.expect(wire.OpWelcome).SID
		if all := hub.User(user).Sessions(); len(all) != 1 || all[0].ID() != sid || all[0].RemoteAddr() == "" {
			t.Fatalf("%s has %d sessions", user, len(all))
		}
		again := dialAs(t, url, user)
		again.expect(wire.OpWelcome)
		if n, err := hub.User(user).Send(t.Context(), im.Notice, "hello"); n != 2 || err != nil {
			t.Fatalf("a message reached %d devices, error %v", n, err)
		}
		s.expect(wire.OpDirect)
		again.expect(wire.OpDirect)
	}
}

// A hook that takes long for the rooms of a handshake does not delay its answer for long: what is
// decided by then comes with it, the rest later. Nothing gets before it, and a join of the client's own stands.
func TestASlowHookDelaysTheHandshakeForAMoment(t *testing.T) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	hub, url := serve(t, imtest.BearerUser, &im.Options{
		Admit: func(_ context.Context, _ *im.Session, room string) error {
			if room == "slow" {
				close(entered)
				<-proceed
			}
			return nil
		},
	}, nil, nil)
	came := make(chan *socket, 1)
	go func() {
		s, err := tryDial(t, url+"?room=42&room=slow&room=43", http.Header{"Authorization": {"Bearer ann"}})
		if err != nil {
			t.Error(err)
		}
		came <- s
	}()
	<-entered
	if n, err := hub.User("ann").Send(t.Context(), im.Notice, "early"); n != 1 || err != nil {
		t.Errorf("a message to the session that is about to begin: %d, %v", n, err)
	}
	s := <-came // while the hook still waits
	if s == nil {
		t.FailNow()
	}
	if m := s.expect(wire.OpWelcome); !slices.Equal(m.Joining, []string{"42", "slow", "43"}) {
		t.Errorf("welcome is %+v", m)
	}
	if m := s.expect(wire.OpJoined); m.Room != "42" {
		t.Errorf("joined is %+v", m)
	}
	s.expect(wire.OpDirect)
	s.send(`{"op":"join","id":1,"room":"43","tier":"critical"}`)
	if m := s.expect(wire.OpJoined); m.Room != "43" || m.ID != 1 {
		t.Errorf("joined is %+v", m)
	}
	close(proceed)
	if m := s.expect(wire.OpJoined); m.Room != "slow" || m.ID != 0 {
		t.Errorf("joined is %+v", m)
	}
	s.send(`{"op":"ping","id":2}`)
	for {
		var m wire.Message
		if err := json.Unmarshal([]byte(s.read()), &m); err != nil || m.Op == wire.OpJoined {
			t.Fatalf("a second join: %+v, %v", m, err)
		} else if m.Op == wire.OpPong {
			return
		}
	}
}
