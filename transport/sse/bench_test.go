package sse_test

import (
	"io"
	"runtime"
	"testing"

	"github.com/liveim/im/transport/sse"
)

// BenchmarkIdle measures what a stream costs that nothing happens on: the
// connection of the server, what package net/http keeps for it, and the Conn. A
// client over HTTP/1.1 is a bare connection, and counts with it; one over HTTP/2
// is a stream of one connection and the client's part of it, about half of what is
// shown. One operation is one stream.
func BenchmarkIdle(b *testing.B) {
	for name, s := range kinds {
		b.Run(name, func(b *testing.B) {
			srv := newServer(b, s)
			open := func() *sse.Conn {
				conn, p := srv.open(b)
				if !s.http2 {
					p.response, p.lines = nil, nil // must not count
				}
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

// BenchmarkTrySend is the send of one event of 200 bytes to a client that reads.
func BenchmarkTrySend(b *testing.B) {
	for name, s := range kinds {
		b.Run(name, func(b *testing.B) {
			conn, p := newServer(b, s).open(b)
			hub := start(conn)
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{p.response.Body}, make([]byte, 1<<20))
			}()
			bufs := [][]byte{conn.Shared().Append(nil, make([]byte, 200))}
			short := 0
			b.ReportAllocs()
			for b.Loop() {
				n, err := conn.TrySend(bufs)
				if err != nil {
					b.Fatal(err)
				}
				if n < len(bufs[0]) {
					short++
					<-hub.room
				}
			}
			b.ReportMetric(float64(short)/float64(b.N), "short/op")
			conn.Abort()
			<-hub.closed
			_ = p.Close()
			<-done
		})
	}
}
