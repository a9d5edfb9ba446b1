//go:build linux && !portable

package sock

import (
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"
)

const hasPoller = true

func TestAdvance(t *testing.T) {
	bufs := [][]byte{[]byte("abc"), nil, []byte("defg"), {}, []byte("hi")}
	for first := range 10 {
		for second := range 10 - first {
			w := writeOp{bufs: bufs}
			w.advance(first)
			w.advance(second)
			got := ""
			for i, b := range w.bufs {
				if i == 0 {
					b = b[w.offset:]
				}
				got += string(b)
			}
			if want := "abcdefghi"[first+second:]; got != want || w.n != first+second {
				t.Errorf("after %d and %d bytes: n = %d, left %q; want %q", first, second, w.n, got, want)
			}
		}
	}
}

func TestIdleConnectionsOwnNoGoroutine(t *testing.T) {
	const count = 50
	var links []*link
	before := runtime.NumGoroutine()
	for range count {
		near, far := tcpPair(t)
		r := newRecorder()
		l := &link{New(near, r), r, far}
		l.Start(nil)
		links = append(links, l)
	}
	if more := runtime.NumGoroutine() - before; more > 1+spareGoroutines {
		t.Errorf("%d idle connections have %d goroutines more", count, more)
	}
	for _, l := range links {
		l.shut()
	}
}

// spareGoroutines is how many goroutines the poller keeps that do nothing.
const spareGoroutines = 16

// A descriptor that is held stays open until it is released, so that its number
// cannot be another connection's.
func TestHeldDescriptorOutlivesClose(t *testing.T) {
	near, far := tcpPair(t)
	r := newRecorder()
	l := &link{New(near, r), r, far}
	l.Start(nil)
	fd, ok := l.Hold()
	if !ok {
		t.Fatal("Hold failed on an open connection")
	}
	l.shut()
	if _, ok := l.Hold(); ok {
		// Another user while the first is at work: allowed, and harmless.
		l.Release()
	}
	for range 20 { // new connections take the lowest free numbers
		other, _ := tcpPair(t)
		raw, _ := other.(*net.TCPConn).SyscallConn()
		_ = raw.Control(func(n uintptr) {
			if int(n) == fd {
				t.Error("the number of a held descriptor was given to another connection")
			}
		})
	}
	if _, err := syscall.Write(fd, []byte("x")); err != nil {
		t.Errorf("write to the held descriptor: %v", err)
	}
	l.Release()
	if _, ok := l.Hold(); ok {
		t.Error("Hold succeeds after the last Release")
	}
	if b, err := io.ReadAll(far); string(b) != "x" || err != nil {
		t.Errorf("the peer read %q, %v; want what was written, and the end", b, err)
	}
}

func TestTrySendAllocatesNothing(t *testing.T) {
	l, stop := drained(t)
	defer stop()
	one := [][]byte{make([]byte, 200)}
	many := [][]byte{make([]byte, 200), make([]byte, 100), make([]byte, 50)}
	for _, bufs := range [][][]byte{one, many} {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := l.TrySend(bufs); err != nil {
				t.Fatal(err)
			}
		}); n >= 1 {
			t.Errorf("TrySend of %d buffers allocates %v times", len(bufs), n)
		}
	}
}

// drained returns a link whose peer reads everything.
func drained(t testing.TB) (l *link, stop func()) {
	near, far := tcpPair(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{far}, make([]byte, 1<<20))
	}()
	r := newRecorder()
	l = &link{New(near, r), r, far}
	l.Start(nil)
	return l, func() { l.shut(); <-done }
}

// BenchmarkTrySend compares a send with what package net offers.
func BenchmarkTrySend(b *testing.B) {
	for _, shape := range []struct {
		name  string
		count int
	}{{"1x200B", 1}, {"4x200B", 4}, {"16x200B", 16}, {"64x200B", 64}} {
		bufs := make([][]byte, shape.count)
		for i := range bufs {
			bufs[i] = make([]byte, 200)
		}
		size := int64(200 * shape.count)
		b.Run("sock/"+shape.name, func(b *testing.B) {
			l, stop := drained(b)
			defer stop()
			b.SetBytes(size)
			b.ReportAllocs()
			short := 0
			for b.Loop() {
				if n, err := l.TrySend(bufs); err != nil {
					b.Fatal(err)
				} else if int64(n) < size {
					short++
					<-l.room
				}
			}
			b.ReportMetric(float64(short)/float64(b.N), "short/op")
		})
		b.Run("net/"+shape.name, func(b *testing.B) {
			near, far := tcpPair(b)
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{far}, make([]byte, 1<<20))
			}()
			defer func() { _ = near.Close(); <-done }()
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				v := append(net.Buffers(nil), bufs...)
				if _, err := v.WriteTo(near); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
