package im

import (
	"slices"
	"time"

	"github.com/liveim/im/internal/fanout"
	"github.com/liveim/im/internal/wire"
)

// JoinPolicy says what rooms tell their viewers of those who come in: with the
// online count, at most once a second, the names of the first three and how many
// they are. A user who is in the room already, who resumes, or who was there up to 5 s ago
// does not come in. The zero value tells all rooms of all users.
type JoinPolicy struct {
	// Off has no room tell.
	Off bool
	// MaxOnline is the largest number of sessions in a room that tells; in
	// a larger one few care who came. 0 means any number.
	MaxOnline int
	// Except are roles whose users come in without a word, such as those of bots
	// and of the staff.
	Except []string
}

const (
	maxArrivalNames = 3
	// Who was in the room so lately has only reloaded the page.
	backWithin = 5 * time.Second
	// Bounds of what a room remembers for that. Beyond them a few are told of twice.
	maxArrivals   = 4096
	maxDepartures = 64
)

// arrivals are the users who came into a room since that was told last. It is a plain struct
// that the room's lock guards; the zero value is one in which nothing has happened.
type arrivals struct {
	names []string        // of the first, by their order
	n     int             // of all
	seen  map[string]bool // ids of all
	left  []leaver        // who left lately, oldest first
}

// leaver is a user who has left the room.
type leaver struct {
	user string
	at   time.Time
}

// add notes that a user came in, unless that is known already or no news.
func (a *arrivals) add(u *User, now time.Time) {
	if a.seen[u.ID] {
		return
	}
	for _, d := range a.left {
		if d.user == u.ID && now.Sub(d.at) < backWithin {
			return
		}
	}
	if a.seen == nil {
		a.seen = map[string]bool{}
	}
	if len(a.seen) < maxArrivals {
		a.seen[u.ID] = true
	}
	if len(a.names) < maxArrivalNames {
		a.names = append(a.names, u.Name)
	}
	a.n++
}

// leave notes that a session of the user has left.
func (a *arrivals) leave(user string, now time.Time) {
	stale := 0
	for stale < len(a.left) && (now.Sub(a.left[stale].at) >= backWithin || len(a.left)-stale >= maxDepartures) {
		stale++
	}
	a.left = append(a.left[stale:], leaver{user, now})
}

// take returns who came in since the last time, nil if nobody did, and begins anew.
func (a *arrivals) take(now time.Time) *wire.Arrivals {
	if n := len(a.left); n > 0 && now.Sub(a.left[n-1].at) >= backWithin {
		a.left = nil
	}
	if a.n == 0 {
		return nil
	}
	came := &wire.Arrivals{Names: a.names, N: a.n}
	a.names, a.n, a.seen = nil, 0, nil
	return came
}

// arrive notes that a session came into the room, if viewers are to be told.
func (c *core) arrive(m *member) {
	policy := &c.hub.opts.Joins
	u := m.session.User()
	if policy.Off || c.hub.brownout() >= BrownoutNoJoins {
		return
	}
	if slices.ContainsFunc(policy.Except, u.HasRole) {
		return
	}
	for other := range c.hub.sessionsOf(u.ID).all() {
		if other != m.session && other.member(c.id) != nil {
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if policy.MaxOnline == 0 || len(c.members) <= policy.MaxOnline {
		c.arrivals.add(&u, time.Now())
	}
}

// announceEveryLocked is the least time between two announcements. Each is a send to everybody in the
// room, so where more than 2,000 are in they are told less often, down to every 5 s.
func (c *core) announceEveryLocked() time.Duration {
	const each, most = 500 * time.Microsecond, 5 * time.Second
	return max(c.hub.onlineEvery(), min(time.Duration(len(c.members))*each, most))
}

// announceLocked renews what sessions are told of the room as it is now: how many are in it,
// who came in, and what packages have it told. If it is too early for that it returns how long to wait.
func (c *core) announceLocked(now time.Time) (again time.Duration) {
	defer func() { c.announcing = again > 0 }() // the flush plans another
	if c.online == len(c.members) && c.arrivals.n == 0 && !c.told.news {
		return 0
	}
	if next := c.onlineAt.Add(c.announceEveryLocked()); next.After(now) {
		return next.Sub(now)
	}
	came := c.arrivals.take(now)
	if c.hub.brownout() >= BrownoutNoJoins {
		came = nil
	}
	if c.online == len(c.members) && came == nil && !c.told.news {
		return 0
	}
	c.online, c.onlineAt, c.told.news = len(c.members), now, false
	c.latest.Store(fanout.NewShared(wire.AppendOnline(nil, c.id, c.online, came, c.told.encoded)))
	return 0
}

// planAnnouncement sees to it that sessions are told who is in the room when it is time for that. A
// flush looks at every session of the room, so a crowd that comes or goes must not bring on more of
// them than there are announcements.
func (c *core) planAnnouncement() {
	c.mu.Lock()
	now := time.Now()
	news := !c.announcing && (c.online != len(c.members) || c.arrivals.n > 0 || c.told.news)
	c.announcing = c.announcing || news
	due := c.onlineAt.Add(c.announceEveryLocked()).Sub(now)
	c.mu.Unlock()
	if news {
		c.ticket.WakeAfter(max(0, due))
	}
}
