package danmaku

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

const tick = 20 * time.Millisecond

// room is a selection with a clock, and what became of everything that it was
// offered.
type room struct {
	*Selection[int]
	now   time.Duration
	next  time.Duration // tick
	tick  time.Duration
	sent  []sent
	shown []int // indices of sent, in order
}

type sent struct {
	Candidate
	at      time.Duration
	verdict Verdict // 0: still open
	decided time.Duration
	fates   int // must be one in the end
}

func newRoom(budget, reserve int) *room {
	return &room{Selection: New[int](budget, reserve, rand.NewPCG(1, 2)), next: tick, tick: tick}
}

func (r *room) decide(i int, v Verdict) {
	s := &r.sent[i]
	s.verdict, s.decided = v, r.now
	s.fates++
	if v == Pass {
		r.shown = append(r.shown, i)
	}
}

// offer has a comment come in now.
func (r *room) offer(c Candidate) Verdict {
	i := len(r.sent)
	r.sent = append(r.sent, sent{Candidate: c, at: r.now})
	a := r.Offer(r.now, &c, true)
	if a.ID != nil {
		*a.ID = fmt.Sprint(i)
	}
	if a.Verdict == Wait {
		*a.Value = i
	} else {
		r.decide(i, a.Verdict)
	}
	for _, d := range r.Evicted(nil) {
		r.decide(d.Value, d.Verdict)
	}
	return a.Verdict
}

// until lets time pass, ticks included.
func (r *room) until(t time.Duration) (decided []Decision[int]) {
	for r.next <= t {
		r.now = r.next
		r.next += r.tick
		for _, d := range r.Select(r.now, r.next, nil) {
			decided = append(decided, d)
			r.decide(d.Value, d.Verdict)
		}
	}
	r.now = t
	return decided
}

// stream is somebody who talks evenly.
type stream struct {
	sender uint64
	weight int
	every  time.Duration
	next   time.Duration
}

// talk has streams talk for a time, each comment with a text of its own.
func (r *room) talk(streams []stream, d time.Duration) {
	for end := r.now + d; ; {
		first := 0
		for i := range streams {
			if streams[i].next < streams[first].next {
				first = i
			}
		}
		s := &streams[first]
		if s.next >= end {
			r.until(end)
			return
		}
		r.until(s.next)
		r.offer(Candidate{Sender: s.sender, Weight: s.weight, Key: uint64(len(r.sent)) + 1})
		s.next += s.every
	}
}

// crowd is n senders who talk evenly, out of step.
func crowd(n int, every time.Duration, rng *rand.Rand) []stream {
	list := make([]stream, n)
	for i := range list {
		list[i] = stream{sender: uint64(i + 1), every: every, next: time.Duration(rng.Int64N(int64(every)))}
	}
	return list
}

func (r *room) shownBy() map[uint64]int {
	by := map[uint64]int{}
	for _, i := range r.shown {
		by[r.sent[i].Sender]++
	}
	return by
}

func TestUnderTheBudgetEverythingPassesAtOnce(t *testing.T) {
	r := newRoom(50, 10)
	for second := range 10 {
		for i := range 40 { // all at once, of one sender, with one text
			if v := r.offer(Candidate{Sender: 1, Key: 7}); v != Pass {
				t.Fatalf("comment %d of second %d: %d", i, second, v)
			}
		}
		r.until(r.now + time.Second)
	}
}

func TestOverTheBudgetTheWholeBudgetIsShown(t *testing.T) {
	for _, tt := range []struct {
		budget, reserve int
		tick            time.Duration
	}{{50, 10, tick}, {50, 10, 250 * time.Millisecond}, {50, 0, tick}, {1, 0, tick}, {2, 1, tick}, {50, 10, 33 * time.Millisecond}} {
		r := newRoom(tt.budget, tt.reserve)
		r.tick = tt.tick
		r.talk(crowd(20*tt.budget, time.Second, rand.New(rand.NewPCG(1, 1))), 10*time.Second)
		if got, want := len(r.shown), 10*tt.budget; got < want*97/100 {
			t.Errorf("%+v: %d were shown in 10 s, want %d", tt, got, want)
		}
	}
}

func TestFloodCostsTheOthersNothing(t *testing.T) {
	count := func(flood bool) (others, flooder int) {
		r := newRoom(50, 10)
		streams := crowd(200, time.Second, rand.New(rand.NewPCG(3, 4)))
		if flood {
			streams = append(streams, stream{sender: 9999, every: time.Millisecond})
		}
		r.talk(streams, time.Minute)
		by := r.shownBy()
		return len(r.shown) - by[9999], by[9999]
	}
	calm, _ := count(false)
	others, flooder := count(true)
	if others < calm*98/100 {
		t.Errorf("with a flood %d comments of the others were shown, without it %d", others, calm)
	}
	if flooder > len(crowd(200, 1, rand.New(rand.NewPCG(1, 1)))) {
		t.Errorf("the flooder was shown %d times", flooder)
	}
	t.Logf("others: %d without the flood, %d with it (%.2f %%); the flood itself: %d of 60,000", calm, others, 100*float64(others)/float64(calm), flooder)
}

// jain is Jain's index of fairness: 1 if all are equal, 1/n if one has it all.
func jain(x []float64) float64 {
	var sum, squares float64
	for _, v := range x {
		sum += v
		squares += v * v
	}
	return sum * sum / (float64(len(x)) * squares)
}

func TestFairBetweenThoseWhoTalkMuchAndLittle(t *testing.T) {
	r := newRoom(50, 10)
	rng := rand.New(rand.NewPCG(5, 6))
	var streams []stream
	for i := range 200 { // from one comment a second to twenty, all more than a 200th of the budget
		every := time.Second / time.Duration(1+i%20)
		streams = append(streams, stream{sender: uint64(i + 1), every: every, next: time.Duration(rng.Int64N(int64(every)))})
	}
	r.talk(streams, 2*time.Minute)
	by := r.shownBy()
	var x []float64
	for i := range 200 {
		x = append(x, float64(by[uint64(i+1)]))
	}
	if j := jain(x); j < 0.95 {
		t.Errorf("Jain's index is %.3f", j)
	}
}

// TestSampleIsUnbiased looks whether the place of a comment within its tick
// decides about its luck: a chi-squared test with a fixed seed.
func TestSampleIsUnbiased(t *testing.T) {
	for _, perTick := range []int{40, 1000} { // fewer than may wait, and far more
		const places = 20
		var hits [places]float64
		total := 0.0
		r := newRoom(50, 10)
		sender := uint64(0)
		for round := range 1200 {
			begin := len(r.sent)
			for i := range perTick {
				r.now = r.next - r.tick + r.tick*time.Duration(i)/time.Duration(perTick)
				sender++
				r.offer(Candidate{Sender: sender, Key: sender})
			}
			before := len(r.shown)
			r.until(r.next)
			for _, i := range r.shown[before:] {
				if i >= begin && round > 100 {
					hits[(i-begin)*places/perTick]++
					total++
				}
			}
			if len(r.sent) > 100_000 { // keep the test's own memory small
				r.sent, r.shown = r.sent[len(r.sent):], r.shown[:0]
				r.Drop(nil)
			}
		}
		chi, want := 0.0, total/places
		for _, h := range hits {
			chi += (h - want) * (h - want) / want
		}
		if chi > 43.8 { // 19 degrees of freedom, p = 0.001
			t.Errorf("%d a tick: chi-squared is %.1f over %.0f shown: %v", perTick, chi, total, hits)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	r := New[int](50, 10, rand.NewPCG(1, 2))
	now, next := time.Duration(0), tick
	var ds []Decision[int]
	for i := range 200_000 { // 500,000 a second, every one of another sender
		now += 2 * time.Microsecond
		if now >= next {
			ds = r.Select(next, next+tick, ds[:0])
			next += tick
		}
		key := uint64(i) + 1
		if i%3 == 0 {
			key = 1 // everybody's favourite
		}
		a := r.Offer(now, &Candidate{Sender: uint64(i), Key: key}, true)
		if a.Verdict == Wait {
			*a.Value = i
		}
		ds = r.Evicted(ds[:0])
		if r.live > r.maxPending() || len(r.pending) > 2*r.maxPending()+1 || r.joined > r.maxPending() || len(r.unused) > r.maxPending() {
			t.Fatalf("after %d: %d wait in %d places, and %d as a part of them", i, r.live, len(r.pending), r.joined)
		}
	}
	if most := r.maxPending() + 50*60; len(r.senders) > most || len(r.texts) > 51 {
		t.Errorf("%d senders are known, want at most %d; %d texts", len(r.senders), most, len(r.texts))
	}
	if n := testing.AllocsPerRun(1000, func() {
		now += time.Microsecond
		r.Offer(now, &Candidate{Sender: 1 << 40, Key: 1}, true)
	}); n > 0 && r.joined >= r.maxPending() {
		t.Errorf("an offer that is shed allocates %v times", n)
	}
}

func TestShedAndMergedDoNotAllocate(t *testing.T) {
	r := newRoom(1, 0)
	r.offer(Candidate{Sender: 1, Key: 1})
	r.offer(Candidate{Sender: 2, Key: 2})
	for range 5000 {
		r.offer(Candidate{Sender: 1, Key: uint64(len(r.sent)) + 10})
	}
	for name, c := range map[string]Candidate{"merged": {Sender: 3, Key: 1}, "shed": {Sender: 1, Key: 99}} {
		var v Verdict
		if n := testing.AllocsPerRun(1000, func() { v = r.Offer(r.now, &c, true).Verdict }); n > 0 {
			t.Errorf("%s (%d): %v allocations", name, v, n)
		}
	}
}

func TestReserveIsThereForHosts(t *testing.T) {
	r := newRoom(50, 10)
	streams := crowd(400, time.Second, rand.New(rand.NewPCG(7, 8)))
	r.talk(streams, 5*time.Second)
	// Ten at once while everybody talks: those who borrowed give way within the
	// second, and nobody else goes before.
	begin := len(r.sent)
	for i := range 10 {
		r.offer(Candidate{Sender: 7777, Weight: 20, Key: uint64(i)})
	}
	at := r.now
	r.talk(streams, time.Second)
	for i := begin; i < begin+10; i++ {
		if s := r.sent[i]; s.verdict != Pass || s.decided-at > 400*time.Millisecond {
			t.Errorf("comment %d of the host: verdict %d after %v", i-begin, s.verdict, s.decided-at)
		}
	}
}

func TestHeavyDoesNotOvertakeItsOwnSender(t *testing.T) {
	r := newRoom(5, 0)
	for i := range 5 {
		r.offer(Candidate{Sender: uint64(100 + i), Key: uint64(i + 1)})
	}
	r.offer(Candidate{Sender: 1, Key: 50})
	r.offer(Candidate{Sender: 1, Weight: 5})
	r.until(2 * time.Second)
	if a, b := r.sent[5], r.sent[6]; a.verdict != Pass || b.verdict != Pass || a.decided > b.decided {
		t.Errorf("the first: %+v; the second, which weighs more: %+v", a, b)
	}
}

func TestCounts(t *testing.T) {
	r := newRoom(2, 0)
	r.offer(Candidate{Sender: 1, Key: 5})
	r.offer(Candidate{Sender: 2, Key: 6})
	r.offer(Candidate{Sender: 3, Key: 8}) // over the budget from here on
	for i := range 3 {
		if v := r.offer(Candidate{Sender: uint64(10 + i), Key: 5}); v != Merged {
			t.Fatalf("got %d, want Merged", v)
		}
	}
	if got := fmt.Sprint(r.Counts(nil)); got != "[{0 4}]" || r.Grown() {
		t.Errorf("got %s", got)
	}
	r.until(MergeFor)
	if v := r.offer(Candidate{Sender: 20, Key: 5}); v == Merged {
		t.Error("a text counts for longer than MergeFor")
	}
}

func TestDrop(t *testing.T) {
	r := newRoom(1, 0)
	for i := range 10 {
		r.offer(Candidate{Sender: uint64(i), Key: uint64(i%3) + 1})
	}
	for _, d := range r.Drop(nil) {
		r.decide(d.Value, d.Verdict)
	}
	for i, s := range r.sent {
		if s.fates != 1 {
			t.Errorf("comment %d has %d fates", i, s.fates)
		}
	}
	if r.Waiting() != 0 {
		t.Errorf("%d wait", r.Waiting())
	}
}
