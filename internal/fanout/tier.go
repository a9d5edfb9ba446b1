package fanout

import (
	"slices"
	"time"

	"github.com/liveim/im/internal/wire"
)

// watch lowers the session if it lags, and raises it again. There is a lag.
func (o *Outlet) watch(cursors []*Cursor, now time.Time) {
	l := o.lag
	was := l.low
	if l.lags(now) && slices.ContainsFunc(cursors, func(c *Cursor) bool { return c.Tier() == TierFull }) {
		l.lower(now)
	}
	l.recover(now)
	if l.low != was {
		o.setLowered(l.low)
	}
}

// lagging returns what is known of how the connection lags. Most sessions never
// lag and have no such thing.
func (o *Outlet) lagging() *lag {
	if o.lag == nil {
		o.lag = new(lag)
	}
	return o.lag
}

func (o *Outlet) setLowered(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	on = on && !o.gone
	switch {
	case on && !o.lowered:
		o.common.Counters.Lowered.Add(1)
	case !on && o.lowered:
		o.common.Counters.Lowered.Add(-1)
	}
	o.lowered = on
}

// Lowered reports whether the session gets no volatile events, because it lags.
func (o *Outlet) Lowered() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lowered
}

// Recheck looks whether a session that was lowered can be raised again, which
// a flush does as well. It costs little for others.
func (o *Outlet) Recheck(now time.Time) {
	o.mu.Lock()
	lowered := o.lowered
	o.mu.Unlock()
	if !lowered || !o.turn.take() {
		return
	}
	s := scratches.Get().(*Scratch)
	o.run(s, now)
	scratches.Put(s)
}

// SetTier changes which part of the room the session wants. It takes effect at
// the next flush, where the session is told. It is safe for use by many goroutines.
func (c *Cursor) SetTier(t Tier) { c.wants.Store(uint32(t)) }

// Tier returns which part of the room the session wants. It may get less while
// it lags.
func (c *Cursor) Tier() Tier { return Tier(c.wants.Load()) }

// retier tells the session, in front of what follows, if it gets another part
// of the room from here on, and returns which. Its position becomes the end of what the
// cursor has passed: events of a higher tier that lie before are never sent later.
func (c *Cursor) retier(s *Scratch) (gets Tier, lowered bool) {
	wants := c.Tier()
	gets = wants
	if c.outlet.lag != nil && c.outlet.lag.low {
		gets = min(gets, TierReduced)
	}
	if wants == c.wanted && gets == c.tier {
		return gets, gets < wants
	}
	if wants < c.wanted && c.next < c.counted {
		s.more = true // a gap has told of the next batch: first that, by the tier before
		return c.tier, c.tier < c.wanted
	}
	prev := c.at
	c.at = max(c.at, c.passed)
	if c.owed > 0 {
		c.addGap(s, c.next, prev, int(c.owed), c.at)
		prev = c.at
	}
	seg := segment{from: fromTier, cursor: c, next: c.next, seq: c.at, told: true, wanted: wants, tier: gets}
	seg.mark = c.outlet.mark(s.cursors)
	message := wire.AppendTier(nil, c.source.Name(), tierNames[gets], gets < wants, prev, c.at)
	s.add(c.outlet.conn.Private().Append(nil, message), seg)
	return gets, gets < wants
}

// settleDebt tells the session what a cursor that ends has left out without a word,
// up to the session's position. What lies beyond may be had by a resume.
func (c *Cursor) settleDebt(s *Scratch) {
	if c.owedSeq > 0 {
		c.at = c.seq.Load()
		c.addGap(s, c.next, c.at, int(c.owedSeq), c.at)
	}
}

// addGap adds the message that so many volatile events up to batch next were left out while
// the session was lowered. Its position moves from prev to to.
func (c *Cursor) addGap(s *Scratch, next, prev uint64, missed int, to uint64) {
	seg := segment{from: fromGap, cursor: c, next: next, seq: to, told: true, missed: missed}
	if to > prev {
		seg.mark = c.outlet.mark(s.cursors)
	}
	s.add(c.outlet.conn.Private().Append(nil, wire.AppendGap(nil, c.source.Name(), prev, missed, to)), seg)
}

var tierNames = [lanes]string{TierCritical: "critical", TierReduced: "reduced", TierFull: "full"}
