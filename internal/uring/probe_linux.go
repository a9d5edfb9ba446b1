//go:build !portable && !mips && !mipsle && !mips64 && !mips64le

package uring

import (
	"errors"
	"fmt"
	"syscall"
)

// Probe tells whether io_uring works here: it makes a small ring, sends through
// it over a pair of sockets and looks at what arrives. It takes well under a
// millisecond; the answer does not change while the process lives, so call it
// once and keep the result. The error is [ErrUnavailable] with the cause.
func Probe() error { return probe(system()) }

func probe(sys kernel) (err error) {
	r, err := newRing(sys, 2)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := r.sendToItself(); err != nil {
		return fmt.Errorf("%w: a send to itself: %w", ErrUnavailable, err)
	}
	return nil
}

func (r *Ring) sendToItself() error {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(pair[0])
	defer syscall.Close(pair[1])

	r.Send(pair[0], []byte("im"))
	r.Sendv(pair[0], [][]byte{[]byte("io"), []byte("_uring")})
	results, err := r.Submit()
	if err != nil {
		return err
	}
	for i, want := range [...]int32{2, 8} {
		if results[i] < 0 {
			return syscall.Errno(-results[i])
		}
		if results[i] != want {
			return fmt.Errorf("%d of %d bytes were taken", results[i], want)
		}
	}
	got := make([]byte, 16)
	n, err := syscall.Read(pair[1], got)
	if err != nil {
		return err
	}
	if string(got[:n]) != "imio_uring" {
		return fmt.Errorf("%q arrived", got[:n])
	}
	return nil
}
