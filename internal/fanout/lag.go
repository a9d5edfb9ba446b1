package fanout

import "time"

// When a session counts as one that lags, and when it no longer does.
const (
	lagGaps   = 3                      // so many gaps …
	lagWithin = 10 * time.Second       // … within so long
	lagBehind = 2 * time.Second        // something waits for the connection for longer
	lagAtOnce = 500 * time.Millisecond // who takes everything within this keeps up
	holdLeast = 5 * time.Second        // of keeping up, before it is fed everything again
	holdMost  = time.Minute            // the same for one that has come back to lagging again and again
)

// lag finds out whether a connection keeps up with its rooms. It is a plain
// struct; the zero lag is that of a connection which does.
type lag struct {
	low    bool      // it does not
	behind time.Time // since when something waits without a break; zero: nothing does
	bad    time.Time // when it last did not keep up
	raised time.Time // when low ended
	hold   time.Duration
	gaps   [lagGaps]time.Time // the last ones, the newest first
}

// short notes that the connection has taken less than it was offered.
func (l *lag) short(now time.Time) {
	if l.behind.IsZero() {
		l.behind = now
	}
}

// whole notes that it has taken everything.
func (l *lag) whole(now time.Time) {
	if l.late(now) {
		l.bad = now
	}
	l.behind = time.Time{}
}

func (l *lag) late(now time.Time) bool { return !l.behind.IsZero() && now.Sub(l.behind) > lagAtOnce }

// gap notes that volatile events were too old to be sent.
func (l *lag) gap(now time.Time) {
	copy(l.gaps[1:], l.gaps[:])
	l.gaps[0] = now
	l.bad = now
}

// lags reports whether the session should be lowered.
func (l *lag) lags(now time.Time) bool {
	if l.low {
		return false
	}
	oldest := l.gaps[lagGaps-1]
	return !oldest.IsZero() && now.Sub(oldest) <= lagWithin || !l.behind.IsZero() && now.Sub(l.behind) > lagBehind
}

// lower begins the time in which the session is fed less. Who lags again soon after
// waits twice as long as the last time.
func (l *lag) lower(now time.Time) {
	if l.hold == 0 || now.Sub(l.raised) >= holdMost {
		l.hold = holdLeast
	} else {
		l.hold = min(2*l.hold, holdMost)
	}
	l.low, l.bad, l.gaps = true, now, [lagGaps]time.Time{}
}

// recover ends that time if the connection has kept up for long enough.
func (l *lag) recover(now time.Time) {
	if l.low && !l.late(now) && now.Sub(l.bad) >= l.hold {
		l.low, l.raised = false, now
	}
}
