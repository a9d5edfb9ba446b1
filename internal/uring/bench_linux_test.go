//go:build !portable && !mips && !mipsle && !mips64 && !mips64le

package uring

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

const drainEnv = "URING_TEST_DRAIN" // port and count for the child that reads

// BenchmarkSend compares a loop of write(2) with a ring, for n connections that
// a child process drains. One op is one send to each of the n.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{200, 2000} {
		for _, n := range []int{1, 2, 4, 8, 16, 64, 256, 1000} {
			fds := drained(b, n)
			payload := make([]byte, size)
			name := fmt.Sprintf("size=%d/n=%d", size, n)
			b.Run(name+"/impl=write", func(b *testing.B) { benchmark(b, n, func() int { return writeAll(b, fds, payload) }) })
			r := newTestRing(b, min(n, 256))
			b.Run(name+"/impl=uring", func(b *testing.B) { benchmark(b, n, func() int { return ringAll(b, r, fds, payload) }) })
		}
	}
}

// BenchmarkChunk sends to 1000 connections through rings of different sizes.
func BenchmarkChunk(b *testing.B) {
	fds := drained(b, 1000)
	payload := make([]byte, 200)
	b.Run("entries=0", func(b *testing.B) { // write(2), to compare
		benchmark(b, len(fds), func() int { return writeAll(b, fds, payload) })
	})
	for _, entries := range []int{8, 16, 32, 64, 128, 256, 512, 1024} {
		r := newTestRing(b, entries)
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) {
			benchmark(b, len(fds), func() int { return ringAll(b, r, fds, payload) })
		})
	}
}

// benchmark reports time and processor time for each of the n sends of a round,
// and the share that found its socket full, which makes the figures worthless
// when it is more than a few.
func benchmark(b *testing.B, n int, round func() (full int)) {
	full, cpu := 0, cpuTime(b)
	for b.Loop() {
		full += round()
	}
	sends := float64(b.N) * float64(n)
	b.ReportMetric(float64(cpuTime(b)-cpu)/sends, "cpu-ns/send")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/sends, "ns/send")
	b.ReportMetric(100*float64(full)/sends, "%full")
}

func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}

func writeAll(b *testing.B, fds []int, payload []byte) (full int) {
	for _, fd := range fds {
		_, err := syscall.Write(fd, payload)
		if err == syscall.EAGAIN {
			full++
		} else if err != nil {
			b.Fatal(err)
		}
	}
	return full
}

func ringAll(b *testing.B, r *Ring, fds []int, payload []byte) (full int) {
	for len(fds) > 0 {
		k := min(len(fds), r.Cap())
		for _, fd := range fds[:k] {
			r.Send(fd, payload)
		}
		fds = fds[k:]
		results, err := r.Submit()
		must(b, err)
		for _, res := range results {
			if res == -int32(syscall.EAGAIN) {
				full++
			} else if res < 0 {
				b.Fatal(syscall.Errno(-res))
			}
		}
	}
	return full
}

// drained returns n connections to a child process that reads all they get: its
// processor time is not counted and its reads do not wait for the sender.
func drained(b *testing.B, n int) []int {
	b.Helper()
	l, addr := listen(b)
	defer syscall.Close(l)
	child := exec.Command(os.Args[0], "-test.run=^TestDrainChild$")
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d", drainEnv, addr.(*syscall.SockaddrInet4).Port, n))
	child.Stderr = os.Stderr
	must(b, child.Start())
	fds := make([]int, n)
	for i := range fds {
		fd, _, err := syscall.Accept4(l, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		must(b, err)
		must(b, syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1))
		fds[i] = fd
	}
	b.Cleanup(func() {
		for _, fd := range fds {
			syscall.Close(fd)
		}
		must(b, child.Wait())
	})
	return fds
}

// TestDrainChild is the child of drained. It ends when all connections have.
func TestDrainChild(t *testing.T) {
	var port, n int
	if _, err := fmt.Sscan(os.Getenv(drainEnv), &port, &n); err != nil {
		t.Skip("only as a child of the benchmarks")
	}
	set, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	must(t, err)
	defer syscall.Close(set)
	for range n {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		must(t, err)
		must(t, syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}))
		must(t, syscall.EpollCtl(set, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}))
	}
	events, buf := make([]syscall.EpollEvent, 256), make([]byte, 256<<10)
	for n > 0 {
		k, err := syscall.EpollWait(set, events, -1)
		if err != nil && err != syscall.EINTR {
			t.Fatal(err)
		}
		for _, e := range events[:max(k, 0)] {
			if got, err := syscall.Read(int(e.Fd), buf); got <= 0 && err != syscall.EINTR {
				syscall.Close(int(e.Fd))
				n--
			}
		}
	}
}

func BenchmarkProbe(b *testing.B) {
	newTestRing(b, 1) // skips where there is none
	for b.Loop() {
		must(b, Probe())
	}
}
