package audit

import (
	"os"
	"syscall"
)

// datasync spares the write of the file's times: fdatasync syncs the size where that changed.
func datasync(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for {
			errno := syscall.Fdatasync(int(fd))
			if errno != syscall.EINTR {
				failed = errno
				return
			}
		}
	})
	if err != nil {
		failed = os.ErrClosed // Control fails of nothing else, and does not say so
	}
	if failed != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: failed}
	}
	return nil
}
