//go:build !portable && !mips && !mipsle && !mips64 && !mips64le

package uring

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// pair is a connection: what the ring sends to near is read from far.
type pair struct{ near, far int }

func newTestRing(t testing.TB, entries int) *Ring { return newTestRingOn(t, system(), entries) }

func newTestRingOn(t testing.TB, sys kernel, entries int) *Ring {
	t.Helper()
	r, err := newRing(sys, entries)
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, r.Close()) })
	return r
}

type failer interface {
	Helper()
	Fatal(...any)
}

func must(t failer, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const stream = syscall.SOCK_STREAM | syscall.SOCK_NONBLOCK | syscall.SOCK_CLOEXEC

func unixPair(t failer) pair {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, stream, 0)
	must(t, err)
	return pair{fds[0], fds[1]}
}

// listen returns a listening loopback socket and its address.
func listen(t failer) (int, syscall.Sockaddr) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(t, syscall.Listen(fd, 4096))
	addr, err := syscall.Getsockname(fd)
	must(t, err)
	return fd, addr
}

func tcpPairs(t testing.TB, n int) []*pair {
	t.Helper()
	l, addr := listen(t)
	defer syscall.Close(l)
	pairs := make([]*pair, n)
	for i := range pairs {
		far, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		must(t, err)
		must(t, syscall.Connect(far, addr))
		near, _, err := syscall.Accept4(l, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		must(t, err)
		must(t, syscall.SetsockoptInt(near, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1))
		must(t, syscall.SetNonblock(far, true))
		pairs[i] = &pair{near, far}
	}
	t.Cleanup(func() { closeAll(pairs) })
	return pairs
}

func unixPairs(t testing.TB, n int) []*pair {
	t.Helper()
	pairs := make([]*pair, n)
	for i := range pairs {
		p := unixPair(t)
		pairs[i] = &p
	}
	t.Cleanup(func() { closeAll(pairs) })
	return pairs
}

func closeAll(pairs []*pair) {
	for _, p := range pairs {
		p.closeNear()
		p.closeFar()
	}
}

// The descriptor of what is closed becomes -1, so that nothing closes a number
// that meanwhile belongs to another test.
func (p *pair) closeNear() { closeOnce(&p.near) }
func (p *pair) closeFar()  { closeOnce(&p.far) }

func closeOnce(fd *int) {
	if *fd >= 0 {
		syscall.Close(*fd)
		*fd = -1
	}
}

// arrived reads what is there now.
func (p *pair) arrived(t failer) []byte {
	t.Helper()
	var all []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := syscall.Read(p.far, buf)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN), err == nil && n == 0:
			return all
		case err != nil:
			t.Fatal(os.NewSyscallError("read", err))
		default:
			all = append(all, buf[:n]...)
		}
	}
}

func submit(t failer, r *Ring) []int32 {
	t.Helper()
	results, err := r.Submit()
	must(t, err)
	return results
}
