package fanout

import "time"

// Gaps bounds the time between two flushes of one room. If Min and Max are the
// same the gap is fixed; else it grows from Min to Max with what flushing costs.
type Gaps struct{ Min, Max time.Duration }

// How much of a worker's time its rooms may take, all together: at most
// 2/gapPerLoads + 1/gapPerRoom, which is about three quarters, while no gap is at its bound.
const (
	// gapPerLoads gives every busy room the same gap, so many halves of what one flush of
	// all of them takes. Of all ways to share the time this one has the average viewer wait least.
	gapPerLoads = 3
	// gapPerRoom gives a room no more than so many times what its own flush takes,
	// for each busy room: small rooms do not pay for a big one next to them.
	gapPerRoom = 10
)

// How a gap falls: it is halved for each gapHold in which less than gapKeep
// percent of it was wanted.
const (
	gapHold = time.Second
	gapKeep = 70
)

// pace finds the gap of one room. It is a plain struct; the zero pace is that of
// a room that was never flushed.
//
// A gap rises at once and falls slowly, so that a load that comes and goes does
// not make it swing: what a flush costs is averaged over the last few, a gap that is
// needed to 70 % stays as it is, and one that is not halves once a second.
type pace struct {
	cost  time.Duration // of one flush: half of it is the last, a quarter the one before…
	gap   time.Duration // as it was at the last flush; 0: the least
	since time.Time     // when the gap was last wanted, or fell
}

// flushed notes a flush that ended now and took so long.
func (p *pace) flushed(took time.Duration) { p.cost = (p.cost + took) / 2 }

// adapt sets the gap after a flush, of a room on a worker whose busy rooms, this one
// included, are so many and cost so much together.
func (p *pace) adapt(now time.Time, g Gaps, rooms int, load time.Duration) {
	want := min(gapPerLoads*load/2, gapPerRoom*time.Duration(rooms)*p.cost)
	want = min(max(want, g.Min), g.Max)
	gap, since := p.fallen(now, g)
	if want*100 >= gap*gapKeep {
		since = now
	}
	p.gap, p.since = max(want, gap), since
}

// at returns the gap as of now: a room that is not flushed needs none.
func (p *pace) at(now time.Time, g Gaps) time.Duration {
	gap, _ := p.fallen(now, g)
	return gap
}

// fallen is what is left of the gap if nothing has wanted it since p.since.
func (p *pace) fallen(now time.Time, g Gaps) (gap time.Duration, since time.Time) {
	gap, since = p.gap, p.since
	for gap > g.Min && now.Sub(since) >= gapHold {
		gap, since = gap/2, since.Add(gapHold)
	}
	return max(gap, g.Min), since
}
