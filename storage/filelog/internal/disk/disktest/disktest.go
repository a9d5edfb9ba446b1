// Package disktest is a file system in memory that does to its user what machines do: it fails, fills up, writes half,
// stalls, and loses its power.
package disktest

import (
	"io"
	"math/rand/v2"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

// Op is one kind of call.
type Op uint8

// The calls that rules and stalls can be for.
const (
	Create Op = iota + 1
	Open      // Open and OpenWrite
	Rename
	Remove
	ReadDir
	SyncDir
	Lock
	Read
	Write
	Sync
	Truncate
)

// Rule says which calls fail, and how.
type Rule struct {
	Op Op
	// Name is a pattern of path.Match for the last part of the file's name (of the new name, for Rename). Empty: all.
	Name string
	// Err is what the call returns. Required. A Sync that fails loses what was not synced, as on a machine: what is read
	// still shows it, and no later Sync makes it lasting.
	Err error
	// Skip lets so many calls pass first.
	Skip int
	// Times is how many calls fail. 0: all, until the rule is removed.
	Times int
	// Short is how many bytes a Write still writes, or a Read still reads, before it fails.
	Short int
}

// FS is a disk.FS in memory. It is safe for concurrent use. Make one with New.
type FS struct{ todo int }

var _ disk.FS = (*FS)(nil)

// New makes an empty file system. Directories need not be made.
func New() *FS { panic("not yet") }

// Fail adds a rule. The first rule that fits a call counts. remove takes it back.
func (f *FS) Fail(r Rule) (remove func()) { panic("not yet") }

// Stall makes calls of an operation wait until release is called; name is as in Rule. waiting is closed when the
// first call waits. Inside a synctest bubble that is a durable wait.
func (f *FS) Stall(op Op, name string) (waiting <-chan struct{}, release func()) { panic("not yet") }

// SetCapacity bounds the bytes of all files; writes beyond it are short and fail with ENOSPC. 0 or less: no bound.
func (f *FS) SetCapacity(bytes int64) { panic("not yet") }

// Crash is a loss of power. It returns the file system as it is afterwards, unlocked and without rules; the old one, and
// files open on it, fail from now on. With r nil all that was not synced is gone, files and names alike. Otherwise each
// write that was not synced is there, not there, or there in part, as r decides: sectors of 512 bytes are whole.
func (f *FS) Crash(r *rand.Rand) *FS { panic("not yet") }

// Kill is the end of the process alone: what was written stays, and Crash may still take it. It returns the
// file system unlocked; the old one, and files open on it, fail from now on.
func (f *FS) Kill() *FS { panic("not yet") }

// Count is how many calls of an operation were made on files whose name fits, those that failed included.
func (f *FS) Count(op Op, name string) int { panic("not yet") }

// Bytes returns what a file holds now, or nil.
func (f *FS) Bytes(name string) []byte { panic("not yet") }

// SetBytes makes a file hold data, synced, behind the back of those who have it open.
func (f *FS) SetBytes(name string, data []byte) { panic("not yet") }

// Unsynced is how many writes to a file are not synced.
func (f *FS) Unsynced(name string) int { panic("not yet") }

// Create is as disk.FS says, and so are those below.
func (f *FS) Create(name string) (disk.File, error)    { panic("not yet") }
func (f *FS) Open(name string) (disk.File, error)      { panic("not yet") }
func (f *FS) OpenWrite(name string) (disk.File, error) { panic("not yet") }
func (f *FS) Rename(from, to string) error             { panic("not yet") }
func (f *FS) Remove(name string) error                 { panic("not yet") }
func (f *FS) ReadDir(dir string) ([]string, error)     { panic("not yet") }
func (f *FS) MkdirAll(dir string) error                { panic("not yet") }
func (f *FS) SyncDir(dir string) error                 { panic("not yet") }
func (f *FS) Lock(name string) (io.Closer, error)      { panic("not yet") }
