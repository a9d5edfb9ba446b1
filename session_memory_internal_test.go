//go:build !race

package im

import (
	"fmt"
	"runtime"
	"testing"
)

// TestMemoryOfASession holds the hub to what a session in one room may cost while nothing
// happens, without its connection: the transport has a test of its own.
func TestMemoryOfASession(t *testing.T) {
	const n, bar = 10_000, 1250 // bytes, those of the outlet and its cursor included
	hub := newUnlimited(t)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range n {
		r := parseHandshake(t)
		if err := hub.count(); err != nil {
			t.Fatal(err)
		}
		c := new(taker)
		hub.open(c, r, &User{ID: fmt.Sprint("viewer-", i), Name: fmt.Sprint("Viewer ", i)})
		_ = c.session.Receive([]byte(`{"op":"join","id":1,"room":"42"}`))
	}
	if got := hub.Room("42").Len(); got != n {
		t.Fatalf("%d of %d sessions are in the room", got, n)
	}
	each := (heap() - before) / n
	t.Logf("%d bytes a session", each)
	if each > bar {
		t.Errorf("a session costs %d bytes; want %d at most", each, bar)
	}
}

// TestCostOfAnEntry holds a join of a crowd to what it may allocate: most of it is the message.
func TestCostOfAnEntry(t *testing.T) {
	const bar = 16 // allocations of a join and of a departure
	hub := newUnlimited(t)
	for i := range 30 {
		if _, err := hub.Room("42").Send(t.Context(), Danmaku, i); err != nil {
			t.Fatal(err)
		}
	}
	c := new(taker)
	s, err := hub.Attach(c, User{ID: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	join := []byte(`{"op":"join","id":1,"room":"42"}`)
	got := testing.AllocsPerRun(500, func() {
		_ = c.session.Receive(join)
		s.leave(s.member("42"), 0, nil)
	})
	if got > bar {
		t.Errorf("%.0f allocations; want %d at most", got, bar)
	}
}
