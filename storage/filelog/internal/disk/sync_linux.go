package disk

import (
	"errors"
	"os"
	"syscall"
)

// datasync spares the write of the times of the file: fdatasync syncs the size where that changed.
func datasync(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for {
			failed = syscall.Fdatasync(int(fd))
			if failed != syscall.EINTR {
				return
			}
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}
