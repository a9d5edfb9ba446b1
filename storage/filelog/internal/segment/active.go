package segment

import (
	"context"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

// Active is a file that is appended to. Write and Sync are for one goroutine at a time each, and may run beside each other;
// Read, Size and Name are safe beside everything.
type Active struct{ todo int }

// WriteError is the error of a Write that failed.
type WriteError struct {
	// CutBack says that the file is as it was before, on disk too: nothing of the records is or will be there, and the
	// Active goes on. Without it the outcome is not known, and the Active takes no more writes.
	CutBack bool
	Err     error
}

func (e *WriteError) Error() string { return "write to the segment: " + e.Err.Error() }

func (e *WriteError) Unwrap() error { return e.Err }

// Create makes the active file of a number, with its header on disk and its name in the directory. It fails with
// fs.ErrExist if the file exists. After another error it has removed the file if it could.
func Create(fsys disk.FS, dir string, number uint64) (*Active, error) { panic("not yet") }

// Write appends records with one write call, and returns where each is. They are on disk after the next Sync. The error is a
// *WriteError, or wraps ErrTooLarge or ErrBroken, after which nothing was written. Events are not kept.
func (a *Active) Write(records []Record) ([]Ref, error) { panic("not yet") }

// Sync has what Write returned for on disk. After an error the Active takes no more writes or syncs.
func (a *Active) Sync() error { panic("not yet") }

// Read reads one record. The error wraps ErrDamaged if its bytes are not those that were written.
func (a *Active) Read(ref Ref) (Record, error) { panic("not yet") }

// Size is how long the file is in bytes, what is not synced included.
func (a *Active) Size() int64 { panic("not yet") }

// Number is the number of the segment.
func (a *Active) Number() uint64 { panic("not yet") }

// Name is the path of the file.
func (a *Active) Name() string { panic("not yet") }

// Close closes the file without a sync. It may be called more than once.
func (a *Active) Close() error { panic("not yet") }

// Remove closes the file and removes it from the directory, lastingly. It is for after Seal.
func (a *Active) Remove() error { panic("not yet") }

// Recovery is what was found in an active file.
type Recovery struct {
	Number uint64
	// Damage is the damaged places that have records after them, and damaged copies of the header.
	Damage []Damage
	// Tail is what lies after the last good frame, or nil: the torn end of a write, or damage to the last frames, which
	// nobody can tell apart. Recover cuts it off. Its Rooms are those of records in it that could be read.
	Tail *Damage
	// Cut is how many bytes were cut off, those of Tail.
	Cut int64
	// Closed says that the log was closed cleanly and that nothing lies after that.
	Closed bool
	// Records is how many records were found.
	Records int
}

// Recover opens an active file: it reads all of it, calls fn with each record in the order of the file, cuts off what lies
// after the last good frame, and syncs that. An error of fn ends it and is returned as it is. Damage is not an error; a file
// without any good frame becomes an empty one. It fails if the end of the file cannot be read, so that nothing is cut off
// that may be there tomorrow, and with ErrVersion for newer files.
func Recover(fsys disk.FS, path string, fn func(Record, Ref) error) (*Active, Recovery, error) {
	panic("not yet")
}

// Scan reads an active file as Recover does, and changes nothing. It may run while the file is written to, by another
// process too: what is being written then is the Tail. Cut is 0.
func Scan(ctx context.Context, fsys disk.FS, path string, fn func(Record, Ref) error) (Recovery, error) {
	panic("not yet")
}
