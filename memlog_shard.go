package im

import (
	"hash/maphash"
	"strconv"
	"sync"
	"time"
)

// memShards is how many shards a MemoryLog spreads its rooms over.
const memShards = 64

// memShard holds the rooms whose names hash to it. Locks are taken in the
// order room.turn, shard.mu, room.mu.
type memShard struct {
	base string // of the log's epochs, immutable

	// mu protects the fields below. A room is in rooms if and only if it is not
	// gone, which is changed under this lock and the room's.
	mu    sync.RWMutex
	rooms map[string]*memRoom
	// epoch is the one that rooms have when they come to life, and that those
	// which did not yet are said to have. It is replaced whenever a room that has
	// given positions is forgotten, so that no room meets the same epoch twice.
	epoch string
	gen   uint64
}

func (l *MemoryLog) shard(room string) *memShard {
	return &l.shards[maphash.String(l.seed, room)%memShards]
}

// lock returns the room with its mu held. It brings the room to life if need be.
func (l *MemoryLog) lock(name string) *memRoom {
	s := l.shard(name)
	for {
		r := s.find(name)
		if r == nil {
			r = s.create(name)
		}
		r.mu.Lock()
		if !r.gone {
			return r
		}
		r.mu.Unlock()
	}
}

// lockExisting returns the room with its mu held, or an empty stand-in that is
// in no shard if the room has not come to life.
func (l *MemoryLog) lockExisting(name string) *memRoom {
	s := l.shard(name)
	for {
		s.mu.RLock()
		r, epoch := s.rooms[name], s.epoch
		s.mu.RUnlock()
		if r == nil {
			r = &memRoom{epoch: epoch}
		}
		r.mu.Lock()
		if !r.gone {
			return r
		}
		r.mu.Unlock()
	}
}

// forgetUnwritten undoes lock if the room holds nothing and never did.
func (l *MemoryLog) forgetUnwritten(r *memRoom) {
	r.mu.Lock()
	unwritten := r.head == 0 && r.idle()
	r.mu.Unlock()
	if unwritten {
		l.shard(r.name).forget(r, -1)
	}
}

func (s *memShard) find(name string) *memRoom {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rooms[name]
}

func (s *memShard) create(name string) *memRoom {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[name]
	if r == nil {
		r = &memRoom{name: name, epoch: s.epoch}
		if s.rooms == nil {
			s.rooms = make(map[string]*memRoom)
		}
		s.rooms[name] = r
	}
	return r
}

func (s *memShard) list() []*memRoom {
	s.mu.RLock()
	defer s.mu.RUnlock()
	rooms := make([]*memRoom, 0, len(s.rooms))
	for _, r := range s.rooms {
		rooms = append(rooms, r)
	}
	return rooms
}

// forget drops a room if it is idle still, and has been for longer than age.
func (s *memShard) forget(r *memRoom, age time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone || !r.idle() || r.clock.now-r.used <= age {
		return
	}
	s.drop(r)
	if r.head > 0 {
		s.nextEpoch()
	}
}

// reset drops a room whatever it holds, begins a new epoch for it, and returns
// it for its followers to be told, or nil if there is none.
func (s *memShard) reset(name string) *memRoom {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextEpoch()
	r := s.rooms[name]
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		s.drop(r)
	}
	return r
}

// drop takes a room out of the shard. s.mu and r.mu are held.
func (s *memShard) drop(r *memRoom) {
	r.gone = true
	delete(s.rooms, r.name)
	if len(s.rooms) == 0 {
		s.rooms = nil // a map keeps the size that it once had
	}
}

// nextEpoch begins a new epoch for rooms that come to life from now on. s.mu
// is held, or s not yet shared.
func (s *memShard) nextEpoch() {
	s.gen++
	s.epoch = s.base + "-" + strconv.FormatUint(s.gen, 36)
}
