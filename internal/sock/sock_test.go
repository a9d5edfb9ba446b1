package sock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wrapped hides the type of a connection, which selects the portable path. It
// can still be half closed.
type wrapped struct{ net.Conn }

func (w wrapped) CloseWrite() error {
	if h, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}

// pairs are the ways to make two connected ends; the first is to be a Conn.
var pairs = []struct {
	name string
	make func(t testing.TB) (near, far net.Conn)
}{
	{"tcp", tcpPair},
	{"unix", unixPair},
	{"wrapped tcp", func(t testing.TB) (net.Conn, net.Conn) {
		near, far := tcpPair(t)
		return wrapped{near}, far
	}},
	{"pipe", func(t testing.TB) (net.Conn, net.Conn) {
		near, far := net.Pipe()
		t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
		return near, far
	}},
}

func tcpPair(t testing.TB) (near, far net.Conn) { return listenPair(t, "tcp", "127.0.0.1:0") }

func unixPair(t testing.TB) (near, far net.Conn) {
	return listenPair(t, "unix", filepath.Join(t.TempDir(), "s"))
}

func listenPair(t testing.TB, network, addr string) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if far, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	return near, far
}

// forEachPair runs f with both ends of every kind of connection.
func forEachPair(t *testing.T, f func(t *testing.T, near, far net.Conn)) {
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			near, far := p.make(t)
			f(t, near, far)
		})
	}
}

// shut closes c as its owner does.
func shut(t testing.TB, c *Conn) {
	t.Helper()
	_ = c.Close()
	c.Wait()
}

// rest returns what follows the first n bytes.
func rest(bufs [][]byte, n int) [][]byte {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n > 0 {
		bufs = append([][]byte{bufs[0][n:]}, bufs[1:]...)
	}
	return bufs
}

func TestPathIsChosenByExactType(t *testing.T) {
	forEachPair(t, func(t *testing.T, near, _ net.Conn) {
		c := New(near, func() {})
		defer shut(t, c)
		if want := nativeBuild && !strings.Contains(t.Name(), "wrapped") && !strings.Contains(t.Name(), "pipe"); c.Native() != want {
			t.Errorf("Native() = %v, want %v", c.Native(), want)
		}
	})
}

func TestStreamIsIntact(t *testing.T) {
	shapes := map[string][][]byte{
		"one byte":           {[]byte("x")},
		"empty ones":         {nil, []byte("a"), {}, []byte("b"), nil},
		"one large":          {pattern(3 << 20)},
		"more than a writev": split(pattern(1<<20), 700),
		"thousands":          split(pattern(100_000), 13),
	}
	for name, bufs := range shapes {
		t.Run(name, func(t *testing.T) {
			forEachPair(t, func(t *testing.T, near, far net.Conn) {
				room := make(chan struct{}, 1)
				c := New(near, func() { room <- struct{}{} })
				defer shut(t, c)
				want := bytes.Join(bufs, nil)
				got := make(chan []byte, 1)
				go func() {
					b := make([]byte, len(want))
					_, _ = io.ReadFull(far, b)
					got <- b
				}()
				for left := bufs; ; {
					n, err := c.TrySend(left)
					if err != nil {
						t.Fatal(err)
					}
					if left = rest(left, n); len(bytes.Join(left, nil)) == 0 {
						break
					}
					<-room
				}
				if !bytes.Equal(<-got, want) {
					t.Error("the stream was damaged")
				}
			})
		})
	}
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 7)
	}
	return b
}

func split(b []byte, size int) (bufs [][]byte) {
	for len(b) > size {
		bufs, b = append(bufs, b[:size]), b[size:]
	}
	return append(bufs, b)
}

// fill sends until nothing fits any more, and returns what was taken.
func fill(t *testing.T, c *Conn, room <-chan struct{}) (taken int) {
	t.Helper()
	chunk := [][]byte{pattern(64 << 10)}
	for {
		n, err := c.TrySend(chunk)
		if err != nil {
			t.Fatal(err)
		}
		if taken += n; n == len(chunk[0]) {
			continue
		}
		select {
		case <-room:
		case <-time.After(50 * time.Millisecond):
			return taken
		}
	}
}

func TestFullConnectionEndsWithClose(t *testing.T) {
	forEachPair(t, func(t *testing.T, near, _ net.Conn) {
		room := make(chan struct{}, 1)
		c := New(near, func() { room <- struct{}{} })
		fill(t, c, room)
		shut(t, c) // returns although the peer never reads
		if n, err := c.TrySend([][]byte{{1}}); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("TrySend after Close = %d, %v; want 0, net.ErrClosed", n, err)
		}
		if err := c.Err(); err != nil {
			t.Errorf("Err() = %v after Close; want nil", err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if len(room) > 0 {
			t.Error("writable was called for a closed connection")
		}
	})
}

func TestCloseWriteComesAfterWhatWasTaken(t *testing.T) {
	forEachPair(t, func(t *testing.T, near, far net.Conn) {
		room := make(chan struct{}, 1)
		c := New(near, func() { room <- struct{}{} })
		defer shut(t, c)
		taken := fill(t, c, room)
		c.CloseWrite()
		c.CloseWrite() // once is enough
		got := make(chan int64, 1)
		go func() {
			n, _ := io.Copy(io.Discard, io.LimitReader(far, int64(taken)))
			got <- n
		}()
		<-room // all is written
		if n := <-got; n != int64(taken) {
			t.Errorf("the peer read %d bytes, %d were taken", n, taken)
		}
		if _, isPipe := far.(*net.TCPConn); !isPipe {
			return // net.Pipe cannot be half closed
		}
		if n, err := far.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("the peer read %d bytes, %v; want EOF", n, err)
		}
	})
}

func TestPanicInWritableClosesTheConnection(t *testing.T) {
	forEachPair(t, func(t *testing.T, near, far net.Conn) {
		c := New(near, func() { panic("a bug") })
		full := func() bool {
			n, err := c.TrySend([][]byte{pattern(1 << 20)})
			return err != nil || n < 1<<20
		}
		for !full() {
		}
		_, _ = io.Copy(io.Discard, far) // until the panic has closed it
		c.Wait()
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), "a bug") {
			t.Errorf("Err() = %v; want the panic", err)
		}
	})
}

func TestSendToPeerThatIsGone(t *testing.T) {
	forEachPair(t, func(t *testing.T, near, far net.Conn) {
		room := make(chan struct{}, 1)
		c := New(near, func() { room <- struct{}{} })
		defer shut(t, c)
		_ = far.Close()
		var err error
		for end := time.Now().Add(10 * time.Second); err == nil && time.Now().Before(end); {
			_, err = c.TrySend([][]byte{pattern(1000)})
		}
		if err == nil || c.Err() == nil {
			t.Fatalf("TrySend = %v, Err = %v; want errors", err, c.Err())
		}
		if _, err := c.Read(); err == nil {
			t.Error("Read goes on although sending has failed")
		}
	})
}

func TestRead(t *testing.T) {
	forEachPair(t, func(t *testing.T, near, far net.Conn) {
		c := New(near, func() {})
		defer shut(t, c)
		want := pattern(100_000)
		go func() {
			_, _ = far.Write(want)
			_ = far.Close()
		}()
		var got []byte
		for {
			b, err := c.Read()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b.Bytes()...)
			b.Free()
		}
		if !bytes.Equal(got, want) {
			t.Errorf("read %d bytes that differ from the %d that were sent", len(got), len(want))
		}
	})
}

func TestReadDeadlineAndClose(t *testing.T) {
	forEachPair(t, func(t *testing.T, near, _ net.Conn) {
		c := New(near, func() {})
		defer shut(t, c)
		if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read = %v; want os.ErrDeadlineExceeded", err)
		}
		_ = c.SetReadDeadline(time.Time{})
		failed := make(chan error)
		go func() {
			_, err := c.Read()
			failed <- err
		}()
		_ = c.Close()
		if err := <-failed; err == nil {
			t.Error("Read succeeds on a closed connection")
		}
	})
}

func TestParcelTakesFromTheMiddle(t *testing.T) {
	bufs := [][]byte{[]byte("abc"), nil, []byte("defg"), []byte("hi")}
	for skip := range 10 {
		for limit := 1; limit < 10; limit++ {
			p := newParcel(bufs, skip, limit)
			want := "abcdefghi"[min(skip, 9):]
			if want = want[:min(limit, len(want))]; string(p.b) != want {
				t.Errorf("newParcel(skip %d, limit %d) = %q, want %q", skip, limit, p.b, want)
			}
			p.free()
		}
	}
}
