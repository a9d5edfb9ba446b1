package disktest

import (
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

func keys(m map[string]*node) iter.Seq[string] { return maps.Keys(m) }

// apply does what was done to names to a table of them.
func apply(names map[string]*node, changes []change) {
	for _, c := range changes {
		if c.node == nil {
			delete(names, c.name)
		} else {
			names[c.name] = c.node
		}
	}
}

// record does it now, and remembers that it is not synced.
func (f *FS) record(changes ...change) {
	apply(f.names, changes)
	f.journal = append(f.journal, changes...)
}

// Create is as disk.FS says.
func (f *FS) Create(name string) (disk.File, error) {
	name = filepath.Clean(name)
	_, err := f.begin(Create, name)
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if f.names[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	n := &node{}
	f.record(change{name: name, node: n})
	return &file{fs: f, node: n, name: name, writes: true}, nil
}

// Open is as disk.FS says.
func (f *FS) Open(name string) (disk.File, error) { return f.open(name, false) }

// OpenWrite is as disk.FS says.
func (f *FS) OpenWrite(name string) (disk.File, error) { return f.open(name, true) }

func (f *FS) open(name string, writes bool) (disk.File, error) {
	name = filepath.Clean(name)
	_, err := f.begin(Open, name)
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	n := f.names[name]
	if n == nil {
		return nil, notExist("open", name)
	}
	return &file{fs: f, node: n, name: name, writes: writes}, nil
}

// Rename is as disk.FS says.
func (f *FS) Rename(from, to string) error {
	from, to = filepath.Clean(from), filepath.Clean(to)
	_, err := f.begin(Rename, to)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	n := f.names[from]
	if n == nil {
		return notExist("rename", from)
	}
	f.record(change{name: from, more: true}, change{name: to, node: n})
	return nil
}

// Remove is as disk.FS says.
func (f *FS) Remove(name string) error {
	name = filepath.Clean(name)
	_, err := f.begin(Remove, name)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	if f.names[name] == nil {
		return notExist("remove", name)
	}
	f.record(change{name: name})
	return nil
}

// ReadDir is as disk.FS says.
func (f *FS) ReadDir(dir string) ([]string, error) {
	dir = filepath.Clean(dir)
	_, err := f.begin(ReadDir, dir)
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range f.names {
		if filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// MkdirAll does nothing: every directory exists.
func (f *FS) MkdirAll(string) error { return nil }

// SyncDir is as disk.FS says.
func (f *FS) SyncDir(dir string) error {
	dir = filepath.Clean(dir)
	_, err := f.begin(SyncDir, dir)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	f.journal = slices.DeleteFunc(f.journal, func(c change) bool {
		if filepath.Dir(c.name) != dir {
			return false
		}
		apply(f.lasting, []change{c})
		return true
	})
	return nil
}

// Lock is as disk.FS says, and makes no file.
func (f *FS) Lock(name string) (io.Closer, error) {
	name = filepath.Clean(name)
	_, err := f.begin(Lock, name)
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if f.locks[name] {
		return nil, fmt.Errorf("lock %s: %w", name, disk.ErrLocked)
	}
	f.locks[name] = true
	return unlock(sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.locks, name)
	})), nil
}

type unlock func()

func (u unlock) Close() error {
	u()
	return nil
}
