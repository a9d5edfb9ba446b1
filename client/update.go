package client

import (
	"encoding/json"
	"slices"

	"github.com/liveim/im"
)

// Update is one thing that happened in a room, in the order in which the room
// saw it. It is one of [Reset], [Resumed], [Event], [Removed], [Gap], [TierChanged], [Fate], [Held], [Decided],
// [Online] and [Left]; there are no others, but a later version may add some, so ignore what
// you do not know.
type Update interface{ update() }

// Event is an event of the room. Its Pos is zero if it has no place in the log;
// such an event is not repeated after a reconnect. Clients know
// of a Class only that it is im.Merged; it and Digest are zero otherwise.
//
// Events are shared: do not change them, or the bytes of Body.
type Event struct {
	*im.Event
	// Replayed is set for events that came with a [Reset]: they happened before,
	// and what state events among them say is already part of Reset.State.
	Replayed bool
}

// Removed says that events were deleted: take away what you show or keep of them. It comes behind the Event of the kind
// moderation that says so. Events that it deletes and that the application has not taken yet do not come any more.
//
//	kept = slices.DeleteFunc(kept, func(e *im.Event) bool { return u.Deletes(e) })
type Removed struct {
	// Deletion has Deletes, which tells of any event of the room whether it is one of those.
	im.Deletion
}

// Reset says that the room starts here: throw away what you had of it. It comes
// first after a join, and later whenever the server could not go on where this
// client was. The newest events up to Position follow as replayed [Event]s.
type Reset struct {
	// Position is where the room is.
	Position im.Position
	// State is the room's state as of Position. It is a copy.
	State map[string]Cell
	// Online is how many are in the room.
	Online int
}

// Resumed says that the room goes on where this client was, after a reconnect,
// or after the application did not keep up. No event is missing, except Missed
// volatile ones. The events in between follow.
type Resumed struct {
	// Position is where the room is.
	Position im.Position
	// Missed is how many volatile events were left out.
	Missed int
	// Online is how many are in the room.
	Online int
}

// Gap says that volatile events were left out here, because the connection or
// the application was too slow for them.
type Gap struct {
	// Missed is how many there were.
	Missed int
}

// TierChanged says that from here on another part of the room's events comes. After
// [Reset] and [Resumed] it is what the application has chosen.
type TierChanged struct {
	Tier Tier
	// ByServer is set while it is less than was chosen, because this client lags: a
	// Gap says how many volatile events that were, before the next TierChanged.
	ByServer bool
}

// Fate is what became of something that was held for a moderator.
type Fate struct {
	// CID is what [Receipt.CID] was.
	CID string
	// Status is [StatusOK], [StatusMerged], [StatusShed] or [StatusRefused].
	Status Status
	// Event is the id of the event, if there is one.
	Event string
	// Err says why it was refused. It is nil otherwise.
	Err *im.Error
}

// Online is how many are in the room, at most once a second. An application
// that lags gets only the last one, with all who came in since the one before.
type Online struct {
	Count int
	// Joined says who came in since the last time, nil if nobody did or the room does not
	// tell. Those who came while this client was away or slow are not told of.
	Joined *Joins
	// Presence says how the users in the room have changed, nil if they have not or the server does not tell; see [Room.Roster].
	Presence *PresenceChange
}

// Joins are users who came into a room: "A, B and 37 others came in".
type Joins struct {
	// Names are those of the first, up to three.
	Names []string
	// N is how many came, those of Names included.
	N int
}

// and adds those who came later; either may be nil.
func (j *Joins) and(later *Joins) *Joins {
	switch {
	case j == nil:
		return later
	case later == nil:
		return j
	}
	names := append(slices.Clip(j.Names), later.Names...)
	return &Joins{names[:min(len(names), 3)], j.N + later.N}
}

// Left says that the server has put this client out of the room. It is the last
// update; Err, never nil, says why.
type Left struct {
	Err *im.Error
}

func (Event) update()       {}
func (Removed) update()     {}
func (Reset) update()       {}
func (Resumed) update()     {}
func (Gap) update()         {}
func (TierChanged) update() {}
func (Fate) update()        {}
func (Online) update()      {}
func (Left) update()        {}

// Cell is the value of one key of a room's state.
type Cell struct {
	// Value is one JSON value. Do not change its bytes.
	Value json.RawMessage
	// Version is the seq of the event that set it, never 0.
	Version uint64
	// Until is when the key expires, in milliseconds since 1970 by the server's clock; 0: never.
	Until int64
	// Owner is the user whose leaving removes the key; empty: nobody's.
	Owner string
}

// Status is the fate of something that was sent.
type Status string

// The statuses. All but StatusRefused are final answers to a request, and
// StatusUnknown is one only if the context ended first.
const (
	StatusOK      Status = "ok"      // stored to the standard of its class, or a retry of something that was
	StatusMerged  Status = "merged"  // shown as part of an equal message
	StatusShed    Status = "shed"    // not shown to others: too many at once; show it to the sender all the same
	StatusHeld    Status = "held"    // waits for a moderator; a Fate follows
	StatusUnknown Status = "unknown" // not decided yet; safe to send again with the same cid
	StatusRefused Status = "refused" // in a Fate only
)
