package parts

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/puzpuzpuz/xsync/v3"
)

// registry is what the hub asks of its map of rooms (roommap.go of the root).
type registry interface {
	get(name string) (*int, bool)
	getOrMake(name string, fresh func() *int) *int
	removeIf(name string, v *int)
}

// xsyncMap is what the hub has.
type xsyncMap struct{ m *xsync.MapOf[string, *int] }

func (r xsyncMap) get(name string) (*int, bool) { return r.m.Load(name) }

func (r xsyncMap) getOrMake(name string, fresh func() *int) *int {
	v, _ := r.m.LoadOrCompute(name, fresh)
	return v
}

func (r xsyncMap) removeIf(name string, v *int) {
	r.m.Compute(name, func(old *int, ok bool) (*int, bool) { return old, !ok || old == v })
}

// syncMap makes a room that nobody needs when two ask for a new one at a time.
type syncMap struct{ m sync.Map }

func (r *syncMap) get(name string) (*int, bool) {
	v, ok := r.m.Load(name)
	if !ok {
		return nil, false
	}
	return v.(*int), true
}

func (r *syncMap) getOrMake(name string, fresh func() *int) *int {
	if v, ok := r.get(name); ok {
		return v
	}
	v, _ := r.m.LoadOrStore(name, fresh())
	return v.(*int)
}

func (r *syncMap) removeIf(name string, v *int) { r.m.CompareAndDelete(name, v) }

type lockedMap struct {
	mu sync.RWMutex // guards m
	m  map[string]*int
}

func (r *lockedMap) get(name string) (*int, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	v, ok := r.m[name]
	return v, ok
}

func (r *lockedMap) getOrMake(name string, fresh func() *int) *int {
	if v, ok := r.get(name); ok {
		return v
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.m[name]
	if !ok {
		v = fresh()
		r.m[name] = v
	}
	return v
}

func (r *lockedMap) removeIf(name string, v *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.m[name] == v {
		delete(r.m, name)
	}
}

// BenchmarkRoomMap is the hub's use of its rooms by goroutines on all processors: each message finds its room,
// and churn of a thousand operations end a room and make it anew.
func BenchmarkRoomMap(b *testing.B) {
	for _, rooms := range []int{10, 1000, 100_000} {
		names := make([]string, rooms)
		for i := range names {
			names[i] = fmt.Sprintf("room-%d", i)
		}
		for _, churn := range []int{0, 1, 100} {
			for _, impl := range []struct {
				name string
				open func() registry
			}{
				{"im", func() registry { return xsyncMap{xsync.NewMapOf[string, *int]()} }},
				{"sync.Map", func() registry { return &syncMap{} }},
				{"RWMutex", func() registry { return &lockedMap{m: map[string]*int{}} }},
			} {
				b.Run(fmt.Sprintf("rooms=%d/churn=%d/impl=%s", rooms, churn, impl.name), func(b *testing.B) {
					useRooms(b, impl.open(), names, churn)
				})
			}
		}
	}
}

func useRooms(b *testing.B, r registry, names []string, churn int) {
	fresh := func() *int { return new(int) }
	for _, name := range names {
		r.getOrMake(name, fresh)
	}
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := int(next.Add(1)) * 7919; pb.Next(); i++ {
			name := names[i%len(names)]
			v, ok := r.get(name)
			if i%1000 >= churn {
				continue
			}
			if ok {
				r.removeIf(name, v)
			}
			r.getOrMake(name, fresh)
		}
	})
}
