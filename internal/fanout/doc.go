// Package fanout is the delivery engine: it brings what a room says to every
// session that follows it, at the kernel's price.
//
// A room owns a [Feed]: a ring of recent [Batch]es, each encoded at most once per
// wire format and tier and shared by all sessions. A session owns an [Outlet]: its
// connection, a short queue of messages for it alone, and one [Cursor] per room.
// It keeps no queue of room events: what lies between a cursor and the head of
// the feed goes out in one vectored, non-blocking send. A session that reads
// slowly is an old cursor. It delays nobody, leaves out volatile events that are
// too old to matter, and is told how many; one that falls out of the ring is
// handed back to the room, which lets it enter again.
//
// An [Engine] runs the flushes of all rooms on a few workers: the first event
// after a quiet moment leaves at once, later ones once per gap.
//
// Feeds and cursors are plain structs; goroutines exist only in the Engine.
package fanout

// Lane says what may be left out of what is delivered; lower is more important.
type Lane uint8

// The lanes, from what is never left out to what a slow viewer does without.
const (
	Critical Lane = iota
	Normal
	Volatile
	lanes
)

// Tier is the part of a room that a session wants: all lanes up to and
// including the one that it is named after.
type Tier = Lane

// The tiers. Lanes and tiers only leave out, they never reorder.
const (
	TierCritical Tier = Critical
	TierReduced  Tier = Normal
	TierFull     Tier = Volatile
)

// Item is one event of a room, encoded.
type Item struct {
	Seq  uint64
	Lane Lane
	JSON []byte // as wire.AppendEvent writes it
	// Key names what the event is the newest value of; empty: nothing. All events of a key have the same lane. Sessions
	// that lag do without those that a later one has superseded.
	Key string
	// From is the user who sent it; empty: nobody. It is for [Feed.Remove] alone.
	From string
}
