package im

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Log orders and keeps the events of rooms. It is the one thing that nodes
// share: a hub that follows a shared log is in the cluster.
//
// # Contract
//
// A Log is used from many goroutines at once, for many rooms. Rooms need no
// creation: a room that nobody wrote to is empty. Names of rooms and IDs of
// events are not empty, may hold every byte, separators, wildcards and NUL
// included, and a Log takes at least 128 bytes of them; two different names never
// meet. IDs are per room: the same ID in two rooms is two events.
//
// Within (room, epoch) positions rise strictly, need not be contiguous, and
// never name two events, not even after a crash. An epoch is 1 to 64 characters
// of A-Z, a-z, 0-9, '_' and '-'. Losing stored events means a new epoch.
// The epoch of a room that has no events may change at any time.
//
// What was stored comes back byte for byte, times at least to the millisecond.
//
// Slices and events that are passed in belong to the caller: a Log neither
// keeps nor changes them, but it may keep what is immutable, the strings and the
// bytes of Body. Slices and events that are handed out are never changed again
// by the Log and must not be changed by the receiver; they may be shared. The one
// exception is the slice given to deliver, which is valid during the call only.
//
// Every method returns promptly with an error that wraps ctx.Err() when ctx
// ends, or if it has ended already. Errors that are not named here mean that the log cannot do it now:
// callers may try again.
//
// The package imtest/logtest is this contract as a test suite. Run it against
// every implementation.
type Log interface {
	// Append stores events in the given order, which is also the order of their
	// positions, and returns one result per event. An event has its place when
	// it is stored to the standard of its class, no earlier: Append returns
	// after that, and Follow delivers after that. When Append has returned, Read
	// and Head of the same Log include the event. A call may hold any number of
	// events; a Log splits it if it must.
	//
	// Append is idempotent by event ID within the log's window (at least as long
	// as the event itself is kept): an ID that is there already is not stored
	// again. The result is then Duplicate, with the position of the first, if the
	// Digest is equal, and Conflict if not. An ID that is repeated within one call
	// counts likewise. Duplicates and conflicts are results, not errors.
	//
	// The error is for the whole call. One that wraps [ErrNotStored] says that
	// none of the events was or will be stored; any other means that the outcome is
	// not known: any prefix of events may have been stored, or may yet be. Repeating the
	// call with the same IDs is safe.
	//
	// The Pos of the given events is ignored. Class is set by the caller and must
	// be kept with the event. An empty slice does nothing.
	Append(ctx context.Context, room string, events []*Event) ([]Appended, error)

	// Read returns events of a room in rising order of position: those that lie
	// in r and are still kept. A page holds at most r.Max events.
	//
	// It returns an error that wraps [ErrGap] when r.After or r.Before is set and is
	// not of the current epoch, when r.After lies after the head, or when a
	// critical, normal or merged event after r.After is no longer kept. Volatile
	// events that are gone are no gap: Page.Missed counts them. Before and Newest do
	// not change what is a gap; Before may lie after the head. A range that holds no
	// place, Before at or below After, is an empty page.
	Read(ctx context.Context, room string, r Range) (Page, error)

	// Head returns the position of the newest event stored in this epoch, even if
	// it is no longer kept. For a room that has none it is the current epoch with
	// Seq 0, which is good for Read and Follow like any other.
	Head(ctx context.Context, room string) (Position, error)

	// Follow has deliver called with every event of a room that is stored after
	// the given position, in order, each once, starting with those that are
	// stored already. It fails with [ErrGap] as Read does. ctx bounds the call of
	// Follow only: Follow returns when following has begun, and costs no goroutine
	// per room unless the engine needs one.
	//
	// deliver is called by one goroutine at a time, which may be the one that
	// appends, before or after Append returns, and may run inside any call of Append
	// or Follow: do not hold a lock that deliver takes while calling them. It must
	// not block, must not call the Log and must not keep the slice; it may keep the
	// events. A deliver that panics ends its following as an error does. When following cannot go on, because the
	// engine is lost, events were trimmed before they were delivered, or the epoch
	// changed, deliver is called a last time with no events and an error (ErrGap for
	// the last two). Short outages the Log bridges itself.
	//
	// stop ends it: after stop returns deliver is not called again, since stop waits
	// for a call that is running. It may be called more than once, also after the
	// following has ended by itself, but not from deliver and not under a lock that
	// deliver takes.
	Follow(ctx context.Context, room string, after Position, deliver func(events []*Event, err error)) (stop func(), err error)
}

// Appended is what became of one event of a Log.Append call.
type Appended struct {
	// Pos is where the event stands: its own place when Status is Stored, that of
	// the first with its ID otherwise.
	Pos    Position
	Status AppendStatus
}

// AppendStatus is the outcome of appending one event.
type AppendStatus uint8

const (
	Stored    AppendStatus = iota + 1 // stored now
	Duplicate                         // the same event is there already
	Conflict                          // another event with the same ID is there already
)

func (s AppendStatus) String() string {
	switch s {
	case Stored:
		return "stored"
	case Duplicate:
		return "duplicate"
	case Conflict:
		return "conflict"
	}
	return "no status"
}

// Range selects events of one room. The zero Range selects the oldest
// DefaultPage events that are kept.
type Range struct {
	// After excludes events up to and including this position. Zero: from the
	// oldest that is kept, which is never a gap.
	After Position
	// Before excludes events from this position on. Zero: to the newest.
	Before Position
	// Max bounds the page. Zero or less means DefaultPage.
	Max int
	// Newest takes the newest Max events of the range instead of the oldest.
	// The order within the page rises all the same, and a page that does not
	// reach back to After is no gap.
	Newest bool
}

// DefaultPage is the page size of a [Range] that names none.
const DefaultPage = 100

// Page is what Log.Read found.
type Page struct {
	Events []*Event
	// Missed is how many volatile events between After and the end of the page
	// are no longer kept: 0 only if there are none, and never more than there are. A log
	// that has dropped volatile events beyond that end as well may have lost count: it may say
	// less then, or 0. The end is that of the range, or the last event of the page if More is
	// set. Missed is 0 if After is zero or Newest is set.
	Missed int
	// More reports that the range holds further events beyond the page: newer
	// ones, or older ones if Newest is set.
	More bool
}

// ErrGap says that a log cannot go on from a position without a hole. The
// follower starts again from a snapshot and the newest events.
var ErrGap = errors.New("im: the log no longer reaches back to that position; start again from a snapshot")

// ErrNotStored is wrapped by errors of Log.Append after which nothing was or will
// be stored: the log refuses work that it cannot do, before any effect.
var ErrNotStored = errors.New("im: the log takes nothing at the moment; nothing was stored")

// Durability is how safe a stored critical event is.
type Durability uint8

const (
	DurabilityMemory     Durability = iota // gone with the process
	DurabilityLocalFsync                   // on this machine's disk when Append returns
	DurabilityReplicated                   // in the memory of several machines
	DurabilityQuorum                       // on the disks of a majority
)

// The interfaces below, and [SecretLog], are abilities that a [Log] may add. The hub asks for
// them with a type assertion; a decorator of a Log must hand them on.

// DurableLog is a Log that says how safe its events are. Without it a Log
// counts as DurabilityMemory.
type DurableLog interface {
	Log
	Durability() Durability
}

// SnapshotLog is a Log that keeps one snapshot per room: the room's folded
// state, from which a node goes on without reading the room from its start.
// Without it a node folds from the oldest event that is kept, and state older
// than the retention is lost.
type SnapshotLog interface {
	Log
	// SaveSnapshot replaces the snapshot of a room if s.Pos is newer than the one
	// kept; the newer one wins whatever the order of calls. A snapshot whose epoch is
	// not the room's current one is ignored without an error. Data belongs to the
	// caller after the call. The log must keep critical events after the snapshot's
	// position at least as long as its retention says.
	SaveSnapshot(ctx context.Context, room string, s Snapshot) error
	// LoadSnapshot returns the newest snapshot, or ok false if there is none or
	// if it is of an epoch that is gone.
	LoadSnapshot(ctx context.Context, room string) (s Snapshot, ok bool, err error)
}

// Snapshot is the folded state of a room at a position.
type Snapshot struct {
	Pos  Position
	Data json.RawMessage // opaque to the log
}

// TrimLog is a Log that must be told the time to drop what is past its
// retention. The hub calls Trim about every half minute. Without it the Log sees to
// that by itself.
type TrimLog interface {
	Log
	// Trim drops what is too old at now, which is of the clock that stamps Event.At.
	Trim(ctx context.Context, now time.Time) error
}

// Eraser is a Log that can take the content of single events away for good. Without it what was deleted with
// [Room.Remove] is hidden from all that read through a hub, and its bytes stay in the log until the retention ends.
type Eraser interface {
	Log
	// Erase takes the Body of the events at these positions away. All else about them stays, the ID and the Digest above
	// all: the retry of a send is a Duplicate as before, and another send under the ID a Conflict. When Erase has returned
	// without an error, Read returns the events without a Body, as does a Follow that begins afterwards; events that were
	// handed out before do not change, and a following that has yet to deliver one may do so with its Body. A log that
	// survives a restart does not find it again.
	//
	// Positions where nothing is kept, of another epoch or after the head, and events that are erased already are no error. One that
	// is returned means that any part may have been done; calling again is safe. The slice belongs to the caller.
	Erase(ctx context.Context, room string, positions []Position) error
}

// CensusLog is a Log whose engine can count sessions over all nodes. Without
// it online counts are those of one node.
type CensusLog interface {
	Log
	// Report announces how many sessions this node has in each room. It replaces the node's
	// previous report and expires after the lease.
	Report(ctx context.Context, node string, counts map[string]int, lease time.Duration) error
	// Online returns the number of sessions in a room over all nodes with a live lease.
	Online(ctx context.Context, room string) (int, error)
}
