package segment

import "github.com/liveim/im"

// Type is what a record is.
type Type uint8

// The types of records, with the fields that each uses beside Room, Epoch and Seq.
const (
	// Event is an event: Event, Volatiles, Durables. Seq is that of Event.Pos.
	Event Type = iota + 1
	// Snapshot is a room's folded state at Seq: Data. A sealed file keeps the newest of each room and epoch.
	Snapshot
	// Abort says that the event at Seq, written earlier, does not count, since it could not be synced.
	Abort
	// Reserve says that positions up to Seq may have been given. A sealed file keeps the highest of each room and epoch.
	Reserve
	// Meta is what is known of a room whose events may be gone: Seq is the head, Trimmed, Volatiles, Durables. A sealed
	// file keeps the newest, in the order of the file, of each room and epoch.
	Meta
	// Closed says that the log was closed after this. Room is empty. A sealed file keeps none.
	Closed
)

// Record is one entry of a file. The zero Record is none.
type Record struct {
	Type  Type
	Room  string
	Epoch string
	Seq   uint64
	// Event is set for type Event. Written, its Pos is ignored in favour of Epoch and Seq; read, its Pos is set. At keeps
	// its nanoseconds and loses its zone (it is UTC). A record that was read shares nothing with the file.
	Event *im.Event
	// Volatiles and Durables count the events of the room and epoch up to and including this one.
	Volatiles, Durables uint64
	// Trimmed is the position up to which durable events are no longer kept.
	Trimmed uint64
	// Data is what a snapshot holds. It belongs to the receiver.
	Data []byte
}

// Ref is where a record lies in an active file. It is good for the file that gave it, or that Recover made it from.
type Ref struct {
	Offset int64
	Length uint32
}
