// Package brownout decides how much a server that has too much to do leaves
// out: a [Meter] says how hard it is pressed, and a [Ladder] makes of that a level
// that neither flutters nor overshoots. What a level means is its user's business.
package brownout

import (
	"cmp"
	"math"
	"time"
)

// Level is how far up the ladder is: 0 is calm, Top is the last step.
type Level uint8

// Top is the highest level.
const Top Level = 5

// Params are how a ladder moves. Zero fields have their defaults.
type Params struct {
	// High is the pressure from which on the ladder climbs: one level for every
	// second sample in a row. Defaults to 1, the limit.
	High float64
	// Extreme is the pressure from which on it climbs two levels with every
	// sample. Defaults to 2.
	Extreme float64
	// Low is the pressure below which it may come down. Between Low and High
	// it stays where it is. Defaults to 0.7.
	Low float64
	// Hold is how long the pressure has to stay below Low for each level that it
	// comes down. Defaults to 5 s.
	Hold time.Duration
}

func (p Params) complete() Params {
	return Params{
		High: cmp.Or(p.High, 1), Extreme: cmp.Or(p.Extreme, 2), Low: cmp.Or(p.Low, 0.7),
		Hold: cmp.Or(p.Hold, 5*time.Second),
	}
}

// A level is climbed in halves: one for each sample of high pressure. So there is
// one number, and of two ladders the one that was pressed harder is never lower.
const (
	halves      = 2
	extremeStep = 2 * halves
)

// Ladder turns samples of pressure into a level. It knows no clock; it is not safe
// for concurrent use. Make one with [New].
type Ladder struct {
	params Params
	height int       // in halves of a level
	calm   time.Time // since when it may come down; zero: it may not
}

// New returns a ladder at level 0.
func New(p Params) *Ladder { return &Ladder{params: p.complete()} }

// Step takes the pressure as of now and returns the level. The time must not go
// back. Pressure that is no number counts as none.
func (l *Ladder) Step(now time.Time, pressure float64) Level {
	if math.IsNaN(pressure) {
		pressure = 0
	}
	if pressure >= l.params.Low {
		l.calm = time.Time{}
	}
	switch {
	case pressure >= l.params.Extreme:
		l.climb(extremeStep)
	case pressure >= l.params.High:
		l.climb(1)
	default: // a single high sample is forgotten
		l.height -= l.height % halves
	}
	if pressure < l.params.Low {
		l.rest(now)
	}
	return l.Level()
}

// Level is where the ladder is.
func (l *Ladder) Level() Level { return Level(l.height / halves) }

func (l *Ladder) climb(by int) { l.height = min(l.height+by, int(Top)*halves) }

// rest comes down one level if it was calm for long enough.
func (l *Ladder) rest(now time.Time) {
	switch {
	case l.calm.IsZero():
		l.calm = now
	case now.Sub(l.calm) >= l.params.Hold:
		l.height = max(l.height-halves, 0)
		l.calm = now
	}
}
