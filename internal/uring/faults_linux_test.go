//go:build !portable && !mips && !mipsle && !mips64 && !mips64le

package uring

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
)

// script is a kernel whose enter calls go through f first. f may change what is
// asked, and answers itself when pass is false.
func script(f func(call int, submit *uint32) (n int, errno syscall.Errno, pass bool)) kernel {
	sys, call := system(), 0
	real := sys.enter
	sys.enter = func(fd int, submit, complete, flags uint32) (int, syscall.Errno) {
		call++
		n, errno, pass := f(call, &submit)
		if pass {
			return real(fd, submit, complete, flags)
		}
		return n, errno
	}
	return sys
}

func TestProbe(t *testing.T) {
	err := Probe()
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	must(t, err)
}

func TestAForbiddenKernelIsUnavailable(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSYS, syscall.EPERM, syscall.EACCES, syscall.EINVAL, syscall.ENOMEM} {
		sys := system()
		sys.setup = func(uint32, *params) (int, syscall.Errno) { return -1, errno }
		if err := probe(sys); !errors.Is(err, ErrUnavailable) || !errors.Is(err, errno) {
			t.Errorf("setup %v: %v", errno, err)
		}
		if r, err := newRing(sys, 8); r != nil || !errors.Is(err, ErrUnavailable) {
			t.Errorf("setup %v: %v, %v", errno, r, err)
		}
		sys = script(func(int, *uint32) (int, syscall.Errno, bool) { return -1, errno, false })
		if err := probe(sys); !errors.Is(err, ErrUnavailable) || !errors.Is(err, errno) {
			t.Errorf("enter %v: %v", errno, err)
		}
	}
}

func TestAnAncientKernelIsUnavailable(t *testing.T) {
	sys := system()
	sys.setup = func(n uint32, p *params) (int, syscall.Errno) {
		fd, errno := setup(n, p)
		p.features = 0
		return fd, errno
	}
	if err := probe(sys); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}

func TestOlderKernelsWorkWithFewerOptions(t *testing.T) {
	for _, known := range []uint32{
		0,
		setupSubmitAll,
		setupSubmitAll | setupCoopTaskrun,
	} {
		t.Run(fmt.Sprintf("known=%#x", known), func(t *testing.T) {
			sys := system()
			sys.setup = func(n uint32, p *params) (int, syscall.Errno) {
				if p.flags&^known != 0 {
					return -1, syscall.EINVAL
				}
				return setup(n, p)
			}
			r := newTestRingOn(t, sys, 8)
			p := unixPairs(t, 1)[0]
			for round := range 5 {
				r.Send(p.near, []byte("a"))
				r.Send(-1, []byte("a"))
				r.Sendv(p.near, [][]byte{[]byte("b"), []byte("cd")})
				if got, want := submit(t, r), []int32{1, -int32(syscall.EBADF), 3}; !slices.Equal(got, want) {
					t.Errorf("round %d: results %d, want %d", round, got, want)
				}
				if got := p.arrived(t); string(got) != "abcd" {
					t.Errorf("round %d: arrived %q", round, got)
				}
			}
		})
	}
}

func TestInterruptedAndShortCallsAreContinued(t *testing.T) {
	for name, f := range map[string]func(call int, submit *uint32) (int, syscall.Errno, bool){
		"EINTR before anything": func(call int, _ *uint32) (int, syscall.Errno, bool) {
			return -1, syscall.EINTR, call > 1
		},
		"EINTR more often than a kernel may idle": func(call int, _ *uint32) (int, syscall.Errno, bool) {
			return -1, syscall.EINTR, call > 2*maxIdle
		},
		"EAGAIN for lack of memory": func(call int, _ *uint32) (int, syscall.Errno, bool) {
			return -1, syscall.EAGAIN, call > maxIdle/2
		},
		"EBUSY every other call, one entry at a time": func(call int, submit *uint32) (int, syscall.Errno, bool) {
			*submit = min(*submit, 1)
			return -1, syscall.EBUSY, call%2 == 0
		},
		"three entries at a time": func(_ int, submit *uint32) (int, syscall.Errno, bool) {
			*submit = min(*submit, 3)
			return 0, 0, true
		},
		"nothing taken, nothing said": func(call int, _ *uint32) (int, syscall.Errno, bool) {
			return 0, 0, call > 3
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestRingOn(t, partly(script(f)), 16)
			p := unixPairs(t, 1)[0]
			for range 2 {
				for i := range 16 {
					r.Send(p.near, []byte{'a' + byte(i)})
				}
				for i, res := range submit(t, r) {
					if res != 1 {
						t.Errorf("send %d: result %d", i, res)
					}
				}
			}
			if got := p.arrived(t); string(got) != "abcdefghijklmnopabcdefghijklmnop" {
				t.Errorf("arrived %q", got)
			}
		})
	}
}

// partly does not wait for more completions than there can be: the real kernel
// returns without waiting after taking fewer entries than it was asked to, the
// scripted one asks it for fewer.
func partly(sys kernel) kernel {
	scripted := sys.enter
	sys.enter = func(fd int, submit, complete, flags uint32) (int, syscall.Errno) {
		return scripted(fd, submit, min(complete, 1), flags)
	}
	return sys
}

func TestABrokenRingSaysWhatWasSent(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EPERM, syscall.EBADF, syscall.EAGAIN} {
		t.Run(errno.Error(), func(t *testing.T) {
			r := newTestRingOn(t, partly(script(func(call int, submit *uint32) (int, syscall.Errno, bool) {
				*submit = min(*submit, 2)
				return -1, errno, call == 1
			})), 8)
			p := unixPairs(t, 1)[0]
			for range 4 {
				r.Send(p.near, []byte("a"))
			}
			got, err := r.Submit()
			if !errors.Is(err, errno) {
				t.Errorf("error %v, want %v", err, errno)
			}
			if want := []int32{1, 1, neverSubmitted, neverSubmitted}; !slices.Equal(got, want) {
				t.Errorf("results %d, want %d", got, want)
			}
			if got := p.arrived(t); string(got) != "aa" {
				t.Errorf("arrived %q", got)
			}
			r.Send(p.near, []byte("late"))
			r.Sendv(p.near, [][]byte{[]byte("la"), []byte("te")})
			got, again := r.Submit()
			if want := []int32{neverSubmitted, neverSubmitted}; again != err || !slices.Equal(got, want) {
				t.Errorf("then results %d, %v", got, again)
			}
			if got := p.arrived(t); len(got) > 0 {
				t.Errorf("a broken ring sent %q", got)
			}
		})
	}
}

func TestSendsLostInABrokenRingAreUnknown(t *testing.T) {
	var r *Ring
	r = newTestRingOn(t, script(func(int, *uint32) (int, syscall.Errno, bool) {
		atomic.AddUint32(r.sqHead, 2) // as if taken, and then nothing is heard of them
		return -1, syscall.EOPNOTSUPP, false
	}), 4)
	p := unixPairs(t, 1)[0]
	for range 3 {
		r.Sendv(p.near, [][]byte{[]byte("a"), []byte("b")})
	}
	got, err := r.Submit()
	if want := []int32{unknownResult, unknownResult, neverSubmitted}; err == nil || !slices.Equal(got, want) {
		t.Errorf("results %d, %v", got, err)
	}
	r.Sendv(p.near, [][]byte{[]byte("c"), []byte("d")})
	got, err = r.Submit()
	if err == nil || !slices.Equal(got, []int32{neverSubmitted}) {
		t.Errorf("then results %d, %v", got, err)
	}
}

// TestSubmitWaitsForTheKernelsWorkers lets the kernel hand every send to a
// thread of its own, so that none completes while it is submitted.
func TestSubmitWaitsForTheKernelsWorkers(t *testing.T) {
	const async = 1 << 4 // IOSQE_ASYNC
	var r *Ring
	r = newTestRingOn(t, script(func(_ int, submit *uint32) (int, syscall.Errno, bool) {
		for i := range *submit {
			r.sqes[i].flags = async
		}
		return 0, 0, true
	}), 64)
	pairs := unixPairs(t, 64)
	for round := range 3 {
		for i := range pairs {
			r.Send(pairs[i].near, make([]byte, 1+i+round))
		}
		for i, res := range submit(t, r) {
			if got := pairs[i].arrived(t); int(res) != 1+i+round || len(got) != 1+i+round {
				t.Errorf("round %d, send %d: result %d, %d bytes arrived", round, i, res, len(got))
			}
		}
	}
}
