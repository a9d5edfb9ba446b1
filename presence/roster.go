package presence

import (
	"math/rand/v2"
	"slices"
	"sort"
	"time"

	"github.com/liveim/im"
)

const (
	maxRecent = 256 // changes that are remembered of a room
	maxCame   = 3   // of those who came in, that a large room is told

	leaveTogether = 50 * time.Millisecond
)

// roster is who is in one room. It is a plain struct that takes the time; its owner serialises all
// calls. The zero value, with a limit and a grace, is that of an empty room.
type roster struct {
	of    string // names it
	limit int
	grace time.Duration

	v       uint64 // moves with each change
	byID    map[string]*entry
	order   []slot   // by number
	holes   int      // slots of those who have left
	number  uint64   // of who came in last
	leaving []leaver // by time; some have come back

	recent []change // those of the last versions, oldest first, none left out; none while it is large
	large  bool
	came   []Member // since it was told last: some of them, while it is large
	coming int      // and how many they are

	best   []Member // as of version bestAt
	bestAt uint64
	ranked bool // somebody has a rank
}

// entry is a member. There are as many as members, so it is small: TestMemoryOfAMember.
type entry struct {
	id, name string
	roles    []string
	rank     int
	number   uint64
	since    int64 // milliseconds since 1970
	gone     int64 // when it stops to be a member, in nanoseconds since 1970; 0: it is there
}

// slot is the place of a member in the order, without an entry once it has left.
type slot struct {
	number uint64
	entry  *entry
}

// leaver is somebody who was not there at a time.
type leaver struct {
	entry *entry
	at    int64 // entry.gone, unless it has come back
}

// change is one member who came, left, or is another than before.
type change struct {
	v  uint64
	id string
	at time.Time
}

func (e *entry) member() Member {
	return Member{ID: e.id, Name: e.name, Rank: e.rank, Roles: e.roles, Since: time.UnixMilli(e.since)}
}

func (e *entry) is(u *im.User) bool { return e.name == u.Name && slices.Equal(e.roles, u.Roles) }

func (r *roster) len() int { return len(r.byID) }

// see notes that a user is in the room. It reports whether the user has become a member.
func (r *roster) see(u *im.User, rank int, now time.Time) (m Member, joined bool) {
	e := r.byID[u.ID]
	if e != nil {
		e.gone = 0
		if !e.is(u) || e.rank != rank {
			e.name, e.roles, e.rank = u.Name, u.Roles, rank
			r.changed(e.id, now)
		}
	} else {
		r.number++
		e = &entry{id: u.ID, name: u.Name, roles: u.Roles, rank: rank, number: r.number, since: now.UnixMilli()}
		if r.byID == nil {
			r.byID = map[string]*entry{}
		}
		r.byID[e.id] = e
		r.order = append(r.order, slot{e.number, e})
		r.changed(e.id, now)
		r.sample(e)
		joined = true
	}
	r.ranked = r.ranked || rank > 0
	return e.member(), joined
}

// miss notes that a user is not in the room. It stays a member for the grace.
func (r *roster) miss(id string, now time.Time) {
	e := r.byID[id]
	if e == nil || e.gone != 0 {
		return
	}
	e.gone = now.Add(r.grace).UnixNano()
	if len(r.leaving) > 2*len(r.byID)+64 { // some who come and go all the time
		r.leaving = slices.DeleteFunc(r.leaving, func(l leaver) bool { return !r.leaves(l) })
	}
	r.leaving = append(r.leaving, leaver{e, e.gone})
}

// leaves reports whether somebody has not come back since.
func (r *roster) leaves(l leaver) bool { return l.entry.gone == l.at && r.byID[l.entry.id] == l.entry }

// expire takes out those who have been away for the grace.
func (r *roster) expire(now time.Time) (left []Member) {
	n := 0
	for ; n < len(r.leaving) && r.leaving[n].at <= now.UnixNano(); n++ {
		if l := r.leaving[n]; r.leaves(l) {
			left = append(left, l.entry.member())
			r.remove(l.entry, now)
		}
	}
	r.leaving = slices.Delete(r.leaving, 0, n)
	if len(r.leaving) == 0 {
		r.leaving = nil
	}
	return left
}

// remove takes a member out at once.
func (r *roster) remove(e *entry, now time.Time) {
	delete(r.byID, e.id)
	r.order[r.place(e.number-1)].entry = nil
	if r.holes++; r.holes > len(r.order)/4 {
		kept := make([]slot, 0, len(r.byID)+len(r.byID)/8)
		for _, s := range r.order {
			if s.entry != nil {
				kept = append(kept, s)
			}
		}
		r.order, r.holes = kept, 0
	}
	r.changed(e.id, now)
}

// place returns where in order those begin who came in after a number.
func (r *roster) place(number uint64) int {
	return sort.Search(len(r.order), func(i int) bool { return r.order[i].number > number })
}

// changed gives the roster its next version.
func (r *roster) changed(id string, now time.Time) {
	r.v++
	switch n := len(r.byID); {
	case n > r.limit:
		r.large = true
	case n <= r.limit*9/10:
		r.large = false
	}
	if r.large {
		r.recent = nil
		return
	}
	r.came, r.coming = nil, 0
	if len(r.recent) >= maxRecent {
		r.recent = slices.Delete(r.recent, 0, maxRecent/4)
	}
	r.recent = append(r.recent, change{r.v, id, now})
}

// sample keeps a few of those who come into a large room, each with equal chance.
func (r *roster) sample(e *entry) {
	if !r.large {
		return
	}
	r.coming++
	if len(r.came) < maxCame {
		r.came = append(r.came, e.member())
	} else if i := rand.IntN(r.coming); i < maxCame {
		r.came[i] = e.member()
	}
}

// next returns when to look for those who have been away for the grace: a little later than the first, so that many leave
// together. Zero: nobody is away.
func (r *roster) next() time.Time {
	if len(r.leaving) == 0 {
		return time.Time{}
	}
	return time.Unix(0, r.leaving[0].at).Add(leaveTogether)
}

// top returns the n members of highest rank; of equals who came in first. The caller must not change it.
func (r *roster) top(n int) []Member {
	if !r.ranked {
		return nil
	}
	if r.bestAt == r.v {
		return r.best
	}
	r.best, r.bestAt = r.best[:0:0], r.v
	for _, s := range r.order {
		e := s.entry
		if e == nil || e.rank <= 0 || len(r.best) == n && e.rank <= r.best[n-1].Rank {
			continue
		}
		i := sort.Search(len(r.best), func(i int) bool { return r.best[i].Rank < e.rank })
		r.best = slices.Insert(r.best, i, e.member())
		r.best = r.best[:min(n, len(r.best))]
	}
	return r.best
}

// page returns members who came in after a number.
func (r *roster) page(after uint64, max, top int) Page {
	p := Page{Of: r.of, Version: r.v, Count: len(r.byID), Large: r.large, Members: []Member{}, Top: slices.Clone(r.top(top))}
	size := 0
	for _, s := range r.order[r.place(after):] {
		e := s.entry
		if e == nil {
			continue
		}
		if size += len(e.id) + len(e.name) + 32; len(p.Members) > 0 && (len(p.Members) >= max || size > maxPageBytes) {
			p.Next = after
			break
		}
		p.Members, after = append(p.Members, e.member()), e.number
	}
	return p
}
