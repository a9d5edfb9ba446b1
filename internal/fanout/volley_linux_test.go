//go:build linux && !portable

package fanout

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/liveim/im/internal/sock"
	"github.com/liveim/im/transport"
)

// socket is a transport.Conn over a real connection.
type socket struct {
	*sock.Conn
	outlet *Outlet
	ended  chan struct{}
	tag    []byte // what it is sent, where every session is sent something else
}

func (s *socket) Private() transport.Format   { return shared }
func (s *socket) Shared() transport.Format    { return shared }
func (s *socket) Start(transport.Session)     { s.Conn.Start(nil) }
func (s *socket) Heartbeat() ([]byte, bool)   { return nil, false }
func (s *socket) Farewell(int, string) []byte { return nil }
func (s *socket) Finish()                     { s.CloseWrite() }
func (s *socket) Abort()                      { _ = s.Close() }
func (s *socket) Overdue(time.Time) bool      { return false }
func (s *socket) Input([]byte)                {}
func (s *socket) Ended(error)                 { close(s.ended) }
func (s *socket) Writable()                   { s.outlet.Writable() }

var _ transport.Descriptor = (*socket)(nil)

// plug makes an outlet on one end of a TCP connection, and returns the other.
func plug(t testing.TB, l net.Listener) (s *socket, far net.Conn) {
	t.Helper()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s = &socket{ended: make(chan struct{})}
	s.Conn = sock.New(near, s)
	s.outlet = NewOutlet(s, &Common{Limits: Limits{Queue: 4 << 20, Send: 1 << 20, VolatileAge: time.Hour}, Counters: new(Counters)})
	s.Start(nil)
	return s, far
}

func (s *socket) shut() {
	_ = s.Close()
	<-s.ended
	s.Wait()
}

func shutAll(sockets []*socket) {
	for _, s := range sockets {
		s.shut()
	}
}

func newVolley(t testing.TB, b *Batching) *volley {
	v := &volley{batching: b}
	t.Cleanup(v.close)
	return v
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// forBothSendPaths runs f with sends one by one, and with batched ones.
func forBothSendPaths(t *testing.T, f func(t *testing.T, b *Batching)) {
	t.Run("write", func(t *testing.T) { f(t, nil) })
	t.Run("io_uring", func(t *testing.T) {
		b := NewBatching(true)
		if !b.Active() {
			t.Log("this system has no io_uring")
			return
		}
		f(t, b)
		if b.Sends.Load() == 0 {
			t.Error("nothing was batched")
		}
	})
}

func TestVolleyDeliversEverything(t *testing.T) {
	forBothSendPaths(t, func(t *testing.T, b *Batching) {
		l := listen(t)
		v := newVolley(t, b)
		const count, messages = volleyMost + 50, 40
		var sockets []*socket
		var readers sync.WaitGroup
		for i := range count {
			s, far := plug(t, l)
			sockets = append(sockets, s)
			readers.Go(func() {
				defer func() { _ = far.Close() }()
				r := bufio.NewReader(far)
				for n := range messages {
					if line, err := r.ReadString('\n'); line != fmt.Sprintf("s%d.%d\n", i, n) {
						t.Errorf("session %d read %q, %v as message %d", i, line, err, n)
						return
					}
				}
			})
		}
		for n := range messages {
			for i, s := range sockets {
				s.outlet.Queue(fmt.Appendf(nil, "%d.%d", i, n))
				if n%3 == 0 && n+1 < messages {
					continue // several messages in one send
				}
				v.add(s.outlet, nil, nil, time.Now())
			}
			v.submit(time.Now())
		}
		readers.Wait()
		shutAll(sockets)
	})
}

// A socket that takes a part gets the rest when it has room, and so does one that
// was full before.
func TestVolleyToFullSockets(t *testing.T) {
	forBothSendPaths(t, func(t *testing.T, b *Batching) {
		l := listen(t)
		v := newVolley(t, b)
		var sockets []*socket
		var far []net.Conn
		for range 8 {
			s, f := plug(t, l)
			fd, _ := s.Hold()
			_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, 8<<10)
			s.Release()
			sockets, far = append(sockets, s), append(far, f)
		}
		message := bytes.Repeat([]byte("x"), 4*volleyBig)
		const rounds = 40
		size := func(round int) int { // those that enter with others, and those that do not, in turns
			if round%2 == 0 {
				return volleyBig - 100
			}
			return len(message)
		}
		for k := range rounds {
			for _, s := range sockets {
				s.outlet.Queue(message[:size(k)])
				v.add(s.outlet, nil, nil, time.Now())
			}
			v.submit(time.Now())
		}
		short := false
		var readers sync.WaitGroup
		for i, s := range sockets {
			short = short || s.outlet.Queued() > 0
			readers.Go(func() {
				defer func() { _ = far[i].Close() }()
				r := bufio.NewReader(far[i])
				for k := range rounds {
					line, err := r.ReadBytes('\n')
					if err != nil || len(line) != size(k)+2 {
						t.Errorf("session %d read a message of %d bytes, %v; want %d", i, len(line), err, size(k)+2)
						return
					}
				}
			})
		}
		if !short {
			t.Error("no socket was full: the test shows nothing")
		}
		readers.Wait()
		shutAll(sockets)
	})
}

// While volleys are on their way connections are closed, and their descriptors'
// numbers given to others. Nobody ever reads a byte that was for somebody else.
func TestClosedAndReusedInAVolley(t *testing.T) {
	forBothSendPaths(t, func(t *testing.T, b *Batching) {
		l := listen(t)
		const places, replaced = 32, 1500
		var mu sync.Mutex // guards sockets
		sockets := make([]*socket, places)
		var readers sync.WaitGroup
		seat := func(place, id int) {
			s, far := plug(t, l)
			want := fmt.Sprintf("s%d\n", id)
			s.tag = fmt.Appendf(nil, "%d", id)
			readers.Go(func() {
				defer func() { _ = far.Close() }()
				r := bufio.NewReader(far)
				for {
					line, err := r.ReadString('\n')
					if err == nil && line != want || err != nil && line != "" && !bytes.HasPrefix([]byte(want), []byte(line)) {
						t.Errorf("session %d read %q", id, line)
					}
					if err != nil {
						return
					}
				}
			})
			mu.Lock()
			old := sockets[place]
			sockets[place] = s
			mu.Unlock()
			if old != nil {
				old.shut()
			}
		}
		for i := range places {
			seat(i, i)
		}
		done := make(chan struct{})
		var flusher sync.WaitGroup
		flusher.Go(func() {
			v := volley{batching: b}
			defer v.close()
			for {
				select {
				case <-done:
					return
				default:
				}
				mu.Lock()
				now := append([]*socket(nil), sockets...)
				mu.Unlock()
				for _, s := range now {
					s.outlet.Queue(s.tag)
					v.add(s.outlet, nil, nil, time.Now())
				}
				v.submit(time.Now())
			}
		})
		for id := places; id < places+replaced; id++ {
			seat(rand.IntN(places), id)
		}
		close(done)
		flusher.Wait()
		shutAll(sockets)
		readers.Wait()
	})
}

// A batch on a connection that was reset ends that session and no other.
func TestVolleyToLostPeers(t *testing.T) {
	forBothSendPaths(t, func(t *testing.T, b *Batching) {
		l := listen(t)
		v := newVolley(t, b)
		var sockets []*socket
		var far []net.Conn
		for i := range 20 {
			s, f := plug(t, l)
			if i%2 == 1 {
				_ = f.(*net.TCPConn).SetLinger(0)
				_ = f.Close()
			}
			sockets, far = append(sockets, s), append(far, f)
		}
		for range 50 {
			for _, s := range sockets {
				s.outlet.Queue([]byte("hello"))
				v.add(s.outlet, nil, nil, time.Now())
			}
			v.submit(time.Now())
		}
		for i, s := range sockets {
			if i%2 == 1 {
				<-s.ended
				continue
			}
			got := make([]byte, 50*len("shello\n"))
			if _, err := io.ReadFull(far[i], got); err != nil || string(got) != string(bytes.Repeat([]byte("shello\n"), 50)) {
				t.Errorf("session %d read %q, %v", i, got, err)
			}
			_ = far[i].Close()
			s.shut()
		}
	})
}
