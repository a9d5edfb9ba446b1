package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// Names in a log's directory.
const (
	entriesName     = "entries"
	detailsName     = "details"
	treeName        = "tree"
	checkpointsName = "checkpoints"
	lockName        = "LOCK"
)

// files are the files of an open log.
type files struct {
	entries, details, tree, checkpoints *os.File
	lock                                io.Closer
	sync                                func(*os.File) error // datasync; tests have it fail, or do nothing
}

// openFiles makes what is missing durable before anything is written to it: a file whose name is lost has lost
// its entries.
func openFiles(dir string, sync func(*os.File) error) (*files, error) {
	_, err := os.Stat(dir)
	isNew := errors.Is(err, os.ErrNotExist)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f := &files{sync: sync}
	if f.lock, err = lockFile(filepath.Join(dir, lockName)); err != nil {
		return nil, err
	}
	for _, x := range f.named() {
		if *x.file, err = os.OpenFile(filepath.Join(dir, x.name), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return nil, errors.Join(err, f.close())
		}
	}
	err = syncDir(dir)
	if err == nil && isNew {
		err = syncDir(filepath.Dir(filepath.Clean(dir)))
	}
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

type namedFile struct {
	name string
	file **os.File
}

func (f *files) named() []namedFile {
	return []namedFile{{entriesName, &f.entries}, {detailsName, &f.details}, {treeName, &f.tree}, {checkpointsName, &f.checkpoints}}
}

func (f *files) close() error {
	var err error
	for _, x := range f.named() {
		if *x.file != nil {
			err = errors.Join(err, (*x.file).Close())
		}
	}
	return errors.Join(err, f.lock.Close())
}

func (f *files) record(index int64) (record, error) {
	var b [recordSize]byte
	if _, err := f.entries.ReadAt(b[:], index*recordSize); err != nil {
		return record{}, err
	}
	return parseRecord(b[:])
}

// whole makes an Entry of a record by reading its detail.
func (f *files) whole(r *record) (Entry, error) {
	body := make([]byte, saltSize+r.n)
	if _, err := f.details.ReadAt(body, r.off); err != nil {
		return Entry{}, fmt.Errorf("%w: the detail of entry %d: %w", ErrCorrupt, r.index, err)
	}
	return r.entry(body)
}

func fileSize(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" {
		return nil // which have no such call, and keep the name with the file
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
