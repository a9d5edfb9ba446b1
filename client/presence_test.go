package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
)

// told has the server tell the room who is there.
func (p *peer) told(body string) {
	p.sendf(`{"op":"online","room":"42","count":3,"told":{"presence":%s}}`, body)
}

func membersOf(list []Member) string {
	var names []string
	for _, m := range list {
		names = append(names, m.ID)
	}
	return strings.Join(names, " ")
}

func TestSmallRostersComeByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dialFake(t, newFakeServer(t), Options{})
		r := joinFake(t, c, p, "42", nil)
		p.told(`{"of":"a","v":2,"prev":0,"count":2,"in":[{"id":"ann","name":"Ann"},{"id":"bob"}]}`)
		u := next[Online](t, r)
		if u.Presence == nil || membersOf(u.Presence.In) != "ann bob" || len(u.Presence.Out) != 0 {
			t.Fatalf("%+v", u.Presence)
		}
		p.told(`{"of":"a","v":2,"prev":0,"count":2,"in":[{"id":"ann","name":"Ann"},{"id":"bob"}]}`)
		if u := next[Online](t, r); u.Presence != nil {
			t.Fatalf("told again: %+v", u.Presence)
		}
		p.told(`{"of":"a","v":5,"prev":2,"count":2,"in":[{"id":"cy"},{"id":"ann","name":"Anna"}],"out":["bob"]}`)
		u = next[Online](t, r)
		if membersOf(u.Presence.In) != "ann cy" || !slices.Equal(u.Presence.Out, []string{"bob"}) {
			t.Fatalf("%+v", u.Presence)
		}
		roster, err := r.Roster(t.Context())
		if err != nil || membersOf(roster.Members) != "ann cy" || roster.Members[0].Name != "Anna" || roster.Count != 2 {
			t.Fatalf("%+v, %v", roster, err)
		}
		p.told(`{"of":"a","v":9,"prev":8,"count":2}`)
		if u := next[Online](t, r); !u.Presence.Lost {
			t.Fatalf("it has missed something: %+v", u.Presence)
		}
		p.told(`{"of":"b","v":1,"prev":0,"count":1,"in":[{"id":"dan"}]}`)
		if u := next[Online](t, r); membersOf(u.Presence.In) != "dan" {
			t.Fatalf("another server: %+v", u.Presence)
		}
		p.told(`{"of":"b","v":7,"count":1200,"large":true,"came":[{"id":"eve"}],"top":[{"id":"dan","rank":7}]}`)
		u = next[Online](t, r)
		roster, err = r.Roster(t.Context())
		if err != nil || !u.Presence.Large || membersOf(u.Presence.Came) != "eve" || roster.Count != 1200 || len(roster.Members) != 0 || roster.Top[0].Rank != 7 {
			t.Fatalf("%+v, %+v, %v", u.Presence, roster, err)
		}
		p.told(`{"of":5}`)
		if u := next[Online](t, r); u.Presence != nil {
			t.Fatalf("nonsense: %+v", u.Presence)
		}
	})
}

// What is told while the pages are read is not lost.
func TestRosterIsReadWhileItChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dialFake(t, newFakeServer(t), Options{})
		r := joinFake(t, c, p, "42", nil)
		p.told(`{"of":"a","v":10,"prev":9,"count":3,"in":[{"id":"u3"}]}`)
		if u := next[Online](t, r); u.Presence == nil || u.Presence.Lost || len(u.Presence.In) != 0 {
			t.Fatalf("nothing was known: %+v", u.Presence)
		}
		got := going(func() (Roster, error) { return r.Roster(t.Context()) })
		page := func(after int, body string) {
			req := p.expect(opRoster)
			var ask struct{ After int }
			if err := json.Unmarshal(req.Body, &ask); err != nil || ask.After != after {
				t.Fatalf("asks for %s, want after %d", req.Body, after)
			}
			p.sendf(`{"op":"ack","id":%d,"status":"ok","body":%s}`, req.ID, body)
		}
		page(0, `{"of":"a","v":10,"count":3,"members":[{"id":"u1"},{"id":"u2"}],"next":2}`)
		p.told(`{"of":"a","v":12,"prev":9,"count":3,"in":[{"id":"u4"},{"id":"u3"}],"out":["u1"]}`)
		page(2, `{"of":"a","v":12,"count":3,"members":[{"id":"u3"},{"id":"u4"}]}`)
		roster, err := got()
		if err != nil || membersOf(roster.Members) != "u2 u3 u4" || roster.Count != 3 {
			t.Fatalf("%+v, %v", roster, err)
		}

		p.told(`{"of":"a","v":40,"prev":39,"count":3}`)
		got = going(func() (Roster, error) { synctest.Wait(); return r.Roster(t.Context()) })
		for i := range 3 { // something is missing each time
			page(0, fmt.Sprintf(`{"of":"a","v":%d,"count":2,"members":[{"id":"u1"}],"next":1}`, 40+10*i))
			p.told(fmt.Sprintf(`{"of":"a","v":%d,"prev":%d,"count":3}`, 49+10*i, 48+10*i))
			page(1, fmt.Sprintf(`{"of":"a","v":%d,"count":2,"members":[{"id":"u2"}]}`, 49+10*i))
		}
		if _, err := got(); err == nil {
			t.Fatal("a roster with a hole")
		}
	})
}

func TestRosterOfAServerWithoutPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dialFake(t, newFakeServer(t), Options{})
		r := joinFake(t, c, p, "42", nil)
		got := going(func() (Roster, error) { return r.Roster(t.Context()) })
		p.sendf(`{"op":"error","id":%d,"code":"not_found"}`, p.expect(opRoster).ID)
		if _, err := got(); !errors.Is(err, &im.Error{Code: im.CodeNotFound}) {
			t.Fatalf("%v", err)
		}
	})
}

// An application that lags gets one update, which adds up.
func TestPresenceChangesAddUp(t *testing.T) {
	var q queue
	q.limit = 10
	change := func(in, out string) item {
		p := &PresenceChange{Out: strings.Fields(out)}
		for _, id := range strings.Fields(in) {
			p.In = append(p.In, Member{ID: id})
		}
		return item{Online{Presence: p}, im.Position{}}
	}
	q.push(change("a b", ""), change("c", "a"), item{Online{Count: 7}, im.Position{}}, change("d a", "b x"))
	it, _ := q.pop()
	u := it.update.(Online)
	if q.len() != 0 || membersOf(u.Presence.In) != "c d a" || strings.Join(u.Presence.Out, " ") != "b x" {
		t.Errorf("%+v", u.Presence)
	}
}

func TestReactionsGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dialFake(t, newFakeServer(t), Options{})
		r := joinFake(t, c, p, "42", nil)
		expect := func(n int) uint64 {
			t.Helper()
			req := p.expect("send")
			var b struct{ N int }
			if err := json.Unmarshal(req.Body, &b); err != nil || b.N != n || req.Kind != "like" || req.CID != "" {
				t.Fatalf("sent %+v %s, want %d", req, req.Body, n)
			}
			return req.ID
		}
		begin := time.Now()
		for range 14 {
			if err := r.Like(1); err != nil {
				t.Fatal(err)
			}
			<-time.After(10 * time.Millisecond)
		}
		p.sendf(`{"op":"ack","id":%d,"status":"merged"}`, expect(10))
		if d := time.Since(begin); d != reactEvery {
			t.Errorf("sent after %v", d)
		}
		p.sendf(`{"op":"error","id":%d,"code":"rate_limited","retry_ms":900}`, expect(4))
		begin = time.Now()
		_ = r.Like(2)
		p.sendf(`{"op":"ack","id":%d,"status":"merged"}`, expect(6))
		if d := time.Since(begin); d < 900*time.Millisecond || d > time.Second {
			t.Errorf("sent again after %v", d)
		}
		_ = r.Like(1)
		p.sendf(`{"op":"error","id":%d,"code":"forbidden"}`, expect(1))
		if _, ok := p.request(5 * time.Second); ok {
			t.Error("what was refused for good is sent again")
		}
		if err := r.React("like", 0); err == nil {
			t.Error("no reaction at all was taken")
		}
		left := going(func() (bool, error) { return true, r.Leave(t.Context()) })
		p.sendf(`{"op":"left","id":%d,"room":"42"}`, p.expect("leave").ID)
		_, _ = left()
		if err := r.Like(1); !errors.Is(err, ErrLeft) {
			t.Errorf("after Leave: %v", err)
		}
	})
}
