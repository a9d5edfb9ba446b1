package im

import (
	"iter"

	"github.com/puzpuzpuz/xsync/v3"
)

// registry is a map from names to live things that every message looks up:
// rooms, users, sessions. Reads take no lock. The library that does this is
// known to this file alone.
type registry[V comparable] struct {
	m *xsync.MapOf[string, V]
}

func newRegistry[V comparable]() registry[V] {
	return registry[V]{xsync.NewMapOf[string, V]()}
}

// get returns what has the name.
func (r registry[V]) get(name string) (V, bool) { return r.m.Load(name) }

// getOrMake returns what has the name, or puts there what fresh makes. fresh
// runs at most once and must not use the registry.
func (r registry[V]) getOrMake(name string, fresh func() V) V {
	v, _ := r.m.LoadOrCompute(name, fresh)
	return v
}

// update replaces the value under name, atomically with regard to that name:
// change gets the old one and returns the new one, or keep false to have none.
func (r registry[V]) update(name string, change func(old V, ok bool) (v V, keep bool)) {
	r.m.Compute(name, func(old V, ok bool) (V, bool) {
		v, keep := change(old, ok)
		return v, !keep
	})
}

// removeIf removes the name if it still stands for v.
func (r registry[V]) removeIf(name string, v V) {
	r.m.Compute(name, func(old V, ok bool) (V, bool) {
		return old, !ok || old == v
	})
}

// all yields every entry that is there throughout the iteration, in no order.
func (r registry[V]) all() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) { r.m.Range(yield) }
}

func (r registry[V]) len() int { return r.m.Size() }
