//go:build !portable && !mips && !mipsle && !mips64 && !mips64le

package uring

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// New returns a ring for entries sends at a time, rounded up to a power of two;
// entries is from 1 to [MaxEntries]. The caller owns it and calls [Ring.Close].
// The error is [ErrUnavailable] with the cause.
func New(entries int) (*Ring, error) { return newRing(system(), entries) }

func newRing(sys kernel, entries int) (*Ring, error) {
	if entries < 1 || entries > MaxEntries {
		return nil, fmt.Errorf("a ring of %d entries is out of bounds, ask for 1 to %d", entries, MaxEntries)
	}
	var p params
	fd, errno := setupNewest(sys, 1<<bits.Len(uint(entries-1)), &p)
	if errno != 0 {
		return nil, fmt.Errorf("%w: io_uring_setup: %w", ErrUnavailable, errno)
	}
	r := &Ring{sys: sys, fd: fd}
	if err := r.mapMemory(&p); err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	r.held = make([]*byte, len(r.sqes))
	r.results = make([]int32, len(r.sqes))
	return r, nil
}

// setupNewest asks for every option that helps and leaves out, newest first,
// those that an older kernel rejects.
func setupNewest(sys kernel, entries uint32, p *params) (fd int, errno syscall.Errno) {
	for _, flags := range [...]uint32{
		setupSubmitAll | setupCoopTaskrun,
		setupSubmitAll,
		0,
	} {
		*p = params{flags: flags}
		fd, errno = sys.setup(entries, p)
		if errno != syscall.EINVAL {
			break
		}
	}
	return fd, errno
}

func (r *Ring) mapMemory(p *params) error {
	if p.features&featSingleMmap == 0 {
		return fmt.Errorf("the kernel is older than Linux 5.4: %w", syscall.ENOSYS)
	}
	size := max(p.cq.cqes+p.cqEntries*uint32(unsafe.Sizeof(cqe{})), p.sq.array+p.sqEntries*4)
	const prot, flags = syscall.PROT_READ | syscall.PROT_WRITE, syscall.MAP_SHARED | syscall.MAP_POPULATE
	var err error
	if r.ringMem, err = syscall.Mmap(r.fd, offRing, int(size), prot, flags); err != nil {
		return fmt.Errorf("mmap of the ring: %w", err)
	}
	sqes := int(p.sqEntries) * int(unsafe.Sizeof(sqe{}))
	if r.sqeMem, err = syscall.Mmap(r.fd, offSQEs, sqes, prot, flags); err != nil {
		return fmt.Errorf("mmap of the entries: %w", err)
	}
	word := func(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.ringMem[off])) }
	r.sqHead, r.sqTail = word(p.sq.head), word(p.sq.tail)
	r.cqHead, r.cqTail = word(p.cq.head), word(p.cq.tail)
	r.sqes = unsafe.Slice((*sqe)(unsafe.Pointer(&r.sqeMem[0])), p.sqEntries)
	r.cqes = unsafe.Slice((*cqe)(unsafe.Pointer(&r.ringMem[p.cq.cqes])), p.cqEntries)
	r.tail = atomic.LoadUint32(r.sqTail)
	for i := range p.sqEntries {
		*word(p.sq.array + 4*i) = i // an entry is submitted from where it lies
	}
	return nil
}
