package filelog

import (
	"hash/maphash"
	"strconv"
	"sync"
)

// shards is how many shards a log spreads its rooms over.
const shards = 64

// rooms are the rooms of a log.
type rooms struct {
	seed   maphash.Seed
	shards [shards]shard
}

// shard holds the rooms whose names hash to it. Locks are taken in the order room.turn, shard.mu, room.mu.
type shard struct {
	base string // of the epochs of rooms that come to life, immutable

	// mu protects the fields below. A room is in rooms if and only if it is not gone, which is changed under this lock
	// and the room's.
	mu    sync.RWMutex
	rooms map[string]*room
	// epoch is the one that rooms have when they come to life, and that those which did not yet are said to have. It is
	// replaced whenever a room that has given positions is forgotten, so that no room meets the same epoch twice.
	epoch string
	gen   uint64
}

// newRooms makes no rooms. base begins the epochs of rooms of which nothing is on disk: it is never the same twice.
func newRooms(base string) *rooms {
	rs := &rooms{seed: maphash.MakeSeed()}
	for i := range rs.shards {
		rs.shards[i].base = base
		rs.shards[i].nextEpoch()
	}
	return rs
}

func (rs *rooms) shard(name string) *shard {
	return &rs.shards[maphash.String(rs.seed, name)%shards]
}

// lock returns the room with its mu held. It brings the room to life if need be.
func (rs *rooms) lock(name string) *room {
	s := rs.shard(name)
	for {
		r, _ := s.find(name)
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

// lockExisting returns the room with its mu held, or an empty stand-in that is in no shard if the room has not come to
// life.
func (rs *rooms) lockExisting(name string) *room {
	s := rs.shard(name)
	for {
		r, epoch := s.find(name)
		if r == nil {
			r = &room{name: name, epoch: epoch}
		}
		r.mu.Lock()
		if !r.gone {
			return r
		}
		r.mu.Unlock()
	}
}

// restore returns a room that is found on disk. It is for opening, when nobody else uses the rooms.
func (rs *rooms) restore(name, epoch string) *room {
	s := rs.shard(name)
	r := s.rooms[name]
	if r == nil {
		r = &room{name: name, epoch: epoch}
		s.put(r)
	}
	return r
}

// all calls do with every room, one after another, until it reports false.
func (rs *rooms) all(do func(*room) bool) {
	for i := range rs.shards {
		for _, r := range rs.shards[i].list() {
			if !do(r) {
				return
			}
		}
	}
}

// forgetIf drops a room if idle, which is called with its mu held, says so.
func (rs *rooms) forgetIf(r *room, idle func() bool) {
	s := rs.shard(r.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone || !idle() {
		return
	}
	r.gone = true
	delete(s.rooms, r.name)
	if len(s.rooms) == 0 {
		s.rooms = nil // a map keeps the size that it once had
	}
	if r.positions.below > 0 {
		s.nextEpoch()
	}
}

// forgetUnwritten undoes lock if the room holds nothing and never did.
func (rs *rooms) forgetUnwritten(r *room) {
	r.mu.Lock()
	unwritten := r.unwritten()
	r.mu.Unlock()
	if unwritten {
		rs.forgetIf(r, r.unwritten)
	}
}

// unwritten reports whether the room is as it came to life. mu is held.
func (r *room) unwritten() bool {
	return r.positions == positions{} && r.idle()
}

// idle reports whether nobody would miss the room. mu is held.
func (r *room) idle() bool {
	return r.waiting == 0 && len(r.followers) == 0 && r.snapshot.none() && len(r.tail.entries) == 0 && len(r.parts) == 0
}

func (s *shard) find(name string) (*room, string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rooms[name], s.epoch
}

func (s *shard) create(name string) *room {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[name]
	if r == nil {
		r = &room{name: name, epoch: s.epoch}
		s.put(r)
	}
	return r
}

func (s *shard) put(r *room) {
	if s.rooms == nil {
		s.rooms = make(map[string]*room)
	}
	s.rooms[r.name] = r
}

func (s *shard) list() []*room {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*room, 0, len(s.rooms))
	for _, r := range s.rooms {
		all = append(all, r)
	}
	return all
}

// nextEpoch begins a new epoch for rooms that come to life from now on. s.mu is held, or s not yet shared.
func (s *shard) nextEpoch() {
	s.gen++
	s.epoch = s.base + "-" + strconv.FormatUint(s.gen, 36)
}
