//go:build linux && !portable

package sock

import (
	"sync"
	"syscall"
	"unsafe"
)

// One writev takes at most this much. The kernel's own limit is 1024 vectors.
const (
	maxVectors = 256
	maxVector  = 256 << 10 // bytes of all vectors together
)

// write writes until everything is written, the socket is full or the write
// fails. The descriptor does not block.
func write(fd int, bufs [][]byte, total int) (int, error) {
	if len(bufs) == 1 {
		n, errno := writeOne(fd, bufs[0])
		if errno != 0 {
			return n, sysError("write", errno)
		}
		return n, nil
	}
	w := writeOps.Get().(*writeOp)
	defer writeOps.Put(w)
	w.bufs, w.offset, w.n = bufs, 0, 0
	err := w.run(fd, total)
	w.bufs = nil
	return w.n, err
}

// writeOne is write for one buffer. A full socket is no error.
//
// Such a write takes microseconds, which is less than what it costs to tell the
// scheduler of it: hence raw system calls.
func writeOne(fd int, b []byte) (n int, errno syscall.Errno) {
	for n < len(b) {
		r, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[n])), uintptr(len(b)-n))
		switch errno {
		case 0:
			n += int(r)
			if n < len(b) {
				return n, 0 // full: another call would only say EAGAIN
			}
		case syscall.EINTR:
		case syscall.EAGAIN:
			return n, 0
		default:
			return n, errno
		}
	}
	return n, 0
}

// writeOp is a write of several buffers. It comes from a pool, since writev reads its
// vectors from memory.
type writeOp struct {
	bufs    [][]byte // bufs[0][offset:] is next
	offset  int
	n       int // bytes written
	vectors [maxVectors]syscall.Iovec
}

var writeOps = sync.Pool{New: func() any { return new(writeOp) }}

func (w *writeOp) run(fd, total int) error {
	for w.n < total {
		want, n, errno := w.step(fd)
		switch errno {
		case 0:
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return nil
		default:
			return sysError("writev", errno)
		}
		w.advance(n)
		if n < want {
			return nil // full
		}
	}
	return nil
}

// step makes one system call. want is what it was asked to write.
func (w *writeOp) step(fd int) (want, n int, errno syscall.Errno) {
	count := 0
	for i, b := range w.bufs {
		if i == 0 {
			b = b[w.offset:]
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
	r, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&w.vectors[0])), uintptr(count))
	clear(w.vectors[:count]) // the pool must not keep the buffers alive
	return want, int(r), errno
}

// advance notes n more written bytes.
func (w *writeOp) advance(n int) {
	w.n += n
	n += w.offset
	for len(w.bufs) > 0 && n >= len(w.bufs[0]) {
		n -= len(w.bufs[0])
		w.bufs = w.bufs[1:]
	}
	w.offset = n
}
