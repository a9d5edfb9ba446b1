package disk

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

func TestOS(t *testing.T) {
	var fsys OS
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := fsys.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	lock, err := fsys.Lock(filepath.Join(dir, "LOCK"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fsys.Lock(filepath.Join(dir, "LOCK")); !errors.Is(err, ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := WriteFile(fsys, dir, "secret", []byte("text")); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(dir, "secret")
	if data, err := ReadFile(fsys, name); err != nil || string(data) != "text" {
		t.Errorf("read %q, %v", data, err)
	}
	if _, err := fsys.Create(name); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create what exists: %v", err)
	}
	f, err := fsys.OpenWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("more"), 4)
	if err = errors.Join(err, f.Sync(), f.Truncate(6)); err != nil {
		t.Fatal(err)
	}
	if size, err := f.Size(); size != 6 || err != nil {
		t.Errorf("size %d, %v", size, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("sync of a closed file: %v", err)
	}
	if err := errors.Join(fsys.Rename(name, name+"2"), fsys.SyncDir(dir), fsys.Remove(name+"2")); err != nil {
		t.Fatal(err)
	}
	if names, err := fsys.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("names %q, %v", names, err)
	}
	if _, err := fsys.Open(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open what is gone: %v", err)
	}
}
