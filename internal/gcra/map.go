package gcra

import (
	"hash/maphash"
	"math"
	"sync"
	"time"
)

// Map holds the buckets of many keys, one int64 each, which is 20 to 40 bytes with
// what a Go map needs besides. It is safe for use by many goroutines, and starts none.
// Make one with [New], keys with [Key].
//
// A key is a 64-bit hash, and nothing of what was hashed is kept. Keys that collide share
// a bucket: of ten million there are any two that do with a chance of one in 370,000 (n²/2⁶⁵),
// and then two users together are as fast as one may be. The hash is keyed with random bits of
// the process that no answer reveals, like that of Go's own maps, so that nobody can choose names
// which collide, neither to slow down somebody else nor to fill one shard.
type Map struct {
	seed   maphash.Seed
	most   int // entries of one shard
	shards [shards]shard
}

// shards bounds how many goroutines wait for each other, and for a sweep.
const shards = 64

type shard struct {
	mu   sync.Mutex // guards the fields below
	tats map[uint64]int64
	peak int // entries that tats has had at most
	// swept is when entries were last forgotten. For those, time does not go back before it.
	swept int64
	// again is when a newcomer may be tried again that found the shard full.
	again int64
}

// sweepShare bounds the time that sweeps of a full shard take: so long passes for each
// entry, which costs about 20 ns to look at. The newcomers of an attack then cost no sweep
// each; the price is that they wait for a shard of 16,384 half a second.
const sweepShare = int64(32 * time.Microsecond)

// New returns a Map for about that many entries, each of its 64 shards for its share. What
// is full again may be forgotten, as it is like new. While there are more that are not, newcomers
// are refused: forgetting somebody else would give an abuser a new burst.
func New(entries int) *Map {
	return &Map{seed: maphash.MakeSeed(), most: max(1, entries/shards)}
}

// Key returns the key of anything that can be compared: a struct, rather than
// strings put together, which collide.
func Key[K comparable](m *Map, k K) uint64 { return maphash.Comparable(m.seed, k) }

// Take is [Cell.Take] on the bucket of a key. Where a new key finds no room, wait is the
// time until the next look at what can be forgotten: then at least one entry can be, unless its
// owner takes more meanwhile.
func (m *Map) Take(key uint64, l Limit, n int, now time.Duration) (wait time.Duration, ok bool) {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	late := max(0, s.swept-int64(now))
	at := int64(now) + late
	tat, known := s.tats[key]
	if !known && len(s.tats) >= m.most {
		if at >= s.again {
			s.sweepLocked(at)
		}
		if len(s.tats) >= m.most {
			return time.Duration(s.again - int64(now)), false
		}
	}
	next, wait, ok := l.arrive(tat, n, at)
	if !ok {
		return wait + time.Duration(late), false
	}
	if s.tats == nil {
		s.tats = map[uint64]int64{}
	}
	s.tats[key] = next
	s.peak = max(s.peak, len(s.tats))
	return 0, true
}

// Wait returns what Take would, and takes nothing.
func (m *Map) Wait(key uint64, l Limit, n int, now time.Duration) time.Duration {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	late := max(0, s.swept-int64(now))
	tat, known := s.tats[key]
	if !known && len(s.tats) >= m.most {
		return time.Duration(max(0, s.again-int64(now)))
	}
	if _, wait, ok := l.arrive(tat, n, int64(now)+late); !ok {
		return wait + time.Duration(late)
	}
	return 0
}

// Give gives back n tokens that were taken under the same limit.
func (m *Map) Give(key uint64, l Limit, n int) {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if tat, ok := s.tats[key]; ok {
		s.tats[key] = tat - l.cost(n)
	}
}

// Sweep forgets the keys whose buckets are full again, which are like new ones.
func (m *Map) Sweep(now time.Duration) {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		s.sweepLocked(max(int64(now), s.swept))
		s.mu.Unlock()
	}
}

// Len returns how many keys are remembered.
func (m *Map) Len() (n int) {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		n += len(s.tats)
		s.mu.Unlock()
	}
	return n
}

func (m *Map) shard(key uint64) *shard { return &m.shards[key%shards] }

func (s *shard) sweepLocked(at int64) {
	s.again = at + int64(len(s.tats))*sweepShare
	first := int64(math.MaxInt64) // when the first of those that stay can go
	for k, tat := range s.tats {
		if tat <= at {
			delete(s.tats, k)
		} else {
			first = min(first, tat)
		}
	}
	s.swept = at
	if len(s.tats) > 0 {
		s.again = max(s.again, first)
	}
	if s.peak > 64 && len(s.tats) < s.peak/4 {
		s.shrinkLocked()
	}
}

// shrinkLocked gives back memory, which a Go map by itself keeps for ever.
func (s *shard) shrinkLocked() {
	var small map[uint64]int64
	if len(s.tats) > 0 {
		small = make(map[uint64]int64, len(s.tats))
		for k, tat := range s.tats {
			small[k] = tat
		}
	}
	s.tats, s.peak = small, len(small)
}
