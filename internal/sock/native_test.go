//go:build unix && !portable

package sock

import (
	"io"
	"net"
	"testing"
)

const nativeBuild = true

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

func TestTrySendAllocatesNothing(t *testing.T) {
	c, stop := drained(t)
	defer stop()
	one := [][]byte{make([]byte, 200)}
	many := [][]byte{make([]byte, 200), make([]byte, 100), make([]byte, 50)}
	for _, bufs := range [][][]byte{one, many} {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := c.TrySend(bufs); err != nil {
				t.Fatal(err)
			}
		}); n >= 1 {
			t.Errorf("TrySend of %d buffers allocates %v times", len(bufs), n)
		}
	}
}

// drained returns a Conn whose peer reads everything.
func drained(t testing.TB) (c *Conn, stop func()) {
	near, far := tcpPair(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{far}, make([]byte, 256<<10))
	}()
	room := make(chan struct{}, 1)
	c = New(near, func() { room <- struct{}{} })
	return c, func() { shut(t, c); <-done }
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
			near, stop := drainedRaw(b)
			defer stop()
			room := make(chan struct{}, 1)
			c := New(near, func() { room <- struct{}{} })
			defer shut(b, c)
			b.SetBytes(size)
			b.ReportAllocs()
			short := 0
			for b.Loop() {
				if n, err := c.TrySend(bufs); err != nil {
					b.Fatal(err)
				} else if int64(n) < size {
					short++
					<-room
				}
			}
			b.ReportMetric(float64(short)/float64(b.N), "short/op")
		})
		b.Run("net/"+shape.name, func(b *testing.B) {
			near, stop := drainedRaw(b)
			defer stop()
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

func drainedRaw(b *testing.B) (near net.Conn, stop func()) {
	near, far := tcpPair(b)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1<<20)
		for {
			if _, err := far.Read(buf); err != nil {
				return
			}
		}
	}()
	return near, func() { _ = near.Close(); _ = far.Close(); <-done }
}
