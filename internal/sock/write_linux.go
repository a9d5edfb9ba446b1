//go:build linux && !portable

package sock

import (
	"syscall"
	"unsafe"
)

// One writev takes at most this much. The kernel's own limit is 1024 vectors.
const (
	maxVectors = 256
	maxVector  = 256 << 10 // bytes of all vectors together
)

// vectors is the scratch that writev reads.
type vectors [maxVectors]syscall.Iovec

// run writes until everything is written, the socket is full or the write
// fails.
func (w *writeOp) run(fd int) {
	for w.n < w.total {
		want, n, errno := w.step(fd)
		switch errno {
		case 0:
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return
		default:
			w.err = sysError("writev", errno)
			return
		}
		w.advance(n)
		if n < want {
			return // full: another call would only say EAGAIN
		}
	}
}

// step makes one system call. want is what it was asked to write.
func (w *writeOp) step(fd int) (want, n int, errno syscall.Errno) {
	first := w.bufs[0][w.offset:]
	if len(w.bufs) == 1 {
		r, _, errno := syscall.Syscall(syscall.SYS_WRITE, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(first))), uintptr(len(first)))
		return len(first), int(r), errno
	}
	count := 0
	for i, b := range w.bufs {
		if i == 0 {
			b = first
		}
		if len(b) == 0 {
			continue
		}
		if len(b) > maxVector-want {
			b = b[:maxVector-want]
		}
		w.vectors[count].Base = unsafe.SliceData(b)
		w.vectors[count].SetLen(len(b))
		want += len(b)
		count++
		if count == maxVectors || want == maxVector {
			break
		}
	}
	r, _, errno := syscall.Syscall(syscall.SYS_WRITEV, uintptr(fd),
		uintptr(unsafe.Pointer(&w.vectors[0])), uintptr(count))
	clear(w.vectors[:count]) // the pool must not keep the buffers alive
	return want, int(r), errno
}
