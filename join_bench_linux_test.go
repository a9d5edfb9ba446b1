package im_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/ws"
)

// BenchmarkJoin measures a crowd that comes in at once: one operation is a connection over
// loopback, its handshake, a join, and the answer with state and the 20 newest events. What is
// beside it is the least that any server has to do: the handshake alone, with net/http, and a goroutine
// that reads; and the same with one fixed answer of 5 KiB. The clients are raw sockets in this process and
// cost the same everywhere. A client that names its room in the handshake saves itself a message.
func BenchmarkJoin(b *testing.B) {
	frame := ws.AppendMaskedFrame(nil, ws.OpText, true, false, [4]byte{1, 2, 3, 4}, []byte(`{"op":"join","id":1,"room":"42"}`))
	mark := []byte(`"joined"`)
	b.Run("handshake", func(b *testing.B) {
		benchmarkCrowd(b, bareHandshake(nil), "/ws", nil, []byte("\r\n\r\n"))
	})
	b.Run("handshake+answer", func(b *testing.B) {
		benchmarkCrowd(b, bareHandshake(append(mark, make([]byte, 5<<10)...)), "/ws", frame, mark)
	})
	for _, busy := range []int{0, 100} {
		b.Run(fmt.Sprintf("join/danmaku=%d", busy), func(b *testing.B) {
			benchmarkCrowd(b, busyHub(b, busy), "/ws", frame, mark)
		})
		b.Run(fmt.Sprintf("query/danmaku=%d", busy), func(b *testing.B) {
			benchmarkCrowd(b, busyHub(b, busy), "/ws?room=42", nil, mark)
		})
	}
}

// bareHandshake accepts a handshake and then answers whatever it reads, until the client goes.
func bareHandshake(answer []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, refused := ws.CheckRequest(r, nil, false)
		if refused != nil {
			refused.Respond(w)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = conn.Write(h.AppendResponse(nil))
		go func() {
			defer func() { _ = conn.Close() }()
			for buf := make([]byte, 128); err == nil; {
				if _, err = conn.Read(buf); err == nil {
					_, err = conn.Write(answer)
				}
			}
		}()
	})
}

// busyHub returns a hub with a room of events and state, where so many danmaku a second are sent.
func busyHub(b *testing.B, danmaku int) http.Handler {
	b.Helper()
	hub, err := im.New(imtest.BearerUser, &im.Options{Limits: unlimited})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = hub.Close() })
	room := hub.Room("42")
	for i := range 10 {
		if _, err := room.Set(b.Context(), fmt.Sprint("key-", i), "a value of the state"); err != nil {
			b.Fatal(err)
		}
	}
	say := func(i int) {
		_, _ = room.Send(b.Context(), im.Danmaku, map[string]any{"text": strings.Repeat("danmaku ", 10), "n": i}, im.AsUser(im.User{ID: fmt.Sprint("viewer-", i), Name: "A viewer"}))
	}
	for i := range 200 {
		say(i)
	}
	if danmaku == 0 {
		return hub
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		every := time.NewTicker(time.Second / time.Duration(danmaku))
		defer every.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-every.C:
				say(i)
			}
		}
	}()
	b.Cleanup(func() {
		close(stop)
		<-ended
	})
	return hub
}

// benchmarkCrowd has b.N clients connect, send frame, if there is one, and wait for something with
// mark in it. All of a round stay; between rounds they go, off the clock.
func benchmarkCrowd(b *testing.B, handler http.Handler, path string, frame, mark []byte) {
	const round, lanes = 5000, 16
	srv := httptest.NewServer(handler)
	defer srv.Close()
	addr := srv.Listener.Addr().(*net.TCPAddr)
	to := &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}
	hello := "GET " + path + " HTTP/1.1\r\nHost: " + addr.String() + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer viewer-%d\r\n\r\n"
	b.ReportAllocs()
	b.ResetTimer()
	var used, user time.Duration
	for left := b.N; left > 0; left -= round {
		open := make([]int, min(left, round))
		before, beforeUser := processorTime(), userTime()
		var clients sync.WaitGroup
		for lane := range lanes {
			clients.Go(func() {
				buf := make([]byte, 64<<10)
				for i := lane; i < len(open); i += lanes {
					fd, err := comeIn(to, fmt.Appendf(nil, hello, i), frame, mark, buf)
					if err != nil {
						b.Error(err)
						return
					}
					open[i] = fd
				}
			})
		}
		clients.Wait()
		b.StopTimer()
		used += processorTime() - before
		user += userTime() - beforeUser
		for _, fd := range open {
			_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
			_ = syscall.Close(fd)
		}
		pass(200 * time.Millisecond) // the server notices
		b.StartTimer()
	}
	b.ReportMetric(float64(used.Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(user.Nanoseconds())/1000/float64(b.N), "user-µs/op")
}

// userTime is the part of processorTime outside of the kernel.
func userTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano())
}

// comeIn is one client.
func comeIn(to *syscall.SockaddrInet4, hello, frame, mark, buf []byte) (fd int, err error) {
	if fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
		return 0, err
	}
	if err := syscall.Connect(fd, to); err != nil {
		return 0, err
	}
	if frame == nil {
		return fd, converse(fd, hello, mark, buf)
	}
	if err := converse(fd, hello, []byte("\r\n\r\n"), buf); err != nil {
		return fd, err
	}
	return fd, converse(fd, frame, mark, buf)
}

// converse writes and reads until mark has come.
func converse(fd int, out, mark, buf []byte) error {
	if _, err := syscall.Write(fd, out); err != nil {
		return err
	}
	for n := 0; !bytes.Contains(buf[:n], mark); {
		got, err := syscall.Read(fd, buf[n:])
		if err != nil || got == 0 {
			return fmt.Errorf("%d bytes, %w, before %q came; %q", got, err, mark, buf[:n])
		}
		n += got
	}
	return nil
}
