package im

import (
	"fmt"
	"maps"
	"slices"
)

// Kind is what an event is. It selects the [Class] and who may send it.
type Kind string

// The kinds that every hub knows. A host adds its own with Options.Kinds.
const (
	Danmaku    Kind = "danmaku"    // a comment that flies over the picture
	Chat       Kind = "chat"       // a message of the chat list
	Gift       Kind = "gift"       // a gift, a paid message
	Like       Kind = "like"       // likes, merged into totals
	Notice     Kind = "notice"     // an announcement of the host
	State      Kind = "state"      // a change of a room attribute, folded by every node
	Presence   Kind = "presence"   // joins and leaves worth showing
	Moderation Kind = "moderation" // deletions, mutes and other rulings of moderators
	Tally      Kind = "tally"      // what the flow control merged and left out; see [TallyBody]
	System     Kind = "system"     // what the hub itself says of a room
)

// Class is how events of a kind are delivered, and what happens to them under
// overload.
type Class uint8

const (
	// Critical events are ordered, stored before they are acknowledged, never
	// dropped; one effect per ID. Gifts, notices, state, moderation.
	Critical Class = iota + 1
	// Normal events are ordered and stored; gapless within the retained window
	// or flagged; rate limited, never silently dropped. Chat.
	Normal
	// Volatile events have one order for everybody, and may be merged, sampled
	// or shed under load; viewers that lag skip them and are told how many.
	// Danmaku.
	Volatile
	// Merged events are sums and last values: totals converge. Likes.
	Merged
)

var classNames = [...]string{Critical: "critical", Normal: "normal", Volatile: "volatile", Merged: "merged"}

func (c Class) String() string {
	if c < Critical || c > Merged {
		return fmt.Sprintf("Class(%d)", uint8(c))
	}
	return classNames[c]
}

// KindSpec declares a kind: its class and who may send it over the wire. The
// host application itself may send every kind with Room.Send.
type KindSpec struct {
	// Kind is the name, 1 to 32 of a-z, 0-9, '.', '_' and '-'. Required.
	Kind Kind
	// Class is how the kind is delivered. Required.
	Class Class
	// From says which clients may send it. Nil means none: the kind comes from
	// the host or from a registered operation. For [State] it says who may use
	// the operations "state.set", "state.add" and "modes.set" for all keys; Options.State
	// gives others the right to some.
	From Senders
}

// Senders says which clients may send a kind: those that have one of the named
// roles. The role "*" stands for every user.
type Senders []string

// Everyone lets every user who is in the room send.
func Everyone() Senders { return Senders{"*"} }

// Allow reports whether u may send.
func (s Senders) Allow(u *User) bool {
	return slices.ContainsFunc(s, func(role string) bool { return role == "*" || u.HasRole(role) })
}

// kindTable is every kind that a hub knows. It is built by New and read-only after.
type kindTable map[Kind]KindSpec

func builtinKinds() kindTable {
	t := kindTable{}
	for _, s := range []KindSpec{
		{Danmaku, Volatile, Everyone()},
		{Chat, Normal, Everyone()},
		{Like, Merged, Everyone()},
		{Gift, Critical, nil},
		{Notice, Critical, nil},
		{State, Critical, Senders{"host", "moderator"}},
		{Moderation, Critical, nil},
		{System, Critical, nil},
		{Presence, Merged, nil},
		{Tally, Volatile, nil},
	} {
		t[s.Kind] = s
	}
	return t
}

// newKindTable adds the host's kinds to the built-in ones. A host may declare a
// built-in kind again to change who may send it, but not its class.
func newKindTable(specs []KindSpec) (kindTable, error) {
	t := builtinKinds()
	builtin := maps.Clone(t)
	seen := map[Kind]bool{}
	for i, s := range specs {
		field := fmt.Sprintf("Options.Kinds[%d]", i)
		switch {
		case !validName(string(s.Kind), 32):
			return nil, fmt.Errorf("im: %s.Kind is %q: want 1 to 32 of a-z, 0-9, '.', '_' and '-'", field, s.Kind)
		case s.Class < Critical || s.Class > Merged:
			return nil, fmt.Errorf("im: %s.Class of kind %q is %d: want Critical, Normal, Volatile or Merged", field, s.Kind, s.Class)
		case seen[s.Kind]:
			return nil, fmt.Errorf("im: %s declares kind %q a second time", field, s.Kind)
		}
		if b, ok := builtin[s.Kind]; ok && b.Class != s.Class {
			return nil, fmt.Errorf("im: %s.Class of built-in kind %q is %s: it must stay %s", field, s.Kind, s.Class, b.Class)
		}
		if s.From != nil && (s.Kind == System || s.Kind == Moderation || s.Kind == Presence || s.Kind == Tally) {
			return nil, fmt.Errorf("im: %s.From of kind %q must be nil: only the hub and its operations write it", field, s.Kind)
		}
		seen[s.Kind] = true
		t[s.Kind] = KindSpec{s.Kind, s.Class, slices.Clone(s.From)}
	}
	return t, nil
}

// validName reports whether s is 1 to max of a-z, 0-9, '.', '_' and '-'.
func validName(s string, max int) bool {
	if s == "" || len(s) > max {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
