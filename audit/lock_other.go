//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// lockFile makes the file itself the lock: these systems have no lock that the standard library reaches, so a process
// that was killed leaves it behind.
func lockFile(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w; if no process uses it, remove %s", ErrLocked, name)
	}
	if err != nil {
		return nil, err
	}
	return heldFile{f}, nil
}

type heldFile struct{ *os.File }

func (h heldFile) Close() error { return errors.Join(h.File.Close(), os.Remove(h.Name())) }
