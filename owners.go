package im

import (
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// Keys of a room's state may have an owner, and vanish when that user's last session has left the room. No node knows all
// sessions, so a node that misses an owner asks the others through the log: it appends a roll call, and
// nodes where the owner is answer. A key is removed by an event that counts only if nobody has answered up to its position.
const (
	// ownerLease is how long the owners that a room has when it is opened have to come back. A server that
	// restarts spreads its clients over up to 20 s.
	ownerLease = 30 * time.Second
	// ownerRecheck is about how often an owner on another node is called, since that may have crashed.
	ownerRecheck = time.Minute
)

// owners is what a node knows of the owners of keys in a room. The zero value knows of none.
type owners struct {
	m   map[string]*ownerWatch
	ver uint64 // fold.ownerEvents when that was last looked at
}

// ownerWatch is one owner.
type ownerWatch struct {
	at    time.Time // when to look for them; zero: they are here
	asked uint64    // the roll call that they have not answered
}

// next returns when to look for somebody, the zero time for never.
func (o *owners) next() (at time.Time) {
	for _, w := range o.m {
		if !w.at.IsZero() && (at.IsZero() || w.at.Before(at)) {
			at = w.at
		}
	}
	return at
}

// halfGrace is how long an owner has to be away before they are called, and again
// before their keys are removed.
func (c *core) halfGrace() time.Duration { return c.hub.opts.State.OwnerGrace / 2 }

// followOwnersLocked takes over what the fold says of owners; those that are new here have first to be there.
func (c *core) followOwnersLocked(now time.Time, first time.Duration) {
	f, o := c.fold, &c.owners
	if o.ver == f.ownerEvents {
		return
	}
	o.ver = f.ownerEvents
	for user := range o.m {
		if f.owners[user] == 0 {
			delete(o.m, user)
		}
	}
	var called []string
	for user := range f.owners {
		w := o.m[user]
		if w == nil {
			if o.m == nil {
				o.m = map[string]*ownerWatch{}
			}
			w = &ownerWatch{at: now.Add(first)}
			o.m[user] = w
		}
		asked := f.asked[user]
		switch {
		case asked != 0 && asked != w.asked:
			w.at = now.Add(max(first, c.halfGrace()))
			called = append(called, user)
		case asked == 0 && w.asked != 0: // they are somewhere
			w.at = now.Add(ownerRecheck/2 + rand.N(ownerRecheck))
		}
		w.asked = asked
	}
	if len(called) > 0 {
		c.answerLocked(c.hereLocked(called))
	}
}

// hereLocked returns those of the users who have a session of this node in the room.
func (c *core) hereLocked(users []string) (here []string) {
	wanted := make(map[string]bool, len(users))
	for _, user := range users {
		wanted[user] = true
	}
	for _, m := range c.members {
		if len(wanted) == 0 {
			break
		}
		if id := m.session.userID(); wanted[id] {
			delete(wanted, id)
			here = append(here, id)
		}
	}
	return here
}

// answerLocked tells the other nodes that owners are here.
func (c *core) answerLocked(here []string) {
	if len(here) == 0 {
		return
	}
	e := rollEvent(controlHere, here)
	c.hub.background(func() {
		p := c.hub.hookPatience()
		ctx, cancel := p.context()
		defer cancel()
		_, _, _ = c.store(ctx, e) // if it fails, whoever looks for them next finds them
	})
}

func rollEvent(sort string, users []string) *Event {
	body, _ := json.Marshal(control{Type: sort, Users: users})
	return &Event{ID: uuid.NewString(), Kind: System, Body: body}
}

// ownerLeftLocked notes that a session of a user has left.
func (c *core) ownerLeftLocked(user string, now time.Time) {
	if w := c.owners.m[user]; w != nil {
		w.at = now.Add(c.halfGrace())
		c.planLocked(0)
	}
}

// ownerCameLocked notes that a session of a user has come.
func (c *core) ownerCameLocked(user string) {
	if w := c.owners.m[user]; w != nil && w.asked != 0 {
		c.answerLocked([]string{user})
	}
}

// ownersDueLocked returns a roll call of owners who should be here and are not, and the removal of the keys
// of those who have not answered one. A hub that shuts down removes nothing: its users come back.
func (c *core) ownersDueLocked(now time.Time, most int) (events []*Event) {
	var due []string
	for user, w := range c.owners.m {
		if !w.at.IsZero() && !w.at.After(now) {
			due = append(due, user)
		}
	}
	if len(due) == 0 || c.hub.draining() {
		return nil
	}
	var again []string
	for _, user := range c.hereLocked(due) {
		w := c.owners.m[user]
		w.at = time.Time{}
		if w.asked != 0 { // the answer has failed, or is late
			again = append(again, user)
		}
	}
	c.answerLocked(again)
	var call []string
	gone := map[string]uint64{}
	for _, user := range due {
		w := c.owners.m[user]
		switch {
		case w.at.IsZero():
			continue
		case w.asked == 0:
			call = append(call, user)
		default:
			gone[user] = w.asked
		}
		w.at = now.Add(time.Second) // if nothing comes of it
	}
	for i := 0; i < len(call); i += maxRoll {
		events = append(events, rollEvent(controlRoll, call[i:min(i+maxRoll, len(call))]))
	}
	if len(gone) == 0 {
		return events
	}
	for key, cell := range c.fold.cells.m {
		if asked := gone[cell.Owner]; cell.Owner != "" && asked != 0 && len(events) < most {
			version := cell.Version
			events = append(events, c.removal("owner", stateChange{Key: key, Delete: true, If: &version, Absent: asked}))
		}
	}
	return events
}

// maxRoll is how many users one roll call names, so that its body stays small.
const maxRoll = 32
