package gcra

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var danmaku = Limit{20, 30 * time.Second}

// A19: one user after the other comes, far more than there is room for. The long form has
// ten million of them.
func TestA19TenMillionUsers(t *testing.T) {
	users, entries := 1_000_000, 1<<17
	if os.Getenv("IM_SOAK") != "" {
		users, entries = 10_000_000, 1<<20
	}
	before := heap()
	m, now := New(entries), time.Duration(0)
	abuser := Key(m, "abuser")
	m.Take(abuser, danmaku, 20, now)
	taken, refused := 20, 0
	for i := range users {
		now += time.Microsecond
		if _, ok := m.Take(Key(m, i), danmaku, 1, now); !ok {
			refused++
		}
		if i%100 == 0 {
			if _, ok := m.Take(abuser, danmaku, 1, now); ok {
				taken++
			}
		}
	}
	if most := 20 + int(now/(1500*time.Millisecond)); taken > most {
		t.Errorf("the abuser has taken %d in %v, want %d at most: it was forgotten", taken, now, most)
	}
	if n := m.Len(); n > entries {
		t.Errorf("%d are remembered, of %d at most", n, entries)
	}
	per := float64(heap()-before) / float64(m.Len())
	t.Logf("%d users, %d refused, %d remembered, %.1f bytes each", users, refused, m.Len(), per)
	if per > 48 {
		t.Errorf("a user costs %.1f bytes, want 48 at most", per)
	}
	runtime.KeepAlive(m)
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// Go's maps grow by doubling: one of any size must stay below the limit, and one whose
// users come and go as well.
func TestBytesOfAUser(t *testing.T) {
	for _, users := range []int{50_000, 77_000, 100_000, 150_000} {
		before := heap()
		m := New(10 * users)
		for i := range users {
			m.Take(Key(m, i), danmaku, 1, 0)
		}
		if per := float64(heap()-before) / float64(users); per > 48 {
			t.Errorf("of %d users each costs %.1f bytes, want 48 at most", users, per)
		}
		runtime.KeepAlive(m)
	}
	before := heap()
	entries := 1 << 15
	m, now := New(entries), time.Duration(0)
	for i := range 20 * entries { // about as fast as buckets become full
		now += 1600 * time.Millisecond / time.Duration(entries)
		m.Take(Key(m, i), danmaku, 1, now)
	}
	if per := float64(heap()-before) / float64(entries); per > 48 {
		t.Errorf("with users that come and go an entry costs %.1f bytes, want 48 at most", per)
	}
	runtime.KeepAlive(m)
}

// A shard that is full refuses newcomers, tells them the truth, and does not look at
// all of its entries for each of them.
func TestFullMapTellsNewcomersWhen(t *testing.T) {
	for _, entries := range []int{shards, 100 * shards} {
		m := New(entries)
		user := 0
		newcomer := func() uint64 { // in the first shard
			for {
				user++
				if key := Key(m, user); m.shard(key) == &m.shards[0] {
					return key
				}
			}
		}
		for i := range m.most {
			if _, ok := m.Take(newcomer(), danmaku, 1, time.Duration(i)); !ok {
				t.Fatalf("no room for the %dth of %d", i, m.most)
			}
		}
		now := time.Millisecond
		wait, ok := m.Take(newcomer(), danmaku, 1, now)
		if ok || wait < time.Second || wait > 2*time.Second {
			t.Fatalf("%d entries: a newcomer of a full map: %v, %v", entries, wait, ok)
		}
		again := m.shards[0].again
		for i := range 1000 {
			now += time.Microsecond
			key := newcomer()
			if asked := m.Wait(key, danmaku, 1, now); asked != time.Duration(again)-now {
				t.Fatalf("Wait says %v", asked)
			}
			if _, ok := m.Take(key, danmaku, 1, now); ok {
				t.Fatal("somebody was forgotten")
			}
			if m.shards[0].swept != int64(time.Millisecond) {
				t.Fatalf("newcomer %d costs a sweep", i)
			}
		}
		if wait, ok := m.Take(newcomer(), danmaku, 1, time.Millisecond+wait); !ok {
			t.Errorf("%d entries: it waited as long as it was told, and is to wait %v more", entries, wait)
		}
	}
}

func TestSweepForgetsWhoIsAtRest(t *testing.T) {
	m, l := New(1000), Limit{5, 10 * time.Second}
	ann, bob := Key(m, "ann"), Key(m, "bob")
	m.Take(ann, l, 5, 0)
	m.Take(bob, l, 1, 0)
	m.Sweep(3 * time.Second)
	if n := m.Len(); n != 1 {
		t.Fatalf("%d are remembered, want ann alone", n)
	}
	if _, ok := m.Take(ann, l, 5, 3*time.Second); ok {
		t.Error("a sweep gave ann a new burst")
	}
	m.Sweep(time.Minute)
	if n := m.Len(); n != 0 {
		t.Errorf("%d are remembered after a minute", n)
	}
	m.Give(ann, l, 5) // is nothing to somebody who has everything
	if _, ok := m.Take(ann, l, 5, time.Minute); !ok {
		t.Error("ann does not have all")
	}
	if wait, ok := m.Take(ann, l, 1, time.Minute); ok || wait != 2*time.Second {
		t.Errorf("ann has more than all: %v, %v", wait, ok)
	}
	m.Give(ann, l, 1)
	if _, ok := m.Take(ann, l, 1, time.Minute); !ok {
		t.Error("what was given back is not there")
	}
}

// After a crowd has gone its memory goes too.
func TestSweepGivesMemoryBack(t *testing.T) {
	before := heap()
	m := New(1_000_000)
	for i := range 100_000 {
		m.Take(Key(m, i), danmaku, 1, 0)
	}
	stay := Key(m, "stays")
	m.Take(stay, danmaku, 20, 0)
	m.Sweep(10 * time.Second)
	if kept := heap() - before; m.Len() != 1 || kept > 100_000 {
		t.Errorf("%d bytes are kept for %d users", kept, m.Len())
	}
	if wait, ok := m.Take(stay, danmaku, 20, 10*time.Second); ok || wait != 20*time.Second {
		t.Errorf("who stays has to wait %v", wait)
	}
}

func TestManyAtOnce(t *testing.T) {
	m, l := New(1_000_000), Limit{100, time.Hour} // never full: a sweep would move its time
	var cell Cell
	var fromMap, fromCell atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 1000 {
				if _, ok := m.Take(Key(m, "ann"), l, 1, 0); ok {
					fromMap.Add(1)
				}
				if _, ok := cell.Take(l, 1, 0); ok {
					fromCell.Add(1)
				}
				m.Take(Key(m, [2]int{i, j}), danmaku, 1, time.Duration(j)*time.Second)
				if j%100 == 0 {
					m.Sweep(0)
					m.Len()
					m.Wait(Key(m, i), l, 1, 0)
				}
			}
		})
	}
	all.Wait()
	if a, b := fromMap.Load(), fromCell.Load(); a != 100 || b != 100 {
		t.Errorf("of 100 the map gave %d, the cell %d", a, b)
	}
}

type userAndKind struct{ user, kind string }

func TestTakeDoesNotAllocate(t *testing.T) {
	m, l := New(shards), Limit{20, time.Hour}
	ann, bob := userAndKind{"ann", "danmaku"}, userAndKind{"bob", "danmaku"}
	m.Take(Key(m, ann), l, 1, 0)
	for i := range 100 * shards { // no room for anybody else
		m.Take(Key(m, i), l, 1, 0)
	}
	for name, take := range map[string]func(){
		"of a known key":  func() { m.Take(Key(m, ann), l, 1, 0) },
		"of a newcomer":   func() { m.Take(Key(m, bob), l, 1, 0) },
		"asked for":       func() { m.Wait(Key(m, bob), l, 1, 0) },
		"and given back":  func() { m.Give(Key(m, ann), l, 1) },
		"after some time": func() { m.Take(Key(m, ann), l, 1, time.Hour) },
	} {
		if n := testing.AllocsPerRun(100, take); n != 0 {
			t.Errorf("a take %s allocates %v times", name, n)
		}
	}
}
