package moderate

import (
	"fmt"
	"maps"
	"slices"

	"github.com/liveim/im"
)

// Role is what a user is in a room. Roles are ordered: whoever acts against somebody must have a higher one.
type Role uint8

const (
	Guest     Role = iota + 1 // came without an account
	Viewer                    // has one
	Member                    // belongs to the room: a subscriber, a student
	Moderator                 // keeps order
	Owner                     // the room is theirs
)

var roleNames = [...]string{Guest: "guest", Viewer: "viewer", Member: "member", Moderator: "moderator", Owner: "owner"}

// String returns the role's name in lower case.
func (r Role) String() string {
	if r >= Guest && int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// RoleOf is the default of Options.Role: the highest of "owner", "host" (which counts as owner), "moderator", "member" and
// "guest" among the user's roles, else Viewer.
func RoleOf(u im.User, _ string) Role {
	switch {
	case u.HasRole("owner") || u.HasRole("host"):
		return Owner
	case u.HasRole("moderator"):
		return Moderator
	case u.HasRole("member"):
		return Member
	case u.HasRole("guest"):
		return Guest
	}
	return Viewer
}

// Right is something that a role may do.
type Right string

const (
	MayMute     Right = "mute"     // mute, and lift mutes
	MayShadow   Right = "shadow"   // shadow-mute, and lift that
	MayBan      Right = "ban"      // ban, kick, and lift bans
	MayHub      Right = "hub"      // do so for all rooms of the hub at once
	MayDelete   Right = "delete"   // delete messages
	MayApprove  Right = "approve"  // see, pass and refuse messages that wait; say which have to
	MayModes    Right = "modes"    // change the room's modes
	MayPin      Right = "pin"      // pin messages, and announce
	MayReport   Right = "report"   // report messages to the staff
	MayModerate Right = "moderate" // see reports, sanctions and decisions
)

// allRights are the rights that there are.
var allRights = []Right{MayMute, MayShadow, MayBan, MayHub, MayDelete, MayApprove, MayModes, MayPin, MayReport, MayModerate}

// Rights says what each role may do. A role that is not named may do nothing.
type Rights map[Role][]Right

// DefaultRights lets owners do everything in their room, moderators everything but what concerns the whole hub, and
// all but guests report messages. Nobody may act for the whole hub unless the host says so.
func DefaultRights() Rights {
	staff := slices.DeleteFunc(slices.Clone(allRights), func(r Right) bool { return r == MayHub })
	return Rights{Owner: staff, Moderator: slices.Clone(staff), Member: {MayReport}, Viewer: {MayReport}}
}

func (r Rights) check() error {
	for role, rights := range r {
		if role < Guest || role > Owner {
			return fmt.Errorf("moderate: Options.Rights names the role %d: want Guest to Owner", role)
		}
		for _, right := range rights {
			if !slices.Contains(allRights, right) {
				return fmt.Errorf("moderate: Options.Rights gives the role %v the right %q, which there is not", role, right)
			}
		}
	}
	return nil
}

func (r Rights) clone() Rights {
	c := maps.Clone(r)
	for role := range c {
		c[role] = slices.Clone(c[role])
	}
	return c
}

// May reports whether a user may do something in a room.
func (m *Moderation) May(u im.User, room string, right Right) bool {
	return slices.Contains(m.opts.Rights[m.opts.Role(u, room)], right)
}

// need is the error for a user who may not do something.
func (m *Moderation) need(u im.User, room string, right Right) error {
	if m.May(u, room, right) {
		return nil
	}
	return &im.Error{Code: im.CodeForbidden, Reason: fmt.Sprintf("you lack the right %q in this room", right)}
}

// above is the error for a user who does not stand above another one. Of somebody who is not connected to this
// node only the id is known, so the host's Role decides by that.
func (m *Moderation) above(u im.User, room, other string) error {
	if m.opts.Role(u, room) > m.roleOf(other, room) {
		return nil
	}
	return &im.Error{Code: im.CodeForbidden, Reason: "you do not stand above this user"}
}

// roleOf is the role of somebody by id.
func (m *Moderation) roleOf(user, room string) Role {
	who := im.User{ID: user}
	for _, s := range m.hub.User(user).Sessions() {
		who = s.User()
	}
	return m.opts.Role(who, room)
}
