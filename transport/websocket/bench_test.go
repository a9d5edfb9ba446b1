package websocket_test

import (
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/liveim/im/internal/ws"
	"github.com/liveim/im/transport/websocket"
)

// BenchmarkIdle measures what a connection costs that nothing happens on, beyond
// the *net.TCPConn that every Go server has. One operation is one connection.
func BenchmarkIdle(b *testing.B) {
	for name, s := range map[string]setup{"TCP": {}, "TCP deflated": {options: websocket.Options{Deflate: true}}, "wrapped": {wrapped: true}, "TLS": {secure: true}} {
		b.Run(name, func(b *testing.B) {
			srv := newServer(b, s)
			open := func() *websocket.Conn {
				c, err := ws.Dial(b.Context(), srv.URL, srv.dialOptions())
				if err != nil {
					b.Fatal(err)
				}
				client := c.Conn // the rest of c must not count
				b.Cleanup(func() { _ = client.Close() })
				return <-srv.conns
			}
			open().Abort() // warm up
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
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "heap-B/conn")
			b.ReportMetric(float64(after.StackInuse)/n-float64(before.StackInuse)/n, "stack-B/conn")
			b.ReportMetric(float64(goroutines)/n, "goroutines/conn")
			for _, s := range sessions {
				s.conn.Abort()
				<-s.closed
			}
		})
	}
}

// BenchmarkTrySend is the send of one frame to a peer that reads.
func BenchmarkTrySend(b *testing.B) {
	for name, s := range map[string]setup{"TCP": {}, "wrapped": {wrapped: true}, "TLS": {secure: true}} {
		b.Run(name, func(b *testing.B) {
			srv := newServer(b, s)
			c, err := ws.Dial(b.Context(), srv.URL, srv.dialOptions())
			if err != nil {
				b.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				buf := make([]byte, 1<<20)
				_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{net.Conn(c)}, buf)
			}()
			hub := &writableSession{session{conn: <-srv.conns, closed: make(chan error, 1)}, make(chan struct{}, 1)}
			hub.conn.Start(hub)
			bufs := [][]byte{hub.conn.Private().Append(nil, make([]byte, 200))}
			b.ReportAllocs()
			for b.Loop() {
				n, err := hub.conn.TrySend(bufs)
				if err != nil {
					b.Fatal(err)
				}
				if n < len(bufs[0]) {
					<-hub.room
				}
			}
			hub.conn.Abort()
			<-hub.closed
			_ = c.Close()
			<-done
		})
	}
}

type writableSession struct {
	session
	room chan struct{}
}

func (s *writableSession) Writable() { s.room <- struct{}{} }
