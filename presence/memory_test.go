//go:build !race

package presence

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/liveim/im"
)

// TestMemoryOfAMember holds the roster to what a member may cost; the strings are those of the session.
func TestMemoryOfAMember(t *testing.T) {
	const n, bar = 10_000, 190
	users := make([]im.User, n)
	for i := range users {
		users[i] = im.User{ID: fmt.Sprint("viewer-", i), Name: fmt.Sprint("Viewer ", i)}
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	r := &roster{of: "x", limit: 1000, grace: time.Second}
	for i := range users {
		r.see(&users[i], 0, time.Now())
	}
	each := (heap() - before) / n
	t.Logf("%d bytes a member", each)
	if each > bar {
		t.Errorf("a member costs %d bytes; want %d at most", each, bar)
	}
	runtime.KeepAlive(r)
	runtime.KeepAlive(users)
}

func BenchmarkComeAndGo(b *testing.B) {
	r := &roster{of: "x", limit: 1000, grace: time.Millisecond}
	users := make([]im.User, 10_000)
	now := time.Now()
	for i := range users {
		users[i] = im.User{ID: fmt.Sprint("viewer-", i)}
		r.see(&users[i], i%100, now)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		u := &users[i%len(users)]
		r.miss(u.ID, now)
		now = now.Add(2 * time.Millisecond)
		r.expire(now)
		r.see(u, 0, now)
	}
}

func BenchmarkTellLarge(b *testing.B) {
	r := &roster{of: "x", limit: 1000, grace: time.Second}
	now := time.Now()
	for i := range 10_000 {
		r.see(&im.User{ID: fmt.Sprint("viewer-", i)}, i%500, now)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.v++
		r.tell(true, 10, now)
	}
}
