package longpoll_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im/transport/longpoll"
)

// BenchmarkParked measures what a client costs whose request waits, all of it:
// the connection, the HTTP server's part, and the Conn. One operation is one
// client. "away" is the Conn of a client between two requests.
func BenchmarkParked(b *testing.B) {
	for _, kind := range []string{"away", "HTTP1"} {
		b.Run(kind, func(b *testing.B) {
			srv := newServer(b, nil, false, nil)
			open := func() *longpoll.Conn {
				conn, url := srv.add()
				if kind == "away" {
					return conn
				}
				c, err := net.Dial("tcp", srv.Listener.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = c.Close() })
				if _, err := io.WriteString(c, "GET "+url[len(srv.URL):]+"?10m HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					b.Fatal(err)
				}
				await(b, conn.Waits)
				return conn
			}
			start(open()).conn.Abort() // warm up
			var before, after runtime.MemStats
			measure := func(m *runtime.MemStats) int {
				runtime.GC()
				runtime.GC()
				runtime.ReadMemStats(m)
				return runtime.NumGoroutine()
			}
			goroutines := measure(&before)
			var sessions []*session
			for b.Loop() {
				s := &session{conn: open(), closed: make(chan error, 1)}
				s.conn.Start(s)
				sessions = append(sessions, s)
			}
			goroutines = measure(&after) - goroutines
			n := float64(b.N)
			b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/n, "heap-B/conn")
			b.ReportMetric((float64(after.StackInuse)-float64(before.StackInuse))/n, "stack-B/conn")
			b.ReportMetric(float64(goroutines)/n, "goroutines/conn")
			for _, s := range sessions {
				s.conn.Abort()
				<-s.closed
			}
		})
	}
}

// BenchmarkTrySend is the send of one message of 200 bytes to a client whose
// request waits; a goroutine stands for the clients and the server.
func BenchmarkTrySend(b *testing.B) {
	conn := longpoll.New(&longpoll.Options{Gather: time.Nanosecond})
	hub := start(conn)
	var asking sync.WaitGroup
	asking.Go(func() {
		w, r := discard{http.Header{}}, httptest.NewRequest(http.MethodGet, "/", nil)
		for conn.ServePoll(w, r, time.Minute) == nil {
		}
	})
	bufs := [][]byte{conn.Shared().Append(nil, make([]byte, 200))}
	b.ReportAllocs()
	short := 0
	for b.Loop() {
		n, err := conn.TrySend(bufs)
		if err != nil {
			b.Fatal(err)
		}
		if n == 0 {
			short++
			<-hub.writable
		}
	}
	b.ReportMetric(float64(short)/float64(b.N), "short/op")
	conn.Abort()
	<-hub.closed
	asking.Wait()
}

// discard is a response writer without a client.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
