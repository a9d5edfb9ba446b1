package danmaku

import (
	"math/rand/v2"
	"time"
)

const (
	// MaxAge is how long a comment may wait. Later it makes no sense any more,
	// and its sender has been told within the time that a send may take.
	MaxAge = time.Second
	// Memory is how long a comment that was shown under overload counts against
	// its sender.
	Memory = time.Minute
	// MergeFor is how long after a comment was shown equal ones are added to its
	// count: about as long as it can be read.
	MergeFor = time.Second

	perSender     = 3  // ordinary comments of one sender that may wait, however many others there are
	pendingFactor = 10 // comments that wait, for each that may be shown in a second
	minPending    = 256
	calmShare     = 0.8 // of the budget: a room below it is calm again
)

// Selection is the danmaku flow control of one room. V is what the owner wants
// back with a decision. Its owner serialises all calls, and gives times of one
// steady clock that never goes back. Make one with [New].
type Selection[V any] struct {
	budget  int
	reserve int
	rng     *rand.Rand

	window window
	busy   bool          // offers had to wait lately
	pace   credit        // of all that is shown while busy
	loan   credit        // of what ordinary comments borrow from the reserve
	paced  time.Duration // when both were last topped up
	tick   time.Duration // from the last Select to the next, as it was planned

	pending  []*group[V] // in order of arrival; dead ones are swept by Select
	live     int         // of pending
	talking  int         // senders with something waiting
	heavy    int         // of live: with a weight above 0
	seen     int         // ordinary offers that the sample of this tick is drawn from
	joined   int         // comments that wait as a part of another
	byKey    map[uint64]*group[V]
	senders  map[uint64]*sender
	charged  queue[charge] // what counts against senders, in order of time
	texts    map[uint64]*text
	textAge  queue[aged] // texts in order of time
	grown    []*text     // texts whose count grew since the last Counts
	evicted  []Decision[V]
	best     []*group[V] // scratch of Select
	unused   []*group[V]
	totalled Totals
}

// Totals counts offers by their fate.
type Totals struct {
	Offered, Shown, Merged, Shed uint64
}

// Fates returns t without what is still open and without what every viewer sees:
// what the room does not know by itself.
func (t Totals) Fates() Totals { return Totals{Merged: t.Merged, Shed: t.Shed} }

// group is a comment that waits, and those that equal it.
type group[V any] struct {
	Candidate
	id      string // of the event
	value   V
	sender  *sender
	at      time.Duration
	members []V
	dead    bool
	rank    int    // shown before, and earlier comments of the sender that wait
	lot     uint64 // drawn in each tick
}

// sender is what is known of somebody who has comments waiting, or was shown
// lately.
type sender struct {
	id      uint64
	waiting int
	shown   int // within Memory
	turn    int // scratch of Select
}

type charge struct {
	at     time.Duration
	sender *sender
}

// New returns the selection of a room that shows budget comments in a second at
// most, reserve of them only by weight. Both are as in [Selection.SetBudget].
func New[V any](budget, reserve int, src rand.Source) *Selection[V] {
	s := &Selection[V]{
		rng:     rand.New(src),
		byKey:   map[uint64]*group[V]{},
		senders: map[uint64]*sender{},
		texts:   map[uint64]*text{},
	}
	s.SetBudget(budget, reserve)
	return s
}

// SetBudget changes the budget: at least 1, of which reserve, less than budget,
// is for weights above 0. Ordinary comments may borrow from the reserve, at a pace at
// which the next one comes free soon.
func (s *Selection[V]) SetBudget(budget, reserve int) {
	s.budget, s.reserve = max(1, budget), max(0, min(reserve, budget-1))
}

// Budget returns how many comments may be shown in a second.
func (s *Selection[V]) Budget() int { return s.budget }

// Totals returns how many comments were offered, shown, merged and shed so far.
// What waits is only among the offered.
func (s *Selection[V]) Totals() Totals { return s.totalled }

// Waiting returns how many comments wait for a decision.
func (s *Selection[V]) Waiting() int { return s.live + s.joined }

// Busy reports whether the room is over its budget, or was a moment ago.
func (s *Selection[V]) Busy() bool { return s.busy }

// Note counts a comment that the owner shows without asking.
func (s *Selection[V]) Note(now time.Duration) {
	s.window.expire(now)
	s.window.add(now, reserved)
}

// Offer decides about a comment, or has it wait. With atOnce false no comment
// passes now: the owner still works on those of an earlier tick, which come first.
func (s *Selection[V]) Offer(now time.Duration, c *Candidate, atOnce bool) Answer[V] {
	s.totalled.Offered++
	s.window.expire(now)
	if atOnce && s.first(c) && s.free(c.Weight) && (!s.busy || c.Weight > 0 || s.afford(now)) {
		id := s.show(now, c, shareOf(c.Weight), 1)
		if s.busy {
			s.charge(now, s.senderOf(c.Sender))
		}
		s.calm(now)
		return Answer[V]{Verdict: Pass, ID: id}
	}
	if !s.busy {
		s.busy, s.paced = true, now
		s.pace.reset()
		s.loan.reset()
	}
	if c.Weight == 0 && c.Key != 0 {
		s.forgetTexts(now)
		if t := s.texts[c.Key]; t != nil {
			s.grow(t)
			s.totalled.Merged++
			return Answer[V]{Verdict: Merged, Into: t.id}
		}
		if g := s.byKey[c.Key]; g != nil {
			if s.joined >= s.maxPending() {
				return s.refuse(Crowded)
			}
			return s.join(g, c)
		}
	}
	return s.enqueue(now, c)
}

// join adds a comment to one that waits. Its sender becomes the one who is shown
// if less was shown of it lately, so that those who say what all say are seen in turn.
func (s *Selection[V]) join(g *group[V], c *Candidate) Answer[V] {
	s.joined++
	from := s.senders[c.Sender]
	if g.sender.shown == 0 || from != nil && (from.shown >= g.sender.shown || from.waiting > 0) || g.Weight > 0 {
		var none V
		g.members = append(g.members, none)
		return Answer[V]{Verdict: Wait, Value: &g.members[len(g.members)-1]}
	}
	g.members = append(g.members, g.value)
	s.quiet(g.sender)
	g.sender, g.Sender = s.speak(c.Sender), c.Sender
	return Answer[V]{Verdict: Wait, Value: &g.value, ID: &g.id}
}

// first reports whether nothing that waits goes before a comment.
func (s *Selection[V]) first(c *Candidate) bool {
	if s.live == 0 {
		return true
	}
	from := s.senders[c.Sender]
	return c.Weight > 0 && s.heavy == 0 && (from == nil || from.waiting == 0)
}

// enqueue has a comment wait if there is room for it, or for it in the place of
// another.
func (s *Selection[V]) enqueue(now time.Duration, c *Candidate) Answer[V] {
	from := s.senders[c.Sender]
	if c.Weight == 0 {
		if from != nil && from.waiting >= s.mostOf() {
			return s.refuse(TooMany)
		}
		s.seen++
	}
	if s.live >= s.maxPending() && !s.makeRoom(c.Weight, from) {
		return s.refuse(Crowded)
	}
	if c.Weight > 0 {
		s.heavy++
		s.lift(from, c.Weight)
	}
	from = s.speak(c.Sender)
	g := s.newGroup()
	g.Candidate, g.sender, g.at = *c, from, now
	if c.Weight == 0 && c.Key != 0 {
		s.byKey[c.Key] = g
	}
	s.pending = append(s.pending, g)
	s.live++
	return Answer[V]{Verdict: Wait, Value: &g.value, ID: &g.id}
}

// mostOf is how many ordinary comments of one sender may wait: a share of the
// room that there is, since one who talks alone takes it from nobody.
func (s *Selection[V]) mostOf() int {
	return max(perSender, s.maxPending()/4/max(1, s.talking))
}

func (s *Selection[V]) senderOf(id uint64) *sender {
	from := s.senders[id]
	if from == nil {
		from = &sender{id: id}
		s.senders[id] = from
	}
	return from
}

// speak notes that a comment of a sender waits, quiet that it does so no more.
func (s *Selection[V]) speak(id uint64) *sender {
	from := s.senderOf(id)
	if from.waiting++; from.waiting == 1 {
		s.talking++
	}
	return from
}

func (s *Selection[V]) quiet(from *sender) {
	if from.waiting--; from.waiting == 0 {
		s.talking--
	}
	s.dismiss(from)
}

// lift gives what waits of a sender at least the weight of what it sends now, so
// that a heavy comment does not overtake a light one of the same sender.
func (s *Selection[V]) lift(from *sender, weight int) {
	if from == nil || from.waiting == 0 {
		return
	}
	for _, g := range s.pending {
		if g.sender == from && !g.dead && g.Weight < weight {
			if g.Weight == 0 {
				s.heavy++
			}
			g.Weight = weight
		}
	}
}

// makeRoom takes the place of a comment that waits, for one of from, which may be
// nil. A heavier comment takes that of a lighter one, and one of a sender who was shown
// less that of one who was shown more. Between equals it is a lottery in which all that came
// in this tick are equally likely to be kept: Vitter's algorithm R.
func (s *Selection[V]) makeRoom(weight int, from *sender) bool {
	if len(s.pending) > 2*s.maxPending() {
		s.sweep()
	}
	victim := s.victim(weight)
	if victim == nil {
		return false
	}
	shown := 0
	if from != nil {
		shown = from.shown
	}
	if victim.Weight == weight && (shown > victim.sender.shown ||
		shown == victim.sender.shown && s.rng.IntN(max(1, s.seen)) >= s.maxPending()) {
		return false
	}
	s.evicted = s.shed(victim, Crowded, s.evicted)
	s.remove(victim)
	return true
}

// victim returns the comment that is worth least of a few that are drawn by lot, nil
// if all that wait are worth more than one of the weight.
func (s *Selection[V]) victim(weight int) (worst *group[V]) {
	const draws = 8
	drawn := 0
	for range 8 * draws { // at least half of them live
		g := s.pending[s.rng.IntN(len(s.pending))]
		if g.dead || g.Weight > weight {
			continue
		}
		if worst == nil || g.Weight < worst.Weight || g.Weight == worst.Weight && g.sender.shown > worst.sender.shown {
			worst = g
		}
		if drawn++; drawn == draws {
			break
		}
	}
	if weight == 0 || worst != nil && worst.Weight < weight {
		return worst
	}
	for _, g := range s.pending { // few are lighter, if any
		if !g.dead && g.Weight < weight {
			return g
		}
	}
	return nil
}

// Evicted appends the fates of the comments that had to make room for the one
// that was offered last. The owner asks after every Offer.
func (s *Selection[V]) Evicted(dst []Decision[V]) []Decision[V] {
	dst = append(dst, s.evicted...)
	clear(s.evicted)
	s.evicted = s.evicted[:0]
	return dst
}

func (s *Selection[V]) refuse(why Why) Answer[V] {
	s.totalled.Shed++
	return Answer[V]{Verdict: Shed, Why: why}
}

func (s *Selection[V]) maxPending() int { return max(minPending, pendingFactor*s.budget) }

// show notes that a comment is shown. It returns where the ID of its event is to
// be put, nil if nothing is ever added to it.
func (s *Selection[V]) show(now time.Duration, c *Candidate, sh share, n int) *string {
	s.totalled.Shown++
	s.window.add(now, sh)
	if s.busy && sh != reserved {
		s.pace.spend()
	}
	if sh == borrowed {
		s.loan.spend()
	}
	if c.Key == 0 || c.Weight > 0 {
		return nil
	}
	s.forgetTexts(now)
	t := &text{key: c.Key, n: n}
	s.texts[c.Key] = t
	s.textAge.push(aged{now, t})
	return &t.id
}
