package segment

import (
	"context"
	"iter"
	"time"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

// Cache holds blocks that were read lately. One is shared by all sealed files of a log. A nil Cache holds nothing.
type Cache struct{ todo int }

// NewCache makes a cache of at most so many bytes.
func NewCache(bytes int64) *Cache { panic("not yet") }

// Sealed is a sealed file, open for reading. Its methods are safe for concurrent use. It holds a few bytes per 4 KiB of its
// directory in memory; rooms and ids are looked up on disk, through the cache.
type Sealed struct{ todo int }

// RoomInfo is what a sealed file knows of one room and epoch.
type RoomInfo struct {
	Room, Epoch string
	// First and Last are the positions of the oldest and the newest event, 0 if there are none.
	First, Last uint64
	// Events is how many events there are, DurableEvents how many of them are not volatile.
	Events, DurableEvents int
	// FirstDurable and LastDurable are the positions of the oldest and the newest event that is not volatile, 0 for none.
	FirstDurable, LastDurable uint64
	// Bytes is how long the events are, uncompressed.
	Bytes int64
	// Oldest and Newest are the lowest and the highest Event.At. Zero if there are no events.
	Oldest, Newest time.Time
	// FirstVolatiles and FirstDurables are the counts that the oldest event carries, Volatiles and Durables those of the
	// newest event or Meta record, whichever is higher.
	FirstVolatiles, FirstDurables uint64
	Volatiles, Durables           uint64
	// Head is the highest position of an event, a snapshot or a Meta record; Reserve the highest of a Reserve record.
	Head, Reserve uint64
	// Trimmed is that of the Meta record.
	Trimmed uint64
	// HasMeta and HasSnapshot say that there are such records. Snapshot is the newest one's position.
	HasMeta, HasSnapshot bool
	Snapshot             uint64
	// Aborts are the positions of abort records, in the order of the file.
	Aborts []uint64
}

// Query selects events of one room and epoch.
type Query struct {
	Room, Epoch string
	// After and Before exclude positions up to and from them. Before 0 has no bound.
	After, Before uint64
	// Max is how many events to return at most. Required.
	Max int
	// Newest takes the newest instead of the oldest.
	Newest bool
	// Keep says which events count. Nil means all. It must not keep the record.
	Keep func(*Record) bool
}

// Page is what Read found.
type Page struct {
	// Records are events in rising order of position. They belong to the receiver.
	Records []Record
	// More says that further events of the query lie beyond the page.
	More bool
	// Damage is the damaged blocks that were passed over.
	Damage []Damage
}

// Seal makes the sealed file of a number: from the active file of that number, or, if there is a sealed one, from
// that, to leave out what is dropped. drop says which records to leave out; nil means none. It gets each record once, in the
// order of rooms (by bytes), epochs and positions, and must not keep it. The new file is on disk, and in the place of
// the old sealed one, when Seal returns. The active file is left where it is: remove it with Active.Remove when
// nobody reads it any more. A Sealed that is open on the file of before goes on reading that.
//
// Damage is the places of the source that could not be read. After an error nothing has changed. Where ctx ends, Seal ends.
func Seal(ctx context.Context, fsys disk.FS, dir string, number uint64, drop func(*Record) bool, cache *Cache) (*Sealed, []Damage, error) {
	panic("not yet")
}

// Open opens a sealed file. It reads the file's directory and no block; where the directory is damaged it reads all blocks
// to make it anew, and says so with a Damage that is not Lost.
func Open(fsys disk.FS, path string, cache *Cache) (*Sealed, []Damage, error) { panic("not yet") }

// Rooms yields what the file holds, in the order of room names by bytes, the epochs of a room in the order of the file. An
// error is the last thing that it yields.
func (s *Sealed) Rooms() iter.Seq2[RoomInfo, error] { panic("not yet") }

// Room returns what the file knows of the epochs of one room; none means that it holds nothing of it.
func (s *Sealed) Room(room string) ([]RoomInfo, error) { panic("not yet") }

// Read returns events. Damage is no error: it is passed over and named in the page. An error means that the file
// cannot be read now, or is closed.
func (s *Sealed) Read(q Query) (Page, error) { panic("not yet") }

// FindID returns the event with an id, the newest of those for which keep (nil: always) is true. Blocks that cannot be read
// hold nothing.
func (s *Sealed) FindID(room, id string, keep func(*Record) bool) (Record, bool, error) {
	panic("not yet")
}

// Snapshot returns the snapshot of a room and epoch.
func (s *Sealed) Snapshot(room, epoch string) (Record, bool, error) { panic("not yet") }

// Verify reads the whole file and returns each damaged place. It ends with ctx, whose error it returns then.
func (s *Sealed) Verify(ctx context.Context) ([]Damage, error) { panic("not yet") }

// Number is the number of the segment.
func (s *Sealed) Number() uint64 { panic("not yet") }

// Name is the path of the file.
func (s *Sealed) Name() string { panic("not yet") }

// Size is how long the file is in bytes.
func (s *Sealed) Size() int64 { panic("not yet") }

// Close closes the file. It waits for calls that are reading; later ones fail with fs.ErrClosed. It may be called
// more than once.
func (s *Sealed) Close() error { panic("not yet") }

// Remove closes the file and removes it from the directory, lastingly.
func (s *Sealed) Remove() error { panic("not yet") }
