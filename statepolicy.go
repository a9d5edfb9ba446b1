package im

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// StatePolicy says what clients may do with the state of rooms. The zero value lets those
// change it whom the [KindSpec] of [State] names, by default hosts and moderators, and nobody else.
type StatePolicy struct {
	// Rules give others the right to change some keys. A user may do what any of them allows. The
	// operations of the host ([Room.Set] and its neighbours) are not bound by them. Nil means none.
	Rules []StateRule
	// OwnerGrace is how long the owner of a key may be out of the room before the key is removed, so that who
	// connects again keeps their seat. 100 ms to 10 min; defaults to 5 s. See [WithOwner].
	OwnerGrace time.Duration
}

// StateRule lets users with some roles change the keys that begin with Prefix.
type StateRule struct {
	// Prefix is what the keys begin with. Required; it does not begin with "im." or "~".
	Prefix string
	// Set, Add and Delete say who may do that. Nil means nobody.
	Set, Add, Delete Senders
	// Owned says that a user may take keys that are not there, must own them ("owner":true), and may change and
	// delete those that they own, 16 at most. That is decided in the log: two who take a seat at once do not both get it.
	Owned bool
}

func (p *StatePolicy) complete() error {
	p.Rules = slices.Clone(p.Rules)
	for i := range p.Rules {
		r := &p.Rules[i]
		if !validID(r.Prefix, maxStateKey) || strings.HasPrefix(r.Prefix, reservedPrefix) || isPrivate(r.Prefix) {
			return fmt.Errorf("im: Options.State.Rules[%d].Prefix is %q: want 1 to %d bytes of UTF-8 without control characters that do not begin with %q or %q", i, r.Prefix, maxStateKey, reservedPrefix, privatePrefix)
		}
		r.Set, r.Add, r.Delete = slices.Clone(r.Set), slices.Clone(r.Add), slices.Clone(r.Delete)
	}
	if p.OwnerGrace == 0 {
		p.OwnerGrace = 5 * time.Second
	}
	if p.OwnerGrace < 100*time.Millisecond || p.OwnerGrace > 10*time.Minute {
		return fmt.Errorf("im: Options.State.OwnerGrace is %v: want 100ms to 10m, or 0 for 5s", p.OwnerGrace)
	}
	return nil
}

// who says who may make a change by the rule.
func (r *StateRule) who(c *stateChange) Senders {
	switch {
	case c.Delete:
		return r.Delete
	case c.Add != nil:
		return r.Add
	}
	return r.Set
}

// mayChange checks the right of a client to make a change, and adds the condition under which it has it.
func (h *Hub) mayChange(u *User, c *stateChange) error {
	if isPrivate(c.Key) {
		return errorf(CodeForbidden, "keys that begin with %q are the host's", privatePrefix)
	}
	if h.kinds[State].From.Allow(u) {
		return nil
	}
	owned := false
	for i := range h.opts.State.Rules {
		r := &h.opts.State.Rules[i]
		if !strings.HasPrefix(c.Key, r.Prefix) || !r.who(c).Allow(u) {
			continue
		}
		if !r.Owned {
			return nil
		}
		owned = true
	}
	switch {
	case !owned:
		return errNotYours()
	case !c.Delete && c.Owner == "":
		return errorf(CodeForbidden, `you may have this key only with "owner":true`)
	}
	c.Mine = u.ID
	return nil
}

func errNotYours() *Error {
	return &Error{Code: CodeForbidden, Reason: "you may not change this room's state"}
}
