package danmaku

import "time"

// The credits run a little ahead of the window, which is exact: what a late tick
// lost would else be lost for good.
const (
	paceFactor = 1.1
	loanFactor = 1.5
)

// credit grows evenly and is spent one at a time. While a room is busy it spreads
// what is shown: without it, a full second would be followed by an empty one.
type credit float64

func (c *credit) reset() { *c = 0 }
func (c *credit) spend() { *c-- }

func (c *credit) earn(perSecond float64, d time.Duration, keep float64) {
	*c = min(*c+credit(perSecond*d.Seconds()), credit(1+perSecond*keep))
}

// topUp gives the credits what they earned since the last time. They keep what
// one tick needs, and a little more, as ticks come late.
func (s *Selection[V]) topUp(now time.Duration) {
	d := now - s.paced
	s.paced = now
	keep := 1.5 * s.tick.Seconds()
	s.pace.earn(paceFactor*float64(s.budget), d, keep)
	s.loan.earn(loanFactor*float64(s.reserve), d, keep)
}

// afford reports whether an ordinary comment is within the pace of a busy room.
func (s *Selection[V]) afford(now time.Duration) bool {
	s.topUp(now)
	return s.pace >= 1
}

// free reports whether the budget has room for a comment of the weight, without
// a loan.
func (s *Selection[V]) free(weight int) bool {
	if s.window.total >= s.budget {
		return false
	}
	return weight > 0 || s.window.count[own] < s.budget-s.reserve
}

func shareOf(weight int) share {
	if weight > 0 {
		return reserved
	}
	return own
}

// calm ends the busy time if little was shown within the last second and nothing
// waits.
func (s *Selection[V]) calm(now time.Duration) {
	if s.busy && s.live == 0 && float64(s.window.total) < calmShare*float64(s.budget) {
		s.busy = false
	}
}
