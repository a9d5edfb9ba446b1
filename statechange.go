package im

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Bounds of a fold that are part of the log's meaning: nodes that differed in
// them would differ in state.
const (
	maxStateKey      = 128       // bytes
	maxStateKeys     = 1000      // of one room, the hub's own not counted
	maxStateValue    = 4 << 10   // bytes of one value
	maxStateBytes    = 256 << 10 // bytes of all keys, values and owners, the hub's own not counted
	maxPrivateKeys   = 10_000    // of one room, that clients do not see
	maxPrivateBytes  = 1 << 20   // of those
	maxOwned         = 16        // keys that one client may own under rules that say Owned
	rememberOutcomes = 1024      // state events
	rememberLost     = 8192      // state events; more than any log keeps by default
	reservedPrefix   = "im."
	privatePrefix    = "~" // of keys that clients neither see nor change
)

// stateLimits are the limits that a fold keeps to. They are the constants above but in tests.
type stateLimits struct {
	value           int
	public, private usage
	deleted         deletedLimits
}

func standardLimits() stateLimits {
	return stateLimits{maxStateValue, usage{maxStateKeys, maxStateBytes}, usage{maxPrivateKeys, maxPrivateBytes}, deletedLimits{rememberDeleted, rememberDeletedUsers}}
}

// isPrivate reports whether clients neither see nor change a key.
func isPrivate(key string) bool { return strings.HasPrefix(key, privatePrefix) }

// changesPrivate reports whether a state event is of a private key. They are all encoded by this
// package, the key first, unless an interceptor has touched them.
func changesPrivate(body json.RawMessage) bool {
	if !bytes.Contains(body, []byte(`"`+privatePrefix)) {
		return false
	}
	var c stateChange
	return json.Unmarshal(body, &c) == nil && isPrivate(c.Key)
}

// stateChange is the body of a state event. It sets, deletes or adds; everything else is a
// condition, or says how long the key stays.
type stateChange struct {
	Key    string          `json:"key"`
	Value  json.RawMessage `json:"value,omitempty"`
	Delete bool            `json:"delete,omitempty"`
	Add    *int64          `json:"add,omitempty"`

	If     *uint64 `json:"if,omitempty"`     // the version that the key has
	Min    *int64  `json:"min,omitempty"`    // of the sum
	Max    *int64  `json:"max,omitempty"`    // of the sum
	Mine   string  `json:"mine,omitempty"`   // the key is not there, or this user owns it
	Absent uint64  `json:"absent,omitempty"` // the owner has not answered the roll call at this seq

	Until int64  `json:"until,omitempty"` // when the key expires, in milliseconds since 1970
	Owner string `json:"owner,omitempty"` // the user whose leaving removes the key
}

// check reports whether the change makes sense, whatever it meets.
func (c *stateChange) check() bool {
	sorts := 0
	for _, is := range []bool{len(c.Value) > 0, c.Delete, c.Add != nil} {
		if is {
			sorts++
		}
	}
	stays := c.Until != 0 || c.Owner != ""
	switch {
	case sorts != 1 || c.Until < 0 || c.Until > MaxSeq:
		return false
	case c.Add == nil && (c.Min != nil || c.Max != nil):
		return false
	case c.Delete && stays || c.Owner != "" && !validID(c.Owner, maxID):
		return false
	case c.Key == modesKey:
		return c.Add == nil && !stays
	}
	return checkStateKey(c.Key) == nil
}

// outcome is what became of a state event.
type outcome struct {
	Version uint64 `json:"version,omitempty"` // of the key afterwards; 0: it does not exist
	Reason  string `json:"reason,omitempty"`  // why it lost; empty: applied
	N       *int64 `json:"n,omitempty"`       // of one that adds: the sum
}

// change decides a state event. It returns the event as viewers get it, nil if it lost.
func (f *fold) change(e *Event) (outcome, *Event) {
	var c stateChange
	if err := json.Unmarshal(e.Body, &c); err != nil || !c.check() {
		return outcome{Reason: "the change is malformed"}, nil
	}
	old := f.cells.get(c.Key)
	if reason := f.unmet(&c, &old); reason != "" {
		return outcome{Version: old.Version, Reason: reason}, nil
	}
	if c.Delete {
		f.drop(c.Key, e.Pos.Seq)
		f.key = c.Key
		return outcome{}, c.seen(e)
	}
	next := cell{Value: c.Value, Version: e.Pos.Seq, Until: c.Until, Owner: c.Owner}
	o, shown := outcome{Version: e.Pos.Seq}, e
	switch {
	case c.Key == modesKey:
		modes, err := parseModes(c.Value)
		if err != nil {
			return outcome{Version: old.Version, Reason: "the modes are malformed"}, nil
		}
		f.modes, next.Until = modes, modes.untilMillis()
	case c.Add != nil:
		sum, reason := c.sum(&old)
		if reason != "" {
			return outcome{Version: old.Version, Reason: reason}, nil
		}
		if next.Until == 0 {
			next.Until = old.Until
		}
		if next.Owner == "" {
			next.Owner = old.Owner
		}
		next.Value, o.N = strconv.AppendInt(nil, sum, 10), &sum
		c.Value = next.Value
		copied := *e
		copied.Body, _ = json.Marshal(c)
		shown = &copied
	}
	if reason := f.tooMuch(&c, &old, &next); reason != "" {
		return outcome{Version: old.Version, Reason: reason}, nil
	}
	f.put(c.Key, next)
	f.key = c.Key
	if next.Owner != "" {
		f.present(next.Owner)
	}
	return o, c.seen(shown)
}

// seen is the event as viewers get it, nil if they do not.
func (c *stateChange) seen(e *Event) *Event {
	if isPrivate(c.Key) {
		return nil
	}
	return e
}

// unmet returns which condition of a change is not met, in words.
func (f *fold) unmet(c *stateChange, old *cell) string {
	switch {
	case c.If != nil && *c.If != old.Version:
		return fmt.Sprintf("key %q has version %d, not %d", c.Key, old.Version, *c.If)
	case c.Mine != "" && old.Version != 0 && old.Owner != c.Mine:
		return fmt.Sprintf("key %q is not yours", c.Key)
	case c.Absent != 0 && (old.Owner == "" || f.asked[old.Owner] != c.Absent):
		return fmt.Sprintf("the owner of key %q is there", c.Key)
	}
	return ""
}

// sum adds to a counter. A key that is not there counts as 0. Counters stay within what
// JavaScript can hold, so the sum of two of them does not wrap.
func (c *stateChange) sum(old *cell) (n int64, reason string) {
	if old.Version != 0 {
		var err error
		if n, err = strconv.ParseInt(string(old.Value), 10, 64); err != nil || n > MaxSeq || n < -MaxSeq {
			return 0, fmt.Sprintf("key %q holds no whole number below 2^53", c.Key)
		}
	}
	by := *c.Add
	if by > 2*MaxSeq || by < -2*MaxSeq {
		return 0, fmt.Sprintf("key %q would leave the range of ±(2^53-1)", c.Key)
	}
	n += by
	switch {
	case n > MaxSeq || n < -MaxSeq:
		return 0, fmt.Sprintf("key %q would leave the range of ±(2^53-1)", c.Key)
	case c.Min != nil && n < *c.Min:
		return 0, fmt.Sprintf("key %q would be %d, less than %d", c.Key, n, *c.Min)
	case c.Max != nil && n > *c.Max:
		return 0, fmt.Sprintf("key %q would be %d, more than %d", c.Key, n, *c.Max)
	}
	return n, ""
}

// tooMuch returns which limit the room's state would be over, in words. The hub's own keys have none.
// What shrinks the state is never too much.
func (f *fold) tooMuch(c *stateChange, old, next *cell) string {
	used, limit := f.cells.usage(c.Key), f.limits.public
	switch {
	case used == nil:
		return ""
	case isPrivate(c.Key):
		limit = f.limits.private
	}
	before := 0
	if old.Version != 0 {
		before = old.size(c.Key)
	}
	after := next.size(c.Key)
	switch {
	case len(next.Value) > f.limits.value:
		return fmt.Sprintf("the value has %d bytes; the limit of a key of a room's state is %d", len(next.Value), f.limits.value)
	case old.Version == 0 && used.keys >= limit.keys:
		return fmt.Sprintf("the room's state has %d keys, which is the limit", limit.keys)
	case after > before && used.bytes-before+after > limit.bytes:
		return fmt.Sprintf("the room's state would have %d bytes; the limit is %d", used.bytes-before+after, limit.bytes)
	case c.Mine != "" && next.Owner == c.Mine && old.Owner != c.Mine && f.owners[c.Mine] >= maxOwned:
		return fmt.Sprintf("you own %d keys of this room, which is the limit", maxOwned)
	}
	return ""
}

func checkStateKey(key string) error {
	switch {
	case !validID(key, maxStateKey):
		return fmt.Errorf("a state key is 1 to %d bytes of UTF-8 without control characters", maxStateKey)
	case strings.HasPrefix(key, reservedPrefix):
		return fmt.Errorf("state keys that begin with %q are the hub's own", reservedPrefix)
	}
	return nil
}
