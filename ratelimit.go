package im

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/liveim/im/internal/gcra"
)

// Limit is a token bucket: N at once, refilled evenly so that N come back in Per.
// The zero Limit stands for a default.
type Limit struct {
	N   int           // 1 to 1,000,000
	Per time.Duration // 1 ms to 24 h
}

// Unlimited is the Limit that refuses nothing.
var Unlimited = Limit{N: -1}

func (l Limit) String() string {
	if l == Unlimited {
		return "unlimited"
	}
	return fmt.Sprintf("%d in %v", l.N, l.Per)
}

// Limits is how fast clients may be, each limit on each node by itself. The zero
// value is the defaults; [Unlimited] switches one off. Whoever is over a limit is
// refused with CodeRateLimited and the time after which the same request passes all of these limits,
// if nothing else is taken meanwhile. A refused request counts against its connection and its address, and takes
// nothing from its user and its room. What the host sends itself is not limited.
type Limits struct {
	// User is for the events of one kind of one user, over all sessions and rooms. A
	// kind that is not named has its default: 20 in 30 s for danmaku, 10 in 10 s for chat
	// and for "state.set", 20 in 1 s for likes, 10 in 10 s for others.
	User map[Kind]Limit
	// Role is for users who have the role, in place of User; a kind that it does not
	// name is limited as in User. Of a user's roles the most generous counts. A role that is not named has its
	// default: hosts are unlimited in danmaku, chat and likes, moderators may send 100
	// danmaku and 100 chat messages in 30 s. An empty map takes the default away.
	Role map[string]map[Kind]Limit
	// Room is for the events of one kind of all clients together in one room. A kind that is
	// not named has its default: 200 in 1 s for chat, which is more than anybody reads; others are
	// unlimited. Volatile kinds have Options.Flow instead.
	Room map[Kind]Limit
	// Requests is for all other requests of one user. Defaults to 200 in 10 s.
	Requests Limit
	// Connection is for all requests of one connection, those that nobody can read and those that
	// name its session in a POST included. Defaults to 1,000 in 10 s.
	Connection Limit
	// Address is for all requests and new connections from one address, of which
	// the first 64 bits count if it is IPv6. Defaults to 5,000 in 10 s for public addresses.
	// Loopback, private and link-local ones, and those of carriers (100.64.0.0/10), are not limited by default,
	// since they are usually a proxy that Options.Proxies should name; a limit that is set counts for them
	// as well. The networks of Options.Proxies have no client's address, and are never limited. A POST counts as
	// many requests as it holds.
	Address Limit
	// Accept is for new connections of all clients together. Who comes in on top is told
	// when to come back, at random. Defaults to 2,000 in 1 s.
	Accept Limit
	// Entries is how many users and kinds are remembered at most, at about 40 bytes each.
	// Beyond that new ones are refused, until one of those is at rest: forgetting
	// somebody earlier would give an abuser a new burst. 1,000 to 100,000,000; defaults to 1,000,000.
	Entries int
}

var (
	defaultUserLimits = map[Kind]Limit{
		Danmaku: {20, 30 * time.Second},
		Chat:    {10, 10 * time.Second},
		State:   {10, 10 * time.Second},
		Like:    {20, time.Second},
	}
	otherUserLimit    = Limit{10, 10 * time.Second}
	defaultRoleLimits = map[string]map[Kind]Limit{
		"host":      {Danmaku: Unlimited, Chat: Unlimited, Like: Unlimited},
		"moderator": {Danmaku: {100, 30 * time.Second}, Chat: {100, 30 * time.Second}},
	}
	defaultRoomLimits = map[Kind]Limit{Chat: {200, time.Second}}
)

// complete fills in defaults and checks bounds. kinds are those that the limits may
// name.
func (l *Limits) complete(kinds kindTable) (err error) {
	byKind := func(field string, standard, given map[Kind]Limit) map[Kind]Limit {
		all := maps.Clone(standard)
		if all == nil {
			all = map[Kind]Limit{}
		}
		for k, limit := range given {
			name := fmt.Sprintf("%s[%q]", field, k)
			if _, ok := kinds[k]; !ok {
				err = cmp.Or(err, fmt.Errorf("im: Options.Limits.%s names a kind that is neither built in nor in Options.Kinds", name))
			}
			err = cmp.Or(err, limit.check(name))
			all[k] = limit
		}
		return all
	}
	roles := maps.Clone(defaultRoleLimits)
	for role, given := range l.Role {
		roles[role] = byKind(fmt.Sprintf("Role[%q]", role), nil, given)
	}
	l.User, l.Role, l.Room = byKind("User", defaultUserLimits, l.User), roles, byKind("Room", defaultRoomLimits, l.Room)
	for _, f := range []struct {
		name     string
		field    *Limit
		standard Limit
	}{
		{"Requests", &l.Requests, Limit{200, 10 * time.Second}},
		{"Connection", &l.Connection, Limit{1000, 10 * time.Second}},
		{"Accept", &l.Accept, Limit{2000, time.Second}},
	} {
		if *f.field == (Limit{}) {
			*f.field = f.standard
		}
		err = cmp.Or(err, f.field.check(f.name))
	}
	if l.Address != (Limit{}) {
		err = cmp.Or(err, l.Address.check("Address"))
	}
	if l.Entries == 0 {
		l.Entries = 1_000_000
	}
	if l.Entries < 1000 || l.Entries > 100_000_000 {
		err = cmp.Or(err, fmt.Errorf("im: Options.Limits.Entries is %d: want 1,000 to 100,000,000, or 0 for 1,000,000", l.Entries))
	}
	return err
}

func (l Limit) check(field string) error {
	if l != Unlimited && (l.N < 1 || l.N > 1_000_000 || l.Per < time.Millisecond || l.Per > 24*time.Hour) {
		return fmt.Errorf("im: Options.Limits.%s is {%d, %v}: want N from 1 to 1,000,000 and Per from 1ms to 24h, or im.Unlimited", field, l.N, l.Per)
	}
	return nil
}

// moreGenerous reports whether l lets more through than o.
func (l Limit) moreGenerous(o Limit) bool {
	switch {
	case l == Unlimited || o == Unlimited:
		return l == Unlimited && o != Unlimited
	}
	a, b := float64(l.N)/float64(l.Per), float64(o.N)/float64(o.Per)
	return a > b || a == b && l.N > o.N
}

// limiter applies Limits. Safe for use by many goroutines.
type limiter struct {
	Limits
	table  *gcra.Map
	accept *bucket
	// proxies have no address of a client.
	proxies []netip.Prefix
}

func newLimiter(l Limits, proxies []netip.Prefix) *limiter {
	return &limiter{Limits: l, table: gcra.New(l.Entries), accept: l.Accept.bucket(), proxies: proxies}
}

// userKey and addressKey are structs of their own types, since keys made by joining
// strings collide.
type (
	userKey struct {
		user string
		kind Kind // empty for requests that are no sends
	}
	addressKey struct{ netip.Prefix }
)

// ofUser returns the limit of a user's events of a kind.
func (l *limiter) ofUser(u *User, kind Kind) Limit {
	limit, ok := l.User[kind]
	if !ok {
		limit = otherUserLimit
	}
	special := false
	for _, role := range u.Roles {
		if r, ok := l.Role[role][kind]; ok && (!special || r.moreGenerous(limit)) {
			limit, special = r, true
		}
	}
	return limit
}

// clamp bounds n by what the user can take at once.
func (l *limiter) clamp(u *User, kind Kind, n uint64) uint64 {
	if limit := l.ofUser(u, kind); limit != Unlimited {
		return min(n, uint64(limit.N))
	}
	return n
}

// takeUser takes n of a user's events of a kind.
func (l *limiter) takeUser(u *User, kind Kind, n int, now time.Duration) error {
	return l.take(l.userKey(u, kind), l.ofUser(u, kind), n, now)
}

// giveUser undoes takeUser.
func (l *limiter) giveUser(u *User, kind Kind, n int) {
	if limit := l.ofUser(u, kind); limit != Unlimited {
		l.table.Give(l.userKey(u, kind), gcra.Limit(limit), n)
	}
}

// takeRequest takes one of a user's requests that are no sends.
func (l *limiter) takeRequest(u *User, now time.Duration) error {
	return l.take(l.userKey(u, ""), l.Requests, 1, now)
}

// ofAddress returns the limit of an address.
func (l *limiter) ofAddress(a netip.Addr) Limit {
	switch {
	case !a.IsValid(), trusted(a, l.proxies), l.Address == Limit{} && !public(a):
		return Unlimited
	case l.Address == Limit{}:
		return Limit{5000, 10 * time.Second}
	}
	return l.Address
}

// takeAddress takes one request of an address.
func (l *limiter) takeAddress(a netip.Addr, now time.Duration) error {
	limit := l.ofAddress(a)
	if limit == Unlimited {
		return nil
	}
	return l.take(l.addressKey(a), limit, 1, now)
}

func (l *limiter) userKey(u *User, kind Kind) uint64 { return gcra.Key(l.table, userKey{u.ID, kind}) }

func (l *limiter) addressKey(a netip.Addr) uint64 { return gcra.Key(l.table, addressKey{network(a)}) }

func (l *limiter) take(key uint64, limit Limit, n int, now time.Duration) error {
	if limit == Unlimited {
		return nil
	}
	if wait, ok := l.table.Take(key, gcra.Limit(limit), n, now); !ok {
		return &Error{Code: CodeRateLimited, RetryAfter: wait}
	}
	return nil
}

// takeConnection takes one request of a connection.
func (l *limiter) takeConnection(c *gcra.Cell, now time.Duration) error {
	if l.Connection == Unlimited {
		return nil
	}
	if wait, ok := c.Take(gcra.Limit(l.Connection), 1, now); !ok {
		return &Error{Code: CodeRateLimited, RetryAfter: wait}
	}
	return nil
}

// roomLimits are the limiters of one room, by kind. The zero value is ready.
type roomLimits struct {
	mu     sync.Mutex // guards byKind
	byKind map[Kind]*bucket
}

// takeRoom takes one event of a kind of all clients in the room together.
func (c *core) takeRoom(kind Kind) error {
	limit, ok := c.hub.limits.Room[kind]
	if !ok || limit == Unlimited {
		return nil
	}
	if wait, ok := c.limits.of(kind, limit).take(time.Now()); !ok {
		return &Error{Code: CodeRateLimited, Reason: "too many say something in this room; wait a moment", RetryAfter: wait}
	}
	return nil
}

// of returns the bucket of a kind.
func (r *roomLimits) of(kind Kind, limit Limit) *bucket {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.byKind[kind]
	if b == nil {
		b = limit.bucket()
		if r.byKind == nil {
			r.byKind = map[Kind]*bucket{}
		}
		r.byKind[kind] = b
	}
	return b
}

// network is what counts as one address: an IPv4 address, or the 64 bits of an
// IPv6 one that a single subscriber has at least.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // both sizes are in bounds
	return p
}

// carriers is the address space that providers use within their networks (RFC 6598).
var carriers = netip.MustParsePrefix("100.64.0.0/10")

// public reports whether an address is somebody's on the internet, and not likely to be a
// proxy's.
func public(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsValid() && !a.IsLoopback() && !a.IsPrivate() && !a.IsLinkLocalUnicast() && !a.IsUnspecified() && !carriers.Contains(a)
}
