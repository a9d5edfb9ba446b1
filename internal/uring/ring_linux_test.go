//go:build !portable && !mips && !mipsle && !mips64 && !mips64le

package uring

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"weak"
)

func TestEachConnectionGetsItsOwnBytes(t *testing.T) {
	for name, pairs := range map[string][]*pair{"tcp": tcpPairs(t, 200), "unix": unixPairs(t, 200)} {
		t.Run(name, func(t *testing.T) {
			r := newTestRing(t, len(pairs))
			for round := range 5 {
				want := make([]string, len(pairs))
				for i := range pairs {
					want[i] = strings.Repeat(fmt.Sprintf("%d/%d ", round, i), i+1)
					r.Send(pairs[i].near, []byte(want[i]))
				}
				if r.Len() != len(pairs) {
					t.Fatalf("%d queued, want %d", r.Len(), len(pairs))
				}
				for i, res := range submit(t, r) {
					if int(res) != len(want[i]) {
						t.Errorf("round %d, send %d: result %d, want %d", round, i, res, len(want[i]))
					}
					if got := pairs[i].arrived(t); string(got) != want[i] {
						t.Errorf("round %d, connection %d got %d bytes, want %d", round, i, len(got), len(want[i]))
					}
				}
				if r.Len() != 0 {
					t.Fatalf("%d queued after Submit", r.Len())
				}
			}
		})
	}
}

func TestOneConnectionGetsItsSendsInOrder(t *testing.T) {
	r := newTestRing(t, 64)
	p := tcpPairs(t, 1)[0]
	var want []byte
	for range 20 { // more than once around the ring, from every offset
		for i := range 37 {
			b := []byte(fmt.Sprintf("%d;", i))
			want = append(want, b...)
			r.Send(p.near, b)
		}
		submit(t, r)
	}
	if got := p.arrived(t); !bytes.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestAFullSocketTakesAPartThenNothing(t *testing.T) {
	r := newTestRing(t, 4)
	p := tcpPairs(t, 1)[0]
	must(t, syscall.SetsockoptInt(p.near, syscall.SOL_SOCKET, syscall.SO_SNDBUF, 4096))
	must(t, syscall.SetsockoptInt(p.far, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096))
	big := make([]byte, 8<<20)
	for i := range big {
		big[i] = byte(i * 7 >> 3)
	}
	var want []byte
	short := false
	for {
		r.Send(p.near, big)
		n := submit(t, r)[0]
		if n == -int32(syscall.EAGAIN) {
			break
		}
		if n < 0 || int(n) > len(big) {
			t.Fatalf("result %d", n)
		}
		short = short || int(n) < len(big)
		want = append(want, big[:n]...)
	}
	if !short {
		t.Error("no send was short")
	}
	if got := readExactly(t, p, len(want)); !bytes.Equal(got, want) {
		t.Errorf("the %d bytes that arrived are not those that were taken", len(got))
	}
	if more := p.arrived(t); len(more) > 0 {
		t.Errorf("%d bytes more than were taken", len(more))
	}
}

// readExactly waits for n bytes: a small window lets them through bit by bit.
func readExactly(t *testing.T, p *pair, n int) []byte {
	t.Helper()
	must(t, syscall.SetNonblock(p.far, false))
	all := make([]byte, n)
	for got := 0; got < n; {
		k, err := syscall.Read(p.far, all[got:])
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		must(t, err)
		if k == 0 {
			t.Fatalf("end after %d of %d bytes", got, n)
		}
		got += k
	}
	must(t, syscall.SetNonblock(p.far, true))
	return all
}

func TestALostPeerIsAnErrnoAndNoSignal(t *testing.T) {
	r := newTestRing(t, 8)
	pairs := append(tcpPairs(t, 2), unixPairs(t, 2)...)
	pairs[0].closeFar()
	pairs[2].closeFar()
	for range 3 { // the first send to a closed TCP peer is taken, and answered by a reset
		for i := range pairs {
			r.Send(pairs[i].near, []byte("a"))
			r.Sendv(pairs[i].near, [][]byte{[]byte("b"), []byte("c")})
		}
		submit(t, r)
	}
	for i := range pairs {
		r.Send(pairs[i].near, []byte("d"))
	}
	for i, res := range submit(t, r) {
		lost := res == -int32(syscall.EPIPE) || res == -int32(syscall.ECONNRESET)
		if lost != (i%2 == 0) {
			t.Errorf("connection %d: result %d", i, res)
		}
	}
}

func TestABadDescriptorDisturbsNoOther(t *testing.T) {
	r := newTestRing(t, 8)
	pairs := unixPairs(t, 2)
	var pipe [2]int
	must(t, syscall.Pipe(pipe[:]))
	defer syscall.Close(pipe[0])
	defer syscall.Close(pipe[1])
	r.Send(pairs[0].near, []byte("first"))
	r.Send(-1, []byte("nowhere"))
	r.Sendv(1<<30, [][]byte{[]byte("no"), []byte("where")})
	r.Send(pipe[1], []byte("not a socket"))
	r.Send(pairs[1].near, nil)
	r.Send(pairs[1].near, []byte("last"))
	want := []int32{5, -int32(syscall.EBADF), -int32(syscall.EBADF), -int32(syscall.ENOTSOCK), 0, 4}
	if got := submit(t, r); !slices.Equal(got, want) {
		t.Errorf("results %d, want %d", got, want)
	}
	if a, b := pairs[0].arrived(t), pairs[1].arrived(t); string(a) != "first" || string(b) != "last" {
		t.Errorf("arrived %q and %q", a, b)
	}
}

func TestSendvIsTheConcatenation(t *testing.T) {
	r := newTestRing(t, 4)
	for _, n := range []int{0, 1, 2, 8, 9, 100, MaxVectors - 1, MaxVectors, MaxVectors + 1, 3 * MaxVectors} {
		p := unixPairs(t, 1)[0]
		bufs := make([][]byte, n)
		for i := range bufs {
			bufs[i] = []byte(fmt.Sprint(i)[:i%3%len(fmt.Sprint(i))]) // some of them empty
		}
		want := bytes.Join(bufs[:min(n, MaxVectors)], nil)
		r.Sendv(p.near, bufs)
		clear(bufs) // the list is the caller's again
		runtime.GC()
		if res := submit(t, r)[0]; int(res) != len(want) {
			t.Errorf("%d buffers: result %d, want %d", n, res, len(want))
		}
		if got := p.arrived(t); !bytes.Equal(got, want) {
			t.Errorf("%d buffers: %d bytes arrived, want %d", n, len(got), len(want))
		}
	}
}

func TestManyListsInOneRound(t *testing.T) {
	r := newTestRing(t, 64)
	pairs := unixPairs(t, 64)
	for range 3 { // the arena grows in the first round, in the middle of it
		want := make([][]byte, len(pairs))
		for i := range pairs {
			bufs := make([][]byte, 200)
			for k := range bufs {
				bufs[k] = []byte{byte(i), byte(k)}
			}
			want[i] = bytes.Join(bufs, nil)
			r.Sendv(pairs[i].near, bufs)
		}
		submit(t, r)
		for i := range pairs {
			if got := pairs[i].arrived(t); !bytes.Equal(got, want[i]) {
				t.Errorf("connection %d: %d bytes, want %d", i, len(got), len(want[i]))
			}
		}
	}
}

func TestSizes(t *testing.T) {
	for entries, want := range map[int]int{1: 1, 2: 2, 3: 4, 64: 64, 65: 128, 1000: 1024} {
		if got := newTestRing(t, entries).Cap(); got != want {
			t.Errorf("New(%d).Cap() = %d, want %d", entries, got, want)
		}
	}
	for _, entries := range []int{-1, 0, MaxEntries + 1} {
		if r, err := New(entries); err == nil || errors.Is(err, ErrUnavailable) {
			t.Errorf("New(%d) = %v, %v", entries, r, err)
		}
	}
}

func TestAFullOrClosedRingPanics(t *testing.T) {
	r := newTestRing(t, 2)
	p := unixPairs(t, 1)[0]
	r.Send(p.near, []byte("a"))
	r.Sendv(p.near, [][]byte{[]byte("b"), []byte("c")})
	mustPanic(t, func() { r.Send(p.near, []byte("d")) })
	mustPanic(t, func() { r.Sendv(p.near, [][]byte{[]byte("d"), []byte("e")}) })
	if got := submit(t, r); !slices.Equal(got, []int32{1, 2}) {
		t.Errorf("results %d", got)
	}
	if got := submit(t, r); len(got) != 0 {
		t.Errorf("an empty ring gave %d", got)
	}
	r.Send(p.near, []byte("dropped by Close"))
	must(t, r.Close())
	must(t, r.Close())
	mustPanic(t, func() { r.Send(p.near, []byte("d")) })
	mustPanic(t, func() { r.Sendv(p.near, [][]byte{nil, nil}) })
	if got, err := r.Submit(); len(got) != 0 || err == nil || r.Cap() != 0 {
		t.Errorf("a closed ring gave %d, %v", got, err)
	}
	if got := p.arrived(t); string(got) != "abc" {
		t.Errorf("arrived %q", got)
	}
}

func mustPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	f()
}

func TestBytesLiveUntilSubmitAndNoLonger(t *testing.T) {
	r := newTestRing(t, 2)
	p := unixPairs(t, 1)[0]
	var kept [3]weak.Pointer[byte]
	func() {
		bufs := [3][]byte{}
		for i := range bufs {
			bufs[i] = bytes.Repeat([]byte{'a' + byte(i)}, 1000)
			kept[i] = weak.Make(&bufs[i][0])
		}
		r.Send(p.near, bufs[0])
		r.Sendv(p.near, bufs[1:])
	}()
	runtime.GC()
	runtime.GC()
	for i, w := range kept {
		if w.Value() == nil {
			t.Errorf("buffer %d was collected while queued", i)
		}
	}
	submit(t, r)
	runtime.GC()
	runtime.GC()
	for i, w := range kept {
		if w.Value() != nil {
			t.Errorf("buffer %d is alive after Submit", i)
		}
	}
	want := strings.Repeat("a", 1000) + strings.Repeat("b", 1000) + strings.Repeat("c", 1000)
	if got := p.arrived(t); string(got) != want {
		t.Errorf("%d other bytes arrived", len(got))
	}
	runtime.KeepAlive(r)
}

func TestARoundAllocatesNothing(t *testing.T) {
	r := newTestRing(t, 64)
	pairs := unixPairs(t, 32)
	one, list, sink := []byte("a danmaku"), [][]byte{[]byte("two "), []byte("buffers")}, make([]byte, 4096)
	allocs := testing.AllocsPerRun(100, func() {
		for i := range pairs {
			r.Send(pairs[i].near, one)
			r.Sendv(pairs[i].near, list)
		}
		if _, err := r.Submit(); err != nil {
			t.Error(err)
		}
		for i := range pairs {
			if _, err := syscall.Read(pairs[i].far, sink); err != nil {
				t.Error(err)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations a round", allocs)
	}
}

// TestPeersThatLeaveDuringSubmit closes two peers beside each Submit.
func TestPeersThatLeaveDuringSubmit(t *testing.T) {
	r := newTestRing(t, 128)
	pairs := append(unixPairs(t, 64), tcpPairs(t, 64)...)
	nears := make([]int, len(pairs))
	for i := range pairs {
		nears[i] = pairs[i].near
	}
	payload := bytes.Repeat([]byte("x"), 2000)
	round := func() []int32 {
		for _, fd := range nears {
			r.Send(fd, payload)
		}
		results := submit(t, r)
		for i, res := range results {
			switch syscall.Errno(-min(res, 0)) {
			case 0, syscall.EAGAIN, syscall.EPIPE, syscall.ECONNRESET:
			default:
				t.Fatalf("connection %d: result %d", i, res)
			}
		}
		return results
	}
	for k := range len(pairs) / 2 {
		var leaving sync.WaitGroup
		for _, p := range []*pair{pairs[k], pairs[len(pairs)-1-k]} {
			leaving.Go(p.closeFar)
		}
		round()
		leaving.Wait()
	}
	// What a full TCP connection says, and when, is a matter of timers.
	for i, res := range round()[:64] {
		if res != -int32(syscall.EPIPE) {
			t.Errorf("connection %d: result %d", i, res)
		}
	}
}

func TestARingMovesBetweenThreads(t *testing.T) {
	r := newTestRing(t, 8)
	p := unixPairs(t, 1)[0]
	for range 8 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			r.Send(p.near, []byte("x"))
			if got, err := r.Submit(); err != nil || got[0] != 1 {
				t.Errorf("results %d, %v", got, err)
			}
		}()
		<-done
	}
	if got := p.arrived(t); string(got) != "xxxxxxxx" {
		t.Errorf("arrived %q", got)
	}
}
