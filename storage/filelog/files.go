package filelog

import (
	"io/fs"
	"sync"

	"github.com/liveim/im/storage/filelog/internal/segment"
)

// activeFile is a segment that is not sealed. It is read by rooms that hold entries of it, and closed when none does.
type activeFile struct {
	number uint64
	active *segment.Active // Write and Sync belong to the committer
	broken bool            // it failed, and its end may be torn; set before it is retired

	// mu protects done, and active against being closed while it is read.
	mu   sync.RWMutex
	done bool
}

func newActiveFile(a *segment.Active) *activeFile {
	return &activeFile{number: a.Number(), active: a}
}

// read returns a record. The error wraps fs.ErrClosed if the segment was sealed meanwhile: look where it lies now.
func (f *activeFile) read(ref segment.Ref) (segment.Record, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.done {
		return segment.Record{}, fs.ErrClosed
	}
	return f.active.Read(ref)
}

// end closes the file when nobody reads it, and removes it if its records are elsewhere.
func (f *activeFile) end(remove bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return nil
	}
	f.done = true
	if remove {
		return f.active.Remove()
	}
	return f.active.Close()
}

// sealedFile is a sealed segment that rooms hold parts of.
type sealedFile struct {
	*segment.Sealed
	newest int64 // the highest Event.At, by which its age counts
}
