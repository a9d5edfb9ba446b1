//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package audit

import (
	"io"
	"os"
	"syscall"
)

// lockFile takes an exclusive lock and never waits. The file stays when the lock is given back: removing it would let
// two processes hold two files of one name.
func lockFile(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EINTR {
			break
		}
	}
	if err == nil {
		return f, nil
	}
	f.Close()
	if err == syscall.EWOULDBLOCK {
		err = ErrLocked
	}
	return nil, err
}
