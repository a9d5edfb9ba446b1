//go:build unix && !linux && !portable

package sock

import "syscall"

// vectors is empty: package syscall offers no portable writev.
type vectors struct{}

// run writes until everything is written, the socket is full or the write
// fails.
func (w *writeOp) run(fd int) {
	for w.n < w.total {
		b := w.bufs[0][w.offset:]
		n, err := syscall.Write(fd, b)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return
		case err != nil:
			w.err = sysError("write", err)
			return
		}
		w.advance(n)
		if n < len(b) {
			return
		}
	}
}
