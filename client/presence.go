package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

// opRoster asks a server that has the package presence for a page of a room's roster.
const opRoster = "presence.list"

// Member is a user who is in a room.
type Member struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Rank is above 0 for those who may be in the top, if the server has ranks.
	Rank int `json:"rank,omitempty"`
}

// Roster is who is in a room.
type Roster struct {
	// Count is how many users there are, each counted once.
	Count int
	// Large says that the room is too large to name them all: Members is empty then.
	Large bool
	// Members are in the order in which they came in.
	Members []Member
	// Top are those of highest rank, the highest first, if the server has ranks.
	Top []Member
}

// PresenceChange is how the roster of a room has changed.
type PresenceChange struct {
	// Count is how many users there are now, and Large and Top are as in [Roster].
	Count int
	Large bool
	Top   []Member
	// In are users who came in or have another name or rank, and Out the ids of those who left, since the roster
	// that the client had: after [Room.Roster] was called, and in rooms so small that the server names everybody
	// each time.
	In  []Member
	Out []string
	// Lost says that the client does not know the roster any more. Call [Room.Roster] if it is wanted; where
	// many clients show it, after a random time of some seconds.
	Lost bool
	// Came are a few of those who came into a large room, at random.
	Came []Member
}

// and adds what came later; either may be nil.
func (p *PresenceChange) and(later *PresenceChange) *PresenceChange {
	switch {
	case p == nil:
		return later
	case later == nil:
		return p
	}
	sum := *later
	if later.Lost {
		return &sum
	}
	sum.In, sum.Out, sum.Lost = nil, nil, p.Lost
	for _, m := range p.In {
		if !slices.Contains(later.Out, m.ID) && !names(later.In, m.ID) {
			sum.In = append(sum.In, m)
		}
	}
	for _, id := range p.Out {
		if !names(later.In, id) && !slices.Contains(later.Out, id) {
			sum.Out = append(sum.Out, id)
		}
	}
	sum.In, sum.Out = append(sum.In, later.In...), append(sum.Out, later.Out...)
	sum.Came = append(slices.Clip(p.Came), later.Came...)
	sum.Came = sum.Came[max(0, len(sum.Came)-maxCame):]
	return &sum
}

const (
	maxCame  = 10 // of Came, that are kept for an application that lags
	maxHeard = 64 // of what is told while the roster is read
)

func names(members []Member, id string) bool {
	return slices.ContainsFunc(members, func(m Member) bool { return m.ID == id })
}

// toldPresence is what a room is told of who is there; see docs/protocol.md.
type toldPresence struct {
	Of    string   `json:"of"`
	V     uint64   `json:"v"`
	Prev  *uint64  `json:"prev"`
	Count int      `json:"count"`
	In    []Member `json:"in"`
	Out   []string `json:"out"`
	Large bool     `json:"large"`
	Came  []Member `json:"came"`
	Top   []Member `json:"top"`
}

// rosterPage is the answer to opRoster.
type rosterPage struct {
	Of      string   `json:"of"`
	V       uint64   `json:"v"`
	Count   int      `json:"count"`
	Large   bool     `json:"large"`
	Members []Member `json:"members"`
	Top     []Member `json:"top"`
	Next    uint64   `json:"next"`
}

// people is what a client knows of who is in a room. It is protected by Client.mu.
type people struct {
	of    string
	v     uint64
	count int
	large bool
	known bool // members are those of v
	// members are replaced, never changed.
	members []Member
	top     []Member

	asking int             // calls of Roster under way
	heard  []*toldPresence // meanwhile
	owed   *PresenceChange // that came with a join
}

// hear takes what the room is told, and returns what has changed by it, nil if nothing has.
func (p *people) hear(told map[string]json.RawMessage) *PresenceChange {
	raw := told[string(im.Presence)]
	if len(raw) == 0 {
		return nil
	}
	t := new(toldPresence)
	if json.Unmarshal(raw, t) != nil || t.Of == "" {
		return nil
	}
	if p.asking > 0 {
		p.heard = append(p.heard[max(0, len(p.heard)-maxHeard+1):], t)
	}
	return p.take(t)
}

func (p *people) take(t *toldPresence) *PresenceChange {
	if t.Of == p.of && t.V <= p.v {
		return nil // it is told again
	}
	change := &PresenceChange{Count: t.Count, Large: t.Large, Top: t.Top, Came: t.Came}
	old, known := p.members, p.known
	same := t.Of == p.of && known
	switch {
	case t.Large || t.Prev == nil:
		p.members, p.known = nil, false
	case *t.Prev == 0:
		p.members, p.known = t.In, true
	case same && *t.Prev <= p.v:
		p.members = t.applied(old)
	default:
		p.members, p.known = nil, false
	}
	p.of, p.v, p.count, p.large, p.top = t.Of, t.V, t.Count, t.Large, t.Top
	change.Lost = known && !p.known
	if p.known {
		change.In, change.Out = differences(old, p.members)
	}
	return change
}

// applied returns the members after what was told.
func (t *toldPresence) applied(old []Member) []Member {
	list := make([]Member, 0, len(old)+len(t.In))
	in := make(map[string]Member, len(t.In))
	for _, m := range t.In {
		in[m.ID] = m
	}
	out := make(map[string]bool, len(t.Out))
	for _, id := range t.Out {
		out[id] = true
	}
	for _, m := range old {
		if now, ok := in[m.ID]; ok {
			m = now
			delete(in, m.ID)
		}
		if !out[m.ID] {
			list = append(list, m)
		}
	}
	for i := len(t.In) - 1; i >= 0; i-- { // the newest change stands first
		if m, ok := in[t.In[i].ID]; ok {
			list = append(list, m)
			delete(in, m.ID)
		}
	}
	return list
}

// differences returns who is in after and not so in before, and who is in before only.
func differences(before, after []Member) (in []Member, out []string) {
	had := make(map[string]Member, len(before))
	for _, m := range before {
		had[m.ID] = m
	}
	for _, m := range after {
		if was, ok := had[m.ID]; !ok || was != m {
			in = append(in, m)
		}
		delete(had, m.ID)
	}
	for _, m := range before {
		if _, gone := had[m.ID]; gone {
			out = append(out, m.ID)
		}
	}
	return in, out
}

// roster is what is known, as the application gets it.
func (p *people) roster() Roster {
	return Roster{p.count, p.large, slices.Clone(p.members), slices.Clone(p.top)}
}

// errMoved says that the roster changed by more than the client has heard while it was read.
var errMoved = errors.New("client: the roster of the room changes faster than it can be read; call Roster again later")

// Roster returns who is in the room, of a server that has the package presence; of another one the error has
// im.CodeNotFound. The client asks for it page by page if it does not know it, and keeps it up to date from then on, by
// what the room is told: [Online.Presence] says what has changed. With the first reset of a
// reconnect it may be another server's; what has changed then comes with the next Online as well.
func (r *Room) Roster(ctx context.Context) (Roster, error) {
	const tries = 3
	c := r.c
	for range tries {
		c.mu.Lock()
		if p := &r.people; p.known || p.large {
			defer c.mu.Unlock()
			return p.roster(), nil
		}
		r.people.asking++
		c.mu.Unlock()
		pages, err := r.readRoster(ctx)
		c.mu.Lock()
		roster, whole := r.people.answer(pages, err == nil)
		c.mu.Unlock()
		if err != nil || whole {
			return roster, err
		}
	}
	return Roster{}, errMoved
}

// readRoster reads all pages, and puts them together as of the version of the first.
func (r *Room) readRoster(ctx context.Context) (*rosterPage, error) {
	var all *rosterPage
	for after := uint64(0); ; {
		body, err := encode(map[string]uint64{"after": after, "max": 500})
		if err != nil {
			return nil, err
		}
		a, err := r.c.do(ctx, &call{req: wire.Request{Op: opRoster, Room: r.name, Body: body}, room: r, keep: true})
		if err != nil {
			return nil, err
		}
		page := new(rosterPage)
		if err := json.Unmarshal(a.msg.Body, page); err != nil {
			return nil, fmt.Errorf("client: the server answered %s with what is no roster: %w", opRoster, err)
		}
		switch {
		case all == nil || page.Of != all.Of || page.Large:
			all = page
			if after != 0 && !page.Large { // of another server: from the beginning
				all, after = nil, 0
				continue
			}
		default:
			all.Members, all.Count = append(all.Members, page.Members...), page.Count
		}
		if after = page.Next; after == 0 || page.Large {
			return all, nil
		}
	}
}

// answer takes the pages, and what was told while they were read. It reports false if that was not all.
func (p *people) answer(page *rosterPage, ok bool) (Roster, bool) {
	heard := p.heard
	if p.asking--; p.asking == 0 {
		p.heard = nil
	}
	if !ok {
		return Roster{}, false
	}
	now := people{of: page.Of, v: page.V, count: page.Count, large: page.Large, known: !page.Large, members: page.Members, top: page.Top}
	for _, t := range heard {
		if t.Prev != nil { // else the server tells no names, and this is the newest that there is
			now.take(t)
		}
	}
	if !now.known && !now.large {
		return Roster{}, false
	}
	if p.of == now.of && p.known && p.v >= now.v {
		return p.roster(), true // another call was faster
	}
	p.of, p.v, p.count, p.large, p.known, p.members, p.top = now.of, now.v, now.count, now.large, now.known, now.members, now.top
	return p.roster(), true
}
