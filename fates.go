package im

import (
	"hash/maphash"
	"sync"
	"time"
)

// Bounds of what a node remembers of sends that were not simply shown. What does not fit makes it
// forget those who were noted longest ago.
const (
	keptFates  = 8    // of one user in one room
	fateShards = 16   // so that those who note wait little for each other
	shardFates = 1024 // users and rooms of a shard: 16,384 in all, at half a KB
)

// fates remember what became of the last sends of users that were not simply shown, for [Hub.Explain]. It is
// safe for use by many goroutines; newFates makes one.
type fates struct {
	seed   maphash.Seed
	shards [fateShards]fateShard
}

type fateShard struct {
	mu sync.Mutex // guards the fields below
	// young are those noted lately, old those noted before young was full the last time.
	young, old map[sender]*recentFates
}

// sender is a user in a room.
type sender struct{ user, room string }

// recentFates is a ring.
type recentFates struct {
	list [keptFates]noted
	n    int // of all that were put in
}

// noted is what became of one send.
type noted struct {
	at     time.Time
	kind   Kind
	status Status // of one that was not refused
	code   Code   // of one that was
	reason string
	retry  time.Duration
}

func newFates() *fates { return &fates{seed: maphash.MakeSeed()} }

func (f *fates) shard(s sender) *fateShard {
	return &f.shards[maphash.Comparable(f.seed, s)%fateShards]
}

// note remembers what became of a send.
func (f *fates) note(user, room string, n noted) {
	who := sender{user, room}
	s := f.shard(who)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.young[who]
	if r == nil {
		r = s.adoptLocked(who)
	}
	r.list[r.n%keptFates] = n
	r.n++
}

// adoptLocked makes a sender one of the young.
func (s *fateShard) adoptLocked(who sender) *recentFates {
	if len(s.young) >= shardFates/2 {
		s.young, s.old = nil, s.young
	}
	if s.young == nil {
		s.young = map[sender]*recentFates{}
	}
	r := s.old[who]
	if r == nil {
		r = new(recentFates)
	} else {
		delete(s.old, who)
	}
	s.young[who] = r
	return r
}

// of returns what is known of a sender, the newest first.
func (f *fates) of(user, room string) (list []noted) {
	who := sender{user, room}
	s := f.shard(who)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.young[who]
	if r == nil {
		r = s.old[who]
	}
	if r == nil {
		return nil
	}
	for i := range min(r.n, keptFates) {
		list = append(list, r.list[(r.n-1-i)%keptFates])
	}
	return list
}

// noteRefusal remembers that a send was refused.
func (s *Session) noteRefusal(room string, kind Kind, e *Error) {
	s.hub.fates.note(s.userID(), room, noted{at: s.hub.opts.Now(), kind: kind, code: e.Code, reason: e.reason(), retry: e.RetryAfter})
}

// noteReceipt remembers that a send was taken, and not simply shown.
func (s *Session) noteReceipt(room string, kind Kind, r Receipt) {
	if r.Status == StatusOK || r.Status == StatusWaiting || s.hub.kinds[kind].Class == Merged {
		return
	}
	s.hub.fates.note(s.userID(), room, noted{at: s.hub.opts.Now(), kind: kind, status: r.Status, reason: r.Reason})
}
