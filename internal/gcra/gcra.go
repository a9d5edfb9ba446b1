// Package gcra limits rates with a few bytes for each of many users.
//
// A limit is a token bucket in the form of the generic cell rate algorithm (ITU-T
// I.371 and ATM Forum TM 4.0, where it polices cells): what is kept is not a count but
// one time, the theoretical arrival time of the next event if all came evenly. All
// arithmetic is on whole nanoseconds.
//
// A [Map] holds such times under 64-bit keyed hashes. Two of ten million keys share a
// bucket with a chance of about one in 370,000, and nobody without the seed can aim for it.
package gcra

import (
	"hash/maphash"
	"sync"
	"time"
)

// Limit is a token bucket: N at once, refilled evenly so that N come back in Per.
// Both must be positive.
type Limit struct {
	N   int
	Per time.Duration
}

// interval is the time in which one token comes back.
func (l Limit) interval() time.Duration { return max(1, l.Per/time.Duration(l.N)) }

// Cell is the bucket of one key. The zero value is full. Its owner serialises
// calls.
type Cell struct{ tat time.Duration }

// Take takes n tokens, N at most. If they are not there it takes none and returns
// after which time they will be: waiting exactly that long is enough, if nothing else is
// taken meanwhile. now is of a clock that does not go back; if it does, nothing is
// permitted early.
func (c *Cell) Take(l Limit, n int, now time.Duration) (wait time.Duration, ok bool) {
	t := l.interval()
	next := max(c.tat, now) + time.Duration(min(n, l.N))*t
	if wait = next - now - time.Duration(l.N)*t; wait > 0 {
		return wait, false
	}
	c.tat = next
	return 0, true
}

// Give gives back n tokens that were taken.
func (c *Cell) Give(l Limit, n int) { c.tat -= time.Duration(min(n, l.N)) * l.interval() }

// shards bounds how many goroutines wait for each other.
const shards = 64

// Map is the buckets of many keys. It is safe for use by many goroutines, and starts
// none. Make one with [New].
type Map struct {
	seed  maphash.Seed
	most  int // entries of one shard
	shard [shards]shard
}

type shard struct {
	mu    sync.Mutex // guards the fields below
	cells map[uint64]Cell
	// idle is when a full shard is swept again, 0 if it is not full. Else a crowd of
	// newcomers would have it swept for each of them.
	idle time.Duration
}

// New returns a Map for entries keys. What is full again is forgotten; if there
// are more keys in use, new ones are refused until then, since forgetting somebody
// would give an abuser a new burst.
func New(entries int) *Map {
	return &Map{seed: maphash.MakeSeed(), most: max(1, entries/shards)}
}

// Key returns the key of anything that can be compared: a struct, rather than
// strings put together, which collide.
func Key[K comparable](m *Map, k K) uint64 { return maphash.Comparable(m.seed, k) }

// Take is [Cell.Take] on the bucket of a key. The key must always come with the
// same limit. A new key that finds no room is told when there will be.
func (m *Map) Take(key uint64, l Limit, n int, now time.Duration) (wait time.Duration, ok bool) {
	s := &m.shard[key%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	c, known := s.cells[key]
	if !known && len(s.cells) >= m.most {
		if now < s.idle {
			return s.idle - now, false
		}
		s.idle = s.sweepLocked(now)
		if len(s.cells) >= m.most {
			return s.idle - now, false
		}
		s.idle = 0
	}
	if wait, ok = c.Take(l, n, now); !ok {
		return wait, false
	}
	if s.cells == nil {
		s.cells = map[uint64]Cell{}
	}
	s.cells[key] = c
	return 0, true
}

// Give gives back what Take has taken.
func (m *Map) Give(key uint64, l Limit, n int) {
	s := &m.shard[key%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.cells[key]; ok {
		c.Give(l, n)
		s.cells[key] = c
	}
}

// Sweep forgets the keys whose buckets are full again, which are like new ones.
func (m *Map) Sweep(now time.Duration) {
	for i := range m.shard {
		s := &m.shard[i]
		s.mu.Lock()
		s.sweepLocked(now)
		s.idle = 0
		s.mu.Unlock()
	}
}

// Len returns how many keys are remembered.
func (m *Map) Len() (n int) {
	for i := range m.shard {
		s := &m.shard[i]
		s.mu.Lock()
		n += len(s.cells)
		s.mu.Unlock()
	}
	return n
}

// sweepLocked returns when it is worth while to sweep again: when the first of the
// entries that are left, and some more, can be forgotten.
func (s *shard) sweepLocked(now time.Duration) (again time.Duration) {
	first, last := time.Duration(1<<63-1), now
	for k, c := range s.cells {
		if c.tat <= now {
			delete(s.cells, k)
		} else {
			first, last = min(first, c.tat), max(last, c.tat)
		}
	}
	if len(s.cells) == 0 {
		s.cells = nil
		return 0
	}
	return first + min((last-first)/16, time.Second)
}
