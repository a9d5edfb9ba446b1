package sock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a Handler that passes on what it is told.
type recorder struct {
	room     chan struct{}
	ended    chan error
	input    func([]byte) // nil: discards
	writable func()       // nil: room
}

func (r *recorder) Input(b []byte) {
	if r.input != nil {
		r.input(b)
	}
}

func (r *recorder) Ended(err error) { r.ended <- err }

func (r *recorder) Writable() {
	if r.writable != nil {
		r.writable()
		return
	}
	r.room <- struct{}{}
}

func newRecorder() *recorder {
	return &recorder{room: make(chan struct{}, 1), ended: make(chan error, 2)}
}

// wrapped hides the type of a connection, which selects the portable path. It
// can still be half closed.
type wrapped struct{ net.Conn }

func (w wrapped) CloseWrite() error {
	if h, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}

// kinds are the connections that a Conn is made of.
var kinds = []struct {
	name   string
	make   func(t testing.TB) (near, far net.Conn)
	new    func(net.Conn, Handler) *Conn
	polled bool // where there is a poller
}{
	{"tcp", tcpPair, New, true},
	{"unix", unixPair, New, true},
	{"tcp that is to be portable", tcpPair, func(nc net.Conn, h Handler) *Conn {
		c := new(Conn)
		c.Init(nc, h, true)
		return c
	}, false},
	{"wrapped tcp", func(t testing.TB) (net.Conn, net.Conn) {
		near, far := tcpPair(t)
		return wrapped{near}, far
	}, New, false},
	{"pipe", func(t testing.TB) (net.Conn, net.Conn) {
		near, far := net.Pipe()
		t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
		return near, far
	}, New, false},
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

// link is a Conn that has not been started, and the other end.
type link struct {
	*Conn
	*recorder
	far net.Conn
}

// forEachKind runs f with both ends of every kind of connection. f starts it, and
// shuts it.
func forEachKind(t *testing.T, f func(t *testing.T, l *link)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			near, far := k.make(t)
			r := newRecorder()
			c := k.new(near, r)
			if want := k.polled && hasPoller; c.Polled() != want {
				t.Fatalf("Polled() = %v, want %v", c.Polled(), want)
			}
			f(t, &link{c, r, far})
		})
	}
}

// shut closes the Conn as its owner does, and returns why reading ended.
func (l *link) shut() error {
	_ = l.Close()
	err := <-l.ended
	l.Wait()
	return err
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
			forEachKind(t, func(t *testing.T, l *link) {
				l.Start(nil)
				defer l.shut()
				want := bytes.Join(bufs, nil)
				got := make(chan []byte, 1)
				go func() {
					b := make([]byte, len(want))
					_, _ = io.ReadFull(l.far, b)
					got <- b
				}()
				for left := bufs; ; {
					n, err := l.TrySend(left)
					if err != nil {
						t.Fatal(err)
					}
					if left = rest(left, n); len(bytes.Join(left, nil)) == 0 {
						break
					}
					<-l.room
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
func (l *link) fill(t *testing.T) (taken int) {
	t.Helper()
	chunk := [][]byte{pattern(64 << 10)}
	for {
		n, err := l.TrySend(chunk)
		if err != nil {
			t.Fatal(err)
		}
		if taken += n; n == len(chunk[0]) {
			continue
		}
		select {
		case <-l.room:
		case <-time.After(50 * time.Millisecond):
			return taken
		}
	}
}

func TestFullConnectionEndsWithClose(t *testing.T) {
	forEachKind(t, func(t *testing.T, l *link) {
		l.Start(nil)
		l.fill(t)
		if err := l.shut(); !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) { // returns although the peer never reads
			t.Errorf("reading ended with %v; want net.ErrClosed", err)
		}
		if n, err := l.TrySend([][]byte{{1}}); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("TrySend after Close = %d, %v; want 0, net.ErrClosed", n, err)
		}
		if err := l.Err(); err != nil {
			t.Errorf("Err() = %v after Close; want nil", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if len(l.room) > 0 {
			t.Error("Writable was called for a closed connection")
		}
	})
}

func TestCloseWriteComesAfterWhatWasTaken(t *testing.T) {
	forEachKind(t, func(t *testing.T, l *link) {
		l.Start(nil)
		defer l.shut()
		taken := 0
		if n, err := l.TrySend([][]byte{pattern(100_000)}); err != nil {
			t.Fatal(err)
		} else {
			taken = n
		}
		got := make(chan int64, 1)
		go func() {
			n, _ := io.Copy(io.Discard, io.LimitReader(l.far, int64(taken)))
			got <- n
		}()
		if taken < 100_000 {
			<-l.room
		}
		l.CloseWrite()
		l.CloseWrite() // once is enough
		<-l.room       // all is written
		if n := <-got; n != int64(taken) {
			t.Errorf("the peer read %d bytes, %d were taken", n, taken)
		}
		if _, isTCP := l.far.(*net.TCPConn); !isTCP {
			return // net.Pipe cannot be half closed
		}
		if n, err := l.far.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("the peer read %d bytes, %v; want EOF", n, err)
		}
	})
}

func TestPanicInWritableClosesTheConnection(t *testing.T) {
	forEachKind(t, func(t *testing.T, l *link) {
		l.writable = func() { panic("a bug") }
		l.Start(nil)
		for {
			n, err := l.TrySend([][]byte{pattern(1 << 20)})
			if err != nil || n < 1<<20 {
				break
			}
		}
		_, _ = io.Copy(io.Discard, l.far) // until the panic has closed it
		<-l.ended
		l.Wait()
		if err := l.Err(); err == nil || !strings.Contains(err.Error(), "a bug") {
			t.Errorf("Err() = %v; want the panic", err)
		}
	})
}

func TestHostCodeThatEndsTheReader(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("a bug") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			forEachKind(t, func(t *testing.T, l *link) {
				l.input = func([]byte) { end() }
				l.Start([]byte("early"))
				if err := <-l.ended; err == nil || !strings.Contains(err.Error(), "host code") {
					t.Errorf("reading ended with %v; want what host code did", err)
				}
				_ = l.Close()
				l.Wait()
			})
		})
	}
}

func TestSendToPeerThatIsGone(t *testing.T) {
	forEachKind(t, func(t *testing.T, l *link) {
		l.Start(nil)
		_ = l.far.Close()
		var err error
		for end := time.Now().Add(10 * time.Second); err == nil && time.Now().Before(end); {
			_, err = l.TrySend([][]byte{pattern(1000)})
		}
		if err == nil || l.Err() == nil {
			t.Fatalf("TrySend = %v, Err = %v; want errors", err, l.Err())
		}
		if err := <-l.ended; err == nil {
			t.Error("reading goes on although sending has failed")
		}
		l.Wait()
	})
}

func TestInputComesWhole(t *testing.T) {
	forEachKind(t, func(t *testing.T, l *link) {
		want := pattern(100_000)
		var got []byte
		l.input = func(b []byte) { got = append(got, b...) }
		l.Start(want[:10])
		go func() {
			for _, b := range split(want[10:], 3333) {
				_, _ = l.far.Write(b)
			}
			_ = l.far.Close()
		}()
		if err := <-l.ended; err != io.EOF {
			t.Errorf("reading ended with %v; want io.EOF", err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("read %d bytes that differ from the %d that were sent", len(got), len(want))
		}
		_ = l.Close()
		l.Wait()
	})
}

// Input that does not return is back-pressure: the peer can send no more than the
// buffers of both kernels take.
func TestNothingIsReadWhileInputBlocks(t *testing.T) {
	forEachKind(t, func(t *testing.T, l *link) {
		entered, leave := make(chan int, 1), make(chan struct{})
		l.input = func(b []byte) {
			select {
			case entered <- len(b):
			default:
			}
			<-leave
		}
		l.Start(nil)
		much := make([]byte, 64<<20)
		_ = l.far.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := l.far.Write(much)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the peer sent %d bytes, %v; want to be stopped", n, err)
		}
		<-entered
		close(leave)
		if err := l.shut(); err == nil {
			t.Error("reading ended without a reason")
		}
	})
}

func TestReadDeadline(t *testing.T) {
	for name, start := range map[string]func(*link){
		"ahead": func(l *link) {
			l.Start(nil)
			_ = l.SetReadDeadline(time.Now().Add(time.Millisecond))
		},
		"passed": func(l *link) {
			l.Start(nil)
			_ = l.SetReadDeadline(time.Unix(1, 0))
		},
		"before Start": func(l *link) {
			_ = l.SetReadDeadline(time.Unix(1, 0))
			l.Start(nil)
		},
		"sooner": func(l *link) {
			l.Start(nil)
			_ = l.SetReadDeadline(time.Now().Add(time.Hour))
			_ = l.SetReadDeadline(time.Now().Add(time.Millisecond))
		},
	} {
		t.Run(name, func(t *testing.T) {
			forEachKind(t, func(t *testing.T, l *link) {
				start(l)
				if err := <-l.ended; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("reading ended with %v; want os.ErrDeadlineExceeded", err)
				}
				_ = l.Close()
				l.Wait()
			})
		})
	}
}

func TestDeadlineThatIsTakenBack(t *testing.T) {
	forEachKind(t, func(t *testing.T, l *link) {
		got := make(chan byte, 1)
		l.input = func(b []byte) { got <- b[0] }
		l.Start(nil)
		_ = l.SetReadDeadline(time.Now().Add(time.Hour))
		_ = l.SetReadDeadline(time.Time{})
		_, _ = l.far.Write([]byte{7})
		if b := <-got; b != 7 {
			t.Errorf("read %d, want 7", b)
		}
		if err := l.shut(); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading ended with %v", err)
		}
	})
}

func TestClosedBeforeStart(t *testing.T) {
	forEachKind(t, func(t *testing.T, l *link) {
		_ = l.Close()
		l.Start(nil)
		if err := <-l.ended; err == nil {
			t.Error("reading ended without a reason")
		}
		l.Wait()
	})
}

func TestParcelTakesWhatItCan(t *testing.T) {
	for _, total := range []int{9, smallParcel, smallParcel + 1, largeParcel + 1} {
		bufs := append([][]byte{[]byte("abc"), nil}, split(pattern(total-3), 1000)...)
		p := newParcel(bufs, total)
		want := bytes.Join(bufs, nil)
		if want = want[:min(total, largeParcel)]; !bytes.Equal(p.b, want) {
			t.Errorf("a parcel of %d bytes has %d that differ from the first %d", total, len(p.b), len(want))
		}
		p.free()
	}
}
