//go:build !portable && !mips && !mipsle && !mips64 && !mips64le

package uring

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	// Results of a ring that broke; see Submit.
	neverSubmitted = -int32(syscall.ECANCELED)
	unknownResult  = -int32(syscall.EINPROGRESS)

	// pending is no result that the kernel can give.
	pending = int32(-1 << 31)

	// A kernel short of memory submits nothing now and then. This often in a
	// row it is no longer worth waiting for.
	maxIdle = 100

	// What the kernel counts in an int32 with room to spare.
	maxSend = 1 << 30

	// Iovecs kept from one Submit to the next: 1 MiB on 64-bit systems.
	maxKeptVectors = 1 << 16

	// How long memory outlives a ring that was closed with requests in it. The
	// kernel cancels them within milliseconds.
	abandonFor = time.Minute
)

// Ring queues sends and submits them together. The zero value is not usable,
// see [New]. One goroutine at a time uses it, on any thread; a mutex around it
// is not its own. It ends with [Ring.Close].
//
// Whoever queues a send keeps its descriptor open, and its bytes unchanged,
// until Submit has returned. A descriptor that was closed gives -EBADF, one
// that was closed and reused sends to the wrong peer.
type Ring struct {
	sys    kernel
	fd     int
	broken error // set once, no use of the kernel after it

	ringMem, sqeMem []byte // shared with the kernel

	sqHead, sqTail *uint32 // into ringMem: the kernel takes at the head, the ring adds at the tail
	cqHead, cqTail *uint32 // into ringMem: the reverse
	sqes           []sqe   // into sqeMem
	cqes           []cqe   // into ringMem

	queued int    // entries since the last Submit
	tail   uint32 // the position of the first of them

	// The kernel has addresses, which the garbage collector does not see. These
	// keep what they point to, by entry.
	held []*byte
	msgs []msghdr // made by the first Sendv
	iovs []iovec  // the newest arena; an older one of this round hangs on its msgs
	used int      // of iovs

	results []int32
}

// Cap returns how many sends the ring can queue; 0 after Close.
func (r *Ring) Cap() int { return len(r.sqes) }

// Len returns how many sends are queued.
func (r *Ring) Len() int { return r.queued }

// Send queues buf for the socket fd, of which the kernel will take what it can
// without waiting. At most 1 GiB goes out in one send. It panics on a full or
// closed ring: compare Len with Cap before.
func (r *Ring) Send(fd int, buf []byte) {
	base := unsafe.SliceData(buf)
	i := r.queue(opSend, fd, unsafe.Pointer(base), min(len(buf), maxSend))
	r.held[i] = base
}

// Sendv queues the buffers, in order and as if they were one, for the socket fd.
// It takes the first [MaxVectors] of them; the rest is left out and the result
// is short accordingly. The list itself may be reused at once, the bytes not. It
// panics like Send.
func (r *Ring) Sendv(fd int, bufs [][]byte) {
	if len(bufs) == 1 {
		r.Send(fd, bufs[0])
		return
	}
	if r.msgs == nil {
		r.msgs = make([]msghdr, len(r.sqes))
	}
	if r.queued == len(r.sqes) {
		panic(errFull)
	}
	bufs = bufs[:min(len(bufs), MaxVectors)]
	vs := r.vectors(len(bufs))
	for i, b := range bufs {
		vs[i] = iovec{base: unsafe.SliceData(b), len: uintptr(len(b))}
	}
	m := &r.msgs[r.queued]
	m.iov, m.iovlen = unsafe.SliceData(vs), uintptr(len(vs))
	r.queue(opSendmsg, fd, unsafe.Pointer(m), 1)
}

var errFull = errors.New("the ring is full or closed, call Submit before it is")

func (r *Ring) queue(op uint8, fd int, addr unsafe.Pointer, n int) int {
	i := r.queued
	if i == len(r.sqes) {
		panic(errFull)
	}
	r.sqes[(r.tail+uint32(i))&uint32(len(r.sqes)-1)] = sqe{
		opcode:   op,
		fd:       int32(fd),
		addr:     uint64(uintptr(addr)),
		len:      uint32(n),
		msgFlags: syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL,
		userData: uint64(i),
	}
	r.queued++
	return i
}

// vectors returns n iovecs that stay where they are until Submit has returned:
// a full arena is replaced, not grown.
func (r *Ring) vectors(n int) []iovec {
	if len(r.iovs)-r.used < n {
		r.iovs = make([]iovec, max(2*len(r.iovs), n, MaxVectors))
		r.used = 0
	}
	vs := r.iovs[r.used : r.used+n : r.used+n]
	r.used += n
	return vs
}

// Submit enters the kernel until every queued send has its result, and empties
// the queue. Results are in the order of queueing: bytes taken, which may be
// fewer than given, or a negative errno, as -EAGAIN of a full socket and -EPIPE
// or -ECONNRESET of a lost peer. The slice is valid until the next Submit.
//
// With an error the ring is broken and no Submit of it will succeed: close it
// and go on with write(2). The results then say what is known. -ECANCELED was
// never sent. -EINPROGRESS may or may not have been sent, in part or whole, now
// or later: such a connection cannot be continued.
func (r *Ring) Submit() ([]int32, error) {
	n := r.queued
	results := r.results[:n]
	for i := range results {
		results[i] = pending
	}
	start, lost := r.tail, 0
	if n > 0 && r.broken == nil {
		r.tail += uint32(n)
		atomic.StoreUint32(r.sqTail, r.tail)
		if r.broken = r.drive(results, start); r.broken != nil {
			lost = settle(results, int(atomic.LoadUint32(r.sqHead)-start))
		}
	} else {
		settle(results, 0)
	}
	r.queued = 0
	if lost > 0 {
		r.abandon()
	}
	r.forget(n)
	return results, r.broken
}

// drive returns nil when all results are known. In the common case that is one
// entry: a send that may not wait completes while it is submitted. The loop is
// for the others, and for a kernel that took only some.
func (r *Ring) drive(results []int32, start uint32) error {
	n, idle := uint32(len(results)), 0
	for done := uint32(0); ; {
		taken := atomic.LoadUint32(r.sqHead) - start
		_, errno := r.sys.enter(r.fd, n-taken, n-done, enterGetEvents)
		got := r.reap(results)
		if done += got; done == n {
			return nil
		}
		switch errno {
		case syscall.EINTR:
			continue
		case 0, syscall.EAGAIN, syscall.EBUSY:
		default:
			return fmt.Errorf("io_uring_enter failed, close the ring and send with write(2): %w", errno)
		}
		if got > 0 || atomic.LoadUint32(r.sqHead)-start > taken {
			idle = 0
			continue
		}
		if idle++; idle == maxIdle {
			return fmt.Errorf("io_uring_enter made no progress in %d calls, close the ring and send with write(2): %w", idle, errno)
		}
		runtime.Gosched()
	}
}

// reap takes the completions out of the ring and returns how many it took.
func (r *Ring) reap(results []int32) (n uint32) {
	head, tail := *r.cqHead, atomic.LoadUint32(r.cqTail)
	for ; head != tail; head++ {
		c := &r.cqes[head&uint32(len(r.cqes)-1)]
		if c.userData < uint64(len(results)) && results[c.userData] == pending {
			results[c.userData] = c.res
			n++
		}
	}
	atomic.StoreUint32(r.cqHead, head)
	return n
}

// settle writes what is known of sends without a result, the kernel having taken
// the first few, and returns how many it still has.
func settle(results []int32, taken int) (lost int) {
	for i, res := range results {
		switch {
		case res != pending:
		case i < taken:
			results[i] = unknownResult
			lost++
		default:
			results[i] = neverSubmitted
		}
	}
	return lost
}

// forget drops the references to the bytes of the first n entries.
func (r *Ring) forget(n int) {
	clear(r.held[:n])
	if r.used == 0 {
		return
	}
	clear(r.msgs[:n])
	clear(r.iovs[:r.used])
	r.used = 0
	if len(r.iovs) > maxKeptVectors {
		r.iovs = nil
	}
}

// abandon keeps for a while what requests without a result may still read, also
// beyond Close, which does not wait for them.
func (r *Ring) abandon() {
	held, msgs := r.held, r.msgs
	r.held, r.msgs, r.iovs, r.used = make([]*byte, len(held)), nil, nil, 0
	time.AfterFunc(abandonFor, func() {
		runtime.KeepAlive(held)
		runtime.KeepAlive(msgs)
	})
}

// Close releases the ring; what is queued is dropped. Further calls do nothing.
func (r *Ring) Close() error {
	if r.fd < 0 {
		return nil
	}
	err := syscall.Close(r.fd)
	for _, mem := range [...][]byte{r.ringMem, r.sqeMem} {
		if mem != nil {
			err = errors.Join(err, syscall.Munmap(mem))
		}
	}
	*r = Ring{fd: -1, broken: errClosed}
	if err != nil {
		return fmt.Errorf("closing a ring: %w", err)
	}
	return nil
}

var errClosed = errors.New("the ring is closed, make another with New")
