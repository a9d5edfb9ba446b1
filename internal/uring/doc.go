// Package uring sends to many sockets with one entry into the kernel, through
// io_uring and raw system calls.
//
// A worker that has bytes for thousands of connections pays mostly for entering
// the kernel, once per write(2). A [Ring] takes up to [Ring.Cap] sends and hands
// them over together; every send is non-blocking, so that [Ring.Submit] returns
// as soon as the kernel has tried each of them, with what each would have got
// from write(2).
//
// Only Linux has it, and sandboxes often forbid it: call [Probe] once at start,
// keep its result, and use write(2) when it says [ErrUnavailable]. On other
// systems, on MIPS (whose system call numbers differ) and under the build tag
// "portable" the package compiles to a stub that says so always.
package uring

import "errors"

// ErrUnavailable is the error of [Probe] and [New] where the kernel, a sandbox
// or this build has no io_uring. The cause is wrapped beside it.
var ErrUnavailable = errors.New("io_uring is unavailable here, send with write(2) instead")

const (
	// MaxEntries is the most entries that [New] accepts.
	MaxEntries = 1 << 15

	// MaxVectors is the most buffers that one [Ring.Sendv] takes, which is the
	// kernel's own bound.
	MaxVectors = 1024
)
