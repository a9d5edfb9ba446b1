package gift

import (
	"encoding/json"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
)

// shownTop is the list of top givers in the state of the room.
func shownTop(t *testing.T, s *site, scope string) TopList {
	t.Helper()
	value, version, err := s.Room("42").State().Get(t.Context(), "gift.top."+scope)
	if err != nil {
		t.Fatal(err)
	}
	var l TopList
	if version != 0 && json.Unmarshal(value, &l) != nil {
		t.Fatalf("the state has %s", value)
	}
	return l
}

func TestTopGivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stream atomic.Value
		stream.Store("s1")
		s := newSite(t, func(o *Options) {
			o.Stream = func(string) string { return stream.Load().(string) }
			o.Zone = time.FixedZone("east", 8*3600)
			o.Top = 2
		}, nil)
		ann, bob, cid := s.Join("42", im.User{ID: "ann", Name: "Ann"}), s.Join("42", im.User{ID: "bob"}), s.Join("42", im.User{ID: "cid"})
		mustGive(t, ann, "1", `{"gift":"rose","count":2}`, StateDelivered)
		big := mustGive(t, bob, "1", `{"gift":"rose","count":3}`, StateDelivered)
		mustGive(t, cid, "1", `{"gift":"rose"}`, StateDelivered)
		mustGive(t, cid, "2", `{"gift":"euro","count":90}`, StateDelivered) // of another currency
		<-time.After(3 * time.Second)
		for _, scope := range []string{"stream", "day", "all"} {
			l := shownTop(t, s, scope)
			if len(l.Top) != 2 || l.Top[0] != (Giver{ID: "bob", Name: "bob", Amount: 297}) || l.Top[1] != (Giver{ID: "ann", Name: "Ann", Amount: 198}) || l.Currency != "coin" {
				t.Errorf("%s: %+v", scope, l)
			}
		}
		if err := s.gifts.Refund(t.Context(), big.Order, ""); err != nil {
			t.Fatal(err)
		}
		stream.Store("s2") // what is refunded is of the stream before
		mustGive(t, cid, "3", `{"gift":"rose","count":4}`, StateDelivered)
		<-time.After(3 * time.Second)
		if l := shownTop(t, s, "all"); len(l.Top) != 2 || l.Top[0].Amount != 495 || l.Top[1].ID != "ann" {
			t.Errorf("all after a refund: %+v", l)
		}
		if l := shownTop(t, s, "stream"); l.Period != "s2" || len(l.Top) != 1 || l.Top[0] != (Giver{ID: "cid", Name: "cid", Amount: 396}) {
			t.Errorf("the new stream: %+v", l)
		}
		if l := shownTop(t, s, "day"); l.Period != "2000-01-01" || len(l.Top) != 2 {
			t.Errorf("the day: %+v", l) // a bubble begins at midnight UTC
		}
		<-time.After(17 * time.Hour)
		if l := shownTop(t, s, "day"); l.Period != "" {
			t.Errorf("the list of yesterday is there: %+v", l)
		}
		ann = s.Join("42", im.User{ID: "ann", Name: "Ann"}) // the day was too long for the first session
		mustGive(t, ann, "4", `{"gift":"rose"}`, StateDelivered)
		<-time.After(3 * time.Second)
		if l := shownTop(t, s, "day"); l.Period != "2000-01-02" || len(l.Top) != 1 {
			t.Errorf("the next day: %+v", l)
		}
		raw, err := ann.Call("gift.top", "42", map[string]string{"list": "all"})
		var l TopList
		if err != nil || json.Unmarshal(raw, &l) != nil || len(l.Top) != 2 || l.Top[0].ID != "cid" {
			t.Errorf("gift.top: %s, %v", raw, err)
		}
	})
}

// The lists change at most once in TopEvery, however many give.
func TestTopGiversAreCoarse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, nil, nil)
		ann := s.Join("42", im.User{ID: "ann"})
		for n := range 100 {
			mustGive(t, ann, fmt.Sprint(n), `{"gift":"rose"}`, StateDelivered)
			<-time.After(100 * time.Millisecond)
		}
		<-time.After(5 * time.Second)
		page, err := s.Room("42").History(t.Context(), im.HistoryQuery{Kinds: []im.Kind{im.State}, Max: 1000})
		if err != nil || len(page.Events) > 24 || len(page.Events) < 10 {
			t.Errorf("the two lists changed %d times in 10 s (%v), want about 10 times each", len(page.Events), err)
		}
		if l := shownTop(t, s, "all"); len(l.Top) != 1 || l.Top[0].Amount != 9900 {
			t.Errorf("all: %+v", l)
		}
	})
}

func TestRanking(t *testing.T) {
	l := &ranking{}
	for n := range kept + 50 {
		l.put(Giver{ID: fmt.Sprintf("u%03d", n), Amount: int64(n + 1)})
	}
	if len(l.Top) != kept || !l.More || l.Top[0].ID != "u149" || l.Top[kept-1].Amount != 51 {
		t.Fatalf("%d in the list, of %+v to %+v", len(l.Top), l.Top[0], l.Top[len(l.Top)-1])
	}
	if !l.put(Giver{ID: "u149", Amount: 500}) || l.Top[0].Amount != 500 || len(l.Top) != kept {
		t.Error("who rises needs no look at the others")
	}
	if l.put(Giver{ID: "u148", Amount: 1}) {
		t.Error("somebody who is not in the list may have to move up, and put says that all is well")
	}
}

func TestArithmetic(t *testing.T) {
	tests := []struct {
		price, count, want int64
		ok                 bool
	}{
		{1, 1, 1, true}, {MaxAmount, 1, MaxAmount, true}, {1, MaxAmount, MaxAmount, true}, {MaxAmount, 2, 0, false},
		{1 << 52, 2, 0, false}, {1 << 51, 2, 1 << 52, true}, {math.MaxInt64, math.MaxInt64, 0, false}, {1 << 32, 1 << 32, 0, false},
		{0, 1, 0, false}, {1, 0, 0, false}, {-1, -1, 0, false}, {math.MinInt64, 1, 0, false}, {3, 5, 15, true},
	}
	for _, test := range tests {
		if got, ok := times(test.price, test.count); got != test.want || ok != test.ok {
			t.Errorf("times(%d, %d) = %d, %v", test.price, test.count, got, ok)
		}
	}
	sums := [][3]int64{{1, 2, 3}, {3, -2, 1}, {1, -2, 0}, {math.MaxInt64 - 1, 1, math.MaxInt64}, {math.MaxInt64 - 1, 5, math.MaxInt64}, {math.MaxInt64, -5, math.MaxInt64}}
	for _, s := range sums {
		if got := addSum(s[0], s[1]); got != s[2] {
			t.Errorf("addSum(%d, %d) = %d, want %d", s[0], s[1], got, s[2])
		}
	}
}

func TestCombo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, nil, nil)
		ann, bob := s.Join("42", im.User{ID: "ann"}), s.Join("42", im.User{ID: "bob"})
		one := mustGive(t, ann, "1", `{"gift":"rose"}`, StateDelivered)
		<-time.After(4 * time.Second)
		two := mustGive(t, ann, "2", `{"gift":"rose","count":5}`, StateDelivered)
		again := mustGive(t, ann, "2", `{"gift":"rose","count":5}`, StateDelivered)
		other := mustGive(t, bob, "1", `{"gift":"rose"}`, StateDelivered)
		plain := mustGive(t, ann, "3", `{"gift":"euro"}`, StateDelivered)
		<-time.After(4 * time.Second)
		three := mustGive(t, ann, "4", `{"gift":"rose"}`, StateDelivered)
		<-time.After(6 * time.Second)
		late := mustGive(t, ann, "5", `{"gift":"rose"}`, StateDelivered)
		want := func(name string, r result, id string, count int64) {
			t.Helper()
			if r.Combo == nil || r.Combo.ID != id || r.Combo.Count != count || r.Combo.WindowMS != 5000 {
				t.Errorf("%s: %+v, want %s with %d", name, r.Combo, id, count)
			}
		}
		want("first", one, one.Order, 1)
		want("second", two, one.Order, 6)
		want("its retry", again, one.Order, 6)
		want("third", three, one.Order, 7)
		want("somebody else", other, other.Order, 1)
		want("too late", late, late.Order, 1)
		if plain.Combo != nil {
			t.Errorf("a gift without a window has %+v", plain.Combo)
		}
	})
}
