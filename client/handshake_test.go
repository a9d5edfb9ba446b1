package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/wire"
)

func TestRoomQuery(t *testing.T) {
	long := strings.Repeat("直", 42)
	var many, wide []string
	for i := range 12 {
		many, wide = append(many, fmt.Sprint("room-", i)), append(wide, fmt.Sprintf("%02d", i)+long)
	}
	for _, tt := range []struct {
		name  string
		opt   Options
		rooms []string
		least int // rooms in the query
		most  int
	}{
		{name: "none"},
		{name: "one", rooms: []string{"直 &"}, least: 1, most: 1},
		{name: "many", rooms: many, least: 8, most: 8},
		{name: "long names", rooms: wide, least: 3, most: 7},
		{name: "names that the server refuses", rooms: []string{"", "a\x00b", "a\xff", strings.Repeat("x", 129), "fine"}, least: 1, most: 1},
		{name: "a token comes after the handshake", opt: Options{Token: func(context.Context) (string, error) { return "", nil }}, rooms: []string{"42"}},
		{name: "another transport", opt: Options{Dial: func(context.Context) (Conn, error) { return nil, nil }}, rooms: []string{"42"}},
	} {
		c := &Client{opt: tt.opt, rooms: map[string]*Room{}}
		for i, name := range tt.rooms {
			c.rooms[name] = &Room{name: name, tier: TierReduced, view: view{pos: im.Position{Epoch: "e.1", Seq: uint64(i)}}}
		}
		query, asked := c.roomQuery()
		got := queryRooms(query)
		if len(query) > maxQuery || len(got) < tt.least || len(got) > tt.most || len(got) != len(asked) {
			t.Errorf("%s: %q of %d bytes names %d rooms, %d asked", tt.name, query, len(query), len(got), len(asked))
		}
		for _, room := range got {
			r := c.rooms[room.Name]
			if r == nil || room.Since != r.view.pos.String() || room.Tier != "reduced" || asked[room.Name] != r.entry() {
				t.Errorf("%s: the query names %+v", tt.name, room)
			}
		}
	}
	if bad := (entry{since: im.Position{Seq: 1}}); fitsQuery("42", bad) {
		t.Error("a position without an epoch is in the query")
	}
}

// startFake connects a client whose handshakes name rooms, and joins them.
func startFake(t *testing.T, f *fakeServer, rooms ...string) (*Client, []*Room) {
	t.Helper()
	opt, err := new(Options).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan *peer, 1)
	go func() { accepted <- f.accept() }()
	c, err := start(t.Context(), opt, f.dialQuery)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	p := <-accepted
	var all []*Room
	for _, name := range rooms {
		all = append(all, joinFake(t, c, p, name, nil))
	}
	p.drop(errCut)
	return c, all
}

// Whatever changes while a handshake is under way, each room is entered as it is wanted then.
func TestChangesDuringTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c, rooms := startFake(t, f, "tier", "left", "same")
		p := f.next()
		if got := queryRooms(p.query); len(got) != 3 || got[0].Name != "left" || got[0].Since != "e1.100" {
			t.Errorf("the handshake names %v", got)
		}
		if err := rooms[0].SetTier(t.Context(), TierCritical); err != nil {
			t.Error(err)
		}
		if err := rooms[1].Leave(t.Context()); err != nil {
			t.Error(err)
		}
		late := going(func() (*Room, error) { return c.Join(t.Context(), "late", nil) })
		synctest.Wait()
		p.send(`{"op":"welcome","sid":"s","user":{"id":"u1"},"protocol":1,"joining":["tier","left","same"]}`)
		for _, name := range []string{"tier", "left", "same"} {
			p.sendf(`{"op":"joined","room":%q,"epoch":"e1","seq":100,"recovered":true}`, name)
		}
		asked := map[string]wire.Request{}
		for range 3 {
			q, ok := p.request(time.Second)
			if !ok {
				break
			}
			asked[q.Op+" "+q.Room] = q
			if q.Op == wire.OpJoin {
				p.sendf(`{"op":"joined","id":%d,"room":%q,"epoch":"e1","seq":100,"recovered":%v}`, q.ID, q.Room, q.Since != nil)
			}
		}
		if got, want := slices.Sorted(maps.Keys(asked)), []string{"join late", "join tier", "leave left"}; !slices.Equal(got, want) {
			t.Errorf("the client sends %q; want %q", got, want)
		}
		if q := asked["join tier"]; q.Tier != "critical" || q.Since == nil {
			t.Errorf("the join of the new tier is %+v", q)
		}
		if _, err := late(); err != nil {
			t.Error(err)
		}
		next[Resumed](t, rooms[0])
		next[Resumed](t, rooms[2])
		if q, ok := p.request(time.Second); ok {
			t.Errorf("the client sends %+v", q)
		}
	})
}

// A refusal by the handshake concerns one room: it fails a first join, and puts a room out.
func TestRefusalsByTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c, rooms := startFake(t, f, "42", "busy")
		club := going(func() (*Room, error) { return c.Join(t.Context(), "club", nil) })
		p := f.next()
		p.send(`{"op":"welcome","sid":"s","user":{"id":"u1"},"protocol":1,"joining":["42","busy","club"]}`,
			`{"op":"left","room":"club","code":"forbidden","reason":"members only"}`,
			`{"op":"left","room":"busy","code":"overloaded","retry_ms":700}`,
			`{"op":"joined","room":"42","epoch":"e1","seq":100,"recovered":true}`)
		if _, err := club(); !errors.Is(err, &im.Error{Code: im.CodeForbidden}) {
			t.Errorf("the join of the club: %v", err)
		}
		next[Resumed](t, rooms[0])
		if q := p.join(); q.Room != "busy" || q.Since == nil {
			t.Errorf("the client sends %+v", q)
		}
		next[Reset](t, rooms[1])
	})
}

// A handshake that is refused for good because of its query is made again without.
func TestARefusedQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		_, rooms := startFake(t, f, "42")
		f.refuseNext(&im.Error{Code: im.CodeBadRequest})
		p := f.accept()
		if p.query != "" {
			t.Errorf("the next handshake has the query %q", p.query)
		}
		p.join()
		next[Reset](t, rooms[0])
	})
}

// With a real hub, a client that comes back sends no join.
func TestTheHubJoinsByTheHandshake(t *testing.T) {
	joins := make(chan string, 16)
	hub := imtest.NewHub(t, &im.Options{Observe: func(s im.Signal) {
		if s.Type == im.SignalJoined {
			joins <- s.Room
		}
	}})
	handshakes := make(chan string, 16)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handshakes <- r.URL.RawQuery
		hub.ServeHTTP(w, r)
	}))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := Dial(ctx, srv.URL+"/ws", &Options{Header: http.Header{"Authorization": {"Bearer ann"}}, BackoffMin: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	room, err := c.Join(ctx, "42", nil)
	if err != nil {
		t.Fatal(err)
	}
	next[Reset](t, room)
	for _, s := range hub.User("ann").Sessions() {
		s.Close(&im.Error{Code: im.CodeShutdown})
	}
	for u := range room.Updates(ctx) {
		if _, ok := u.(Resumed); ok {
			break
		}
	}
	if first, second := <-handshakes, <-handshakes; first != "" || !strings.HasPrefix(second, "room=42&since=") {
		t.Errorf("the handshakes have the queries %q and %q", first, second)
	}
	if n := len(joins); n != 2 {
		t.Errorf("the room was joined %d times", n)
	}
}
