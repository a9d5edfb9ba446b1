package danmaku

import (
	"cmp"
	"slices"
	"time"
)

// Select picks what is shown in this tick, and appends the fates of all that it
// decides to dst: those that pass in the order in which they are to be shown, and
// those that would be too old by next, the time of the next tick, as shed.
func (s *Selection[V]) Select(now, next time.Duration, dst []Decision[V]) []Decision[V] {
	s.window.expire(now)
	s.forget(now)
	s.tick = next - now
	s.topUp(now)
	for _, g := range s.rank(min(s.budget-s.window.total, s.heavy+max(0, int(s.pace)))) {
		sh, ok := s.allow(g.Weight)
		if !ok {
			break // a lighter one has no better chance
		}
		if id := s.show(now, &g.Candidate, sh, 1+len(g.members)); id != nil {
			*id = g.id
		}
		s.charge(now, g.sender)
		dst = append(dst, Decision[V]{Verdict: Pass, Value: g.value, Count: 1 + len(g.members)})
		for _, m := range g.members {
			dst = append(dst, Decision[V]{Verdict: Merged, Value: m, Into: g.id})
			s.totalled.Merged++
		}
		s.remove(g)
	}
	clear(s.best)
	for _, g := range s.pending {
		if !g.dead && next-g.at > MaxAge {
			dst = s.shed(g, TooLate, dst)
			s.remove(g)
		}
	}
	s.sweep()
	s.seen = s.live
	s.calm(now)
	return dst
}

// Drop sheds all that waits and appends the fates to dst.
func (s *Selection[V]) Drop(dst []Decision[V]) []Decision[V] {
	dst = s.Evicted(dst)
	for _, g := range s.pending {
		if !g.dead {
			dst = s.shed(g, TooLate, dst)
			s.remove(g)
		}
	}
	s.sweep()
	return dst
}

// allow says which part of the budget a comment can be charged to.
func (s *Selection[V]) allow(weight int) (share, bool) {
	switch {
	case s.window.total >= s.budget:
		return 0, false
	case weight > 0:
		return reserved, true
	case s.pace < 1:
		return 0, false
	case s.loan >= 1 && s.window.count[borrowed] < s.reserve:
		return borrowed, true // first, so that loans are spread evenly
	case s.window.count[own] < s.budget-s.reserve:
		return own, true
	}
	return 0, false
}

// rank returns the n comments that go first, in that order.
func (s *Selection[V]) rank(n int) []*group[V] {
	s.best = s.best[:0]
	if n <= 0 {
		return nil
	}
	for _, g := range s.pending {
		g.sender.turn = 0
	}
	for _, g := range s.pending {
		if g.dead {
			continue
		}
		g.rank = g.sender.shown + g.sender.turn
		g.sender.turn++
		g.lot = s.rng.Uint64()
		if len(s.best) == n && before(s.best[n-1], g) < 0 {
			continue
		}
		if len(s.best) == n {
			s.best = s.best[:n-1]
		}
		at, _ := slices.BinarySearchFunc(s.best, g, before[V])
		s.best = slices.Insert(s.best, at, g)
	}
	return s.best
}

// before orders comments by who goes first.
func before[V any](a, b *group[V]) int {
	return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.rank, b.rank), cmp.Compare(a.lot, b.lot))
}

// charge counts a shown comment against its sender.
func (s *Selection[V]) charge(now time.Duration, from *sender) {
	from.shown++
	s.charged.push(charge{now, from})
}

// forget drops what is too old to count against anybody.
func (s *Selection[V]) forget(now time.Duration) {
	for s.charged.len() > 0 && now-s.charged.front().at >= Memory {
		from := s.charged.front().sender
		from.shown--
		s.dismiss(from)
		s.charged.pop()
	}
	s.forgetTexts(now)
}

// dismiss forgets a sender of whom nothing is left to know.
func (s *Selection[V]) dismiss(from *sender) {
	if from.waiting == 0 && from.shown == 0 {
		delete(s.senders, from.id)
	}
}

// shed appends the fates of a group that is not shown.
func (s *Selection[V]) shed(g *group[V], why Why, dst []Decision[V]) []Decision[V] {
	dst = append(dst, Decision[V]{Verdict: Shed, Value: g.value, Why: why})
	for _, m := range g.members {
		dst = append(dst, Decision[V]{Verdict: Shed, Value: m, Why: why})
	}
	s.totalled.Shed += uint64(1 + len(g.members))
	return dst
}

// remove takes a group out of what waits. It stays in pending, dead, until sweep.
func (s *Selection[V]) remove(g *group[V]) {
	g.dead = true
	s.live--
	if g.Weight > 0 {
		s.heavy--
	}
	s.joined -= len(g.members)
	if s.byKey[g.Key] == g {
		delete(s.byKey, g.Key)
	}
	s.quiet(g.sender)
}

// sweep takes the dead out of pending and keeps their memory for new ones.
func (s *Selection[V]) sweep() {
	kept := s.pending[:0]
	for _, g := range s.pending {
		if !g.dead {
			kept = append(kept, g)
			continue
		}
		if len(s.unused) < s.maxPending() {
			members := g.members
			clear(members)
			if cap(members) > 64 {
				members = nil
			}
			*g = group[V]{members: members[:0]}
			s.unused = append(s.unused, g)
		}
	}
	clear(s.pending[len(kept):])
	s.pending = kept
	if s.live == 0 && !s.busy {
		s.unused = nil // a calm room keeps nothing
	}
}

func (s *Selection[V]) newGroup() *group[V] {
	if n := len(s.unused); n > 0 {
		g := s.unused[n-1]
		s.unused = s.unused[:n-1]
		return g
	}
	return &group[V]{}
}
