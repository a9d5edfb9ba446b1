package client

import "time"

// watch finds out that a server is gone although the connection does not say
// so: after a silence it asks, and then waits a while for the answer.
type watch struct {
	after, patience time.Duration
	asked           time.Time // when it asked; zero if nothing is open
	heard           uint64    // signs of life below the messages
	last            time.Time // the last of them
}

// verdicts of watch.check.
type watchAction uint8

const (
	watchWait watchAction = iota
	watchAsk
	watchGone
)

// never is how long a watch that is off waits.
const never = 24 * time.Hour

func newWatch(after, patience time.Duration) watch {
	return watch{after: after, patience: patience}
}

// first is when to check first.
func (w *watch) first() time.Duration {
	if w.after < 0 {
		return never
	}
	return w.after
}

// check says what to do now, and when to check again. last is when the last
// message came, heard counts other signs of life; paused says that the client itself does not read.
func (w *watch) check(now, last time.Time, heard uint64, paused bool) (watchAction, time.Duration) {
	if w.after < 0 {
		return watchWait, never
	}
	if heard != w.heard {
		w.heard, w.last = heard, now
	}
	if w.last.After(last) {
		last = w.last
	}
	switch {
	case paused:
		w.asked = time.Time{}
		return watchWait, w.after
	case now.Sub(last) < w.after || !w.asked.IsZero() && !last.Before(w.asked):
		w.asked = time.Time{}
		return watchWait, max(w.after-now.Sub(last), time.Millisecond)
	case w.asked.IsZero():
		w.asked = now
		return watchAsk, w.patience
	case now.Sub(w.asked) < w.patience:
		return watchWait, w.patience - now.Sub(w.asked)
	}
	return watchGone, 0
}

// guard checks the session, asks the server if need be, and returns when to
// check again, or an error if it is gone.
func (c *Client) guard(s *session, w *watch, now time.Time) (time.Duration, error) {
	var heard uint64
	if p, ok := s.conn.(Pulse); ok {
		heard = p.Heard()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	action, next := w.check(now, s.heard, heard, s.paused)
	switch action {
	case watchGone:
		return 0, errSilent
	case watchAsk:
		s.push([]byte(`{"op":"ping"}`))
	}
	return next, nil
}

// pingAfter is the silence after which to ask.
func (c *Client) pingAfter() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.opt.PingAfter != 0:
		return c.opt.PingAfter
	case c.heartbeat > 0:
		return c.heartbeat + c.heartbeat/2
	}
	return 40 * time.Second
}
