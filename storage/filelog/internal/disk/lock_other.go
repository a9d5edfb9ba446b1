//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Lock is as [FS] says, except that the end of the process does not give the lock back: these systems have no lock that
// Go's standard library reaches, so the file itself is the lock.
func (OS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("lock %s: %w; if no process uses it, remove that file", name, ErrLocked)
	}
	if err != nil {
		return nil, err
	}
	return lockFile{f}, nil
}

type lockFile struct{ *os.File }

func (l lockFile) Close() error {
	return errors.Join(l.File.Close(), os.Remove(l.Name()))
}
