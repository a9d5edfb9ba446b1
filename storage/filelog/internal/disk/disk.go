// Package disk is what the file log asks of a file system: few calls, so that a test can stand in for each of them. [OS] is
// the machine's own; disktest.FS lives in memory, fails on request, and can lose its power.
package disk

import (
	"errors"
	"io"
)

// ErrLocked is wrapped by errors of [FS.Lock] while another process, or another log of this one, holds the lock.
var ErrLocked = errors.New("the directory is in use by another log")

// FS is a file system. Its methods are safe for concurrent use. Names are those of package os: with the directory, in the
// machine's own way of writing them. Errors are those of package os, so errors.Is finds fs.ErrNotExist, fs.ErrExist and
// the machine's error numbers in them.
type FS interface {
	// Create makes a file that does not exist yet, with mode 0600, for reading and writing. Its name lasts through a
	// loss of power only after SyncDir.
	Create(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// OpenWrite opens a file that exists for reading and writing. Nothing of it is cut.
	OpenWrite(name string) (File, error)
	// Rename gives a file another name and replaces what had that name. On Windows it fails while either is open.
	Rename(from, to string) error
	// Remove removes a file. Where the machine allows it, files that are open stay readable.
	Remove(name string) error
	// ReadDir returns the names of what is in a directory, sorted, without the directory.
	ReadDir(dir string) ([]string, error)
	// MkdirAll makes a directory and those above it, with mode 0700, and does nothing where it exists.
	MkdirAll(dir string) error
	// SyncDir makes lasting which names a directory holds: what Create, Rename and Remove did.
	SyncDir(dir string) error
	// Lock takes an exclusive lock on a file, which it makes if need be, or fails with an error that wraps ErrLocked.
	// It never waits. Closing what it returns gives the lock back; the end of the process does so too.
	Lock(name string) (io.Closer, error)
}

// File is an open file. Its methods are safe for concurrent use, reads beside writes included.
type File interface {
	io.ReaderAt
	// WriteAt writes at a place. When it fails, any part may have been written.
	io.WriterAt
	// Sync makes lasting what was written and the file's size. After an error what was written before is lost to later
	// calls too: a later Sync that succeeds says nothing about it.
	Sync() error
	// Truncate sets the size. What it adds is zeros.
	Truncate(size int64) error
	// Size is how many bytes the file has.
	Size() (int64, error)
	// Close gives the file back. It does not sync. Later calls fail with fs.ErrClosed.
	Close() error
}

// ReadFile returns what a file holds. It is for small files.
func ReadFile(f FS, name string) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	n, err := file.ReadAt(data, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data[:n], nil
}

// WriteFile makes a file hold data, or leaves what it was: it writes to another name, syncs, renames and syncs the
// directory. It is for small files.
func WriteFile(f FS, dir, name string, data []byte) error {
	return writeFile(f, dir, name, data)
}
