package sse_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/liveim/im/transport/sse"
)

// responses are the kinds whose connection the HTTP server keeps.
var responses = []string{"HTTP2", "no hijack"}

func TestStuckWriteTimesOut(t *testing.T) {
	for _, kind := range responses {
		t.Run(kind, func(t *testing.T) {
			s := kinds[kind]
			s.options.WriteTimeout = 500 * time.Millisecond
			srv := newServer(t, s)
			conn, _ := srv.open(t)
			hub := start(conn)
			hub.fill(t)
			if err := await(t, hub.closed); err == nil || errors.Is(err, net.ErrClosed) {
				t.Errorf("Closed(%v); want what the late write failed with", err)
			}
			await(t, srv.returned)
		})
	}
}

// A write that was in time leaves nothing behind that ends an idle stream.
func TestIdleStreamOutlivesTheWriteTimeout(t *testing.T) {
	for _, kind := range responses {
		t.Run(kind, func(t *testing.T) {
			s := kinds[kind]
			s.options.WriteTimeout = 30 * time.Millisecond
			conn, p := newServer(t, s).open(t)
			hub := start(conn)
			for _, message := range []string{"1", "2", "3"} {
				bufs := [][]byte{sse.Event{}.Append(nil, []byte(message))}
				if n, err := conn.TrySend(bufs); n != len(bufs[0]) || err != nil {
					t.Fatal(n, err)
				}
				if got, err := p.Recv(); string(got) != message {
					t.Fatalf("got %q, %v; want %q", got, err, message)
				}
				select {
				case err := <-hub.closed:
					t.Fatalf("Closed(%v)", err)
				case <-time.After(3 * s.options.WriteTimeout):
				}
			}
		})
	}
}
