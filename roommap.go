package im

import (
	"iter"

	"github.com/puzpuzpuz/xsync/v3"
)

// registry is a map from keys to live things that every message looks up:
// rooms, users, sessions. Reads take no lock. The library that does this is
// known to this file alone.
type registry[K, V comparable] struct {
	m *xsync.MapOf[K, V]
}

func newRegistry[K, V comparable]() registry[K, V] {
	return registry[K, V]{xsync.NewMapOf[K, V]()}
}

// get returns what has the key.
func (r registry[K, V]) get(key K) (V, bool) { return r.m.Load(key) }

// getOrMake returns what has the key, or puts there what fresh makes. fresh
// runs at most once and must not use the registry.
func (r registry[K, V]) getOrMake(key K, fresh func() V) V {
	v, _ := r.m.LoadOrCompute(key, fresh)
	return v
}

// update replaces the value under key, atomically with regard to that key:
// change gets the old one and returns the new one, or keep false to have none.
func (r registry[K, V]) update(key K, change func(old V, ok bool) (v V, keep bool)) {
	r.m.Compute(key, func(old V, ok bool) (V, bool) {
		v, keep := change(old, ok)
		return v, !keep
	})
}

// removeIf removes the key if it still stands for v.
func (r registry[K, V]) removeIf(key K, v V) {
	r.m.Compute(key, func(old V, ok bool) (V, bool) {
		return old, !ok || old == v
	})
}

// all yields every entry that is there throughout the iteration, in no order.
func (r registry[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { r.m.Range(yield) }
}

func (r registry[K, V]) len() int { return r.m.Size() }
