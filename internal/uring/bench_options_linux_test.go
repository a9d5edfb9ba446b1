//go:build !portable && !mips && !mipsle && !mips64 && !mips64le

package uring

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

// BenchmarkOptions tells what each option of the ring is worth.
func BenchmarkOptions(b *testing.B) {
	fds := drained(b, 256)
	payload := make([]byte, 200)
	without := func(flags uint32) kernel {
		sys := system()
		sys.setup = func(n uint32, p *params) (int, syscall.Errno) {
			p.flags &^= flags
			return setup(n, p)
		}
		return sys
	}
	noWait := system()
	noWait.enter = func(fd int, submit, complete, flags uint32) (int, syscall.Errno) {
		if submit > 0 {
			complete, flags = 0, 0
		}
		return enter(fd, submit, complete, flags)
	}
	for _, v := range []struct {
		name string
		sys  kernel
	}{
		{"all", system()},
		{"no-COOP_TASKRUN", without(setupCoopTaskrun)},
		{"none", without(setupCoopTaskrun | setupSubmitAll)},
		{"no-GETEVENTS", noWait},
	} {
		r := newTestRingOn(b, v.sys, 256)
		b.Run(v.name, func(b *testing.B) {
			benchmark(b, len(fds), func() int { return ringAll(b, r, fds, payload) })
		})
	}
}

// BenchmarkLateness tells how late a timer of 1 ms runs beside a goroutine that
// sends to 1000 connections without a pause, on a single P: what long calls of
// the kernel cost everybody else. entries=0 is write(2).
func BenchmarkLateness(b *testing.B) {
	fds := drained(b, 1000)
	payload := make([]byte, 200)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, entries := range []int{0, 64, 128, 256, 512, 1024} {
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) {
			round := func() int { return writeAll(b, fds, payload) }
			if entries > 0 {
				r := newTestRing(b, entries)
				round = func() int { return ringAll(b, r, fds, payload) }
			}
			stop, late := make(chan struct{}), make(chan []time.Duration)
			go lateness(stop, late)
			benchmark(b, len(fds), round)
			close(stop)
			all := <-late
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Microseconds()), "late-p50-us")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "late-p99-us")
		})
	}
}

// lateness measures by how much each timer of 1 ms is late.
func lateness(stop <-chan struct{}, result chan<- []time.Duration) {
	all := []time.Duration{0}
	timer := time.NewTimer(time.Millisecond)
	defer timer.Stop()
	for due := time.Now().Add(time.Millisecond); ; due = time.Now().Add(time.Millisecond) {
		select {
		case <-stop:
			result <- all
			return
		case <-timer.C:
			all = append(all, time.Since(due))
		}
		timer.Reset(time.Millisecond)
	}
}
