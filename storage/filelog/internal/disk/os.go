package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// OS is the machine's file system. The zero value is ready.
type OS struct{}

var _ FS = OS{}

// Create is as [FS] says.
func (OS) Create(name string) (File, error) {
	return open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Open is as [FS] says.
func (OS) Open(name string) (File, error) { return open(name, os.O_RDONLY) }

// OpenWrite is as [FS] says.
func (OS) OpenWrite(name string) (File, error) { return open(name, os.O_RDWR) }

// Rename is as [FS] says.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove is as [FS] says.
func (OS) Remove(name string) error { return os.Remove(name) }

// MkdirAll is as [FS] says.
func (OS) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

// ReadDir is as [FS] says.
func (OS) ReadDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// file is an open file of the machine.
type file struct{ *os.File }

func open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return file{f}, nil
}

func (f file) Sync() error { return datasync(f.File) }

func (f file) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func writeFile(f FS, dir, name string, data []byte) error {
	path, temp := filepath.Join(dir, name), filepath.Join(dir, name+".tmp")
	if err := f.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := f.Create(temp)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(data, 0)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", temp, err)
	}
	if err := f.Rename(temp, path); err != nil {
		return err
	}
	return f.SyncDir(dir)
}
