//go:build !portable && !mips && !mipsle && !mips64 && !mips64le

package uring

import (
	"syscall"
	"unsafe"
)

// The kernel's interface, from include/uapi/linux/io_uring.h. The numbers are
// the same on every architecture of this build.
const (
	sysSetup = 425
	sysEnter = 426

	opSendmsg = 9
	opSend    = 26

	setupSubmitAll   = 1 << 7 // Linux 5.18: a bad entry does not stop those behind it
	setupCoopTaskrun = 1 << 8 // 5.19: no interrupt for completions that nobody waits for

	featSingleMmap = 1 << 0
	enterGetEvents = 1 << 0

	offRing = 0
	offSQEs = 0x10000000
)

// params is struct io_uring_params.
type params struct {
	sqEntries, cqEntries, flags, threadCPU, threadIdle, features, wqFd uint32
	_                                                                  [3]uint32
	sq                                                                 struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// sqe is struct io_uring_sqe, the request.
type sqe struct {
	opcode, flags uint8
	ioprio        uint16
	fd            int32
	off           uint64
	addr          uint64
	len           uint32
	msgFlags      uint32
	userData      uint64
	_             [3]uint64
}

// cqe is struct io_uring_cqe, the completion.
type cqe struct {
	userData uint64
	res      int32
	flags    uint32
}

// iovec and msghdr are those of sendmsg(2). The ones of package syscall have
// lengths of another type on each architecture.
type iovec struct {
	base *byte
	len  uintptr
}

type msghdr struct {
	name       *byte
	namelen    uint32
	iov        *iovec
	iovlen     uintptr
	control    *byte
	controllen uintptr
	flags      int32
}

// kernel is what a ring calls, so that tests can let it fail.
type kernel struct {
	setup func(entries uint32, p *params) (fd int, errno syscall.Errno)
	enter func(fd int, submit, complete, flags uint32) (submitted int, errno syscall.Errno)
}

func system() kernel {
	return kernel{setup: setup, enter: enter}
}

func setup(entries uint32, p *params) (int, syscall.Errno) {
	fd, _, errno := syscall.RawSyscall(sysSetup, uintptr(entries), uintptr(unsafe.Pointer(p)), 0)
	return int(fd), errno
}

// enter tells the scheduler that it may take long: a thousand sends are
// milliseconds.
func enter(fd int, submit, complete, flags uint32) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(sysEnter, uintptr(fd), uintptr(submit), uintptr(complete), uintptr(flags), 0, 0)
	return int(n), errno
}
