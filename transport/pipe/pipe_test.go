package pipe_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im/transport/pipe"
)

// hub is the plainest session: it answers Fail with the farewell.
type hub struct {
	conn     *pipe.Conn
	received [][]byte
	closed   chan error
}

func start(conn *pipe.Conn) *hub {
	h := &hub{conn: conn, closed: make(chan error, 1)}
	conn.Start(h)
	return h
}

func (h *hub) Receive(msg []byte) error {
	h.received = append(h.received, msg)
	return nil
}

func (h *hub) Fail(code int, reason string) {
	_, _ = h.conn.TrySend([][]byte{h.conn.Farewell(code, reason)})
	h.conn.Finish()
}

func (h *hub) Control([]byte)   {}
func (h *hub) Alive()           {}
func (h *hub) Writable()        {}
func (h *hub) Closed(err error) { h.closed <- err }

func TestFarewellReachesThePeer(t *testing.T) {
	for _, tt := range []struct {
		code         int
		reason, want string
	}{
		{4001, "come back later", "come back later"},
		{1000, "", ""},
		{1008, "two\r\nlines", "two  lines"},
	} {
		conn, peer := pipe.New(nil)
		h := start(conn)
		if _, err := conn.TrySend([][]byte{conn.Farewell(tt.code, tt.reason)}); err != nil {
			t.Fatal(err)
		}
		conn.Finish()
		for range 2 { // it stays the answer
			var farewell *pipe.CloseError
			if _, err := peer.Recv(t.Context()); !errors.As(err, &farewell) || *farewell != (pipe.CloseError{Code: tt.code, Reason: tt.want}) {
				t.Errorf("Recv = %v; want %d %q", err, tt.code, tt.want)
			}
		}
		if err := <-h.closed; err != nil {
			t.Errorf("Closed(%v); want nil, as the peer has read everything", err)
		}
	}
}

func TestMaxMessage(t *testing.T) {
	conn, peer := pipe.New(&pipe.Options{MaxMessage: 10})
	h := start(conn)
	if err := peer.Send(t.Context(), make([]byte, 10)); err != nil {
		t.Errorf("a message of the largest size: %v", err)
	}
	if err := peer.Send(t.Context(), make([]byte, 11)); err == nil {
		t.Error("a message above the largest size was accepted")
	}
	var farewell *pipe.CloseError
	if _, err := peer.Recv(t.Context()); !errors.As(err, &farewell) || farewell.Code != 1009 {
		t.Errorf("Recv = %v; want 1009", err)
	}
	<-h.closed
	if len(h.received) != 1 {
		t.Errorf("%d messages arrived, want 1", len(h.received))
	}
	if err := peer.Send(t.Context(), nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Send after the end = %v; want io.ErrClosedPipe", err)
	}
}

func TestContextsEndTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := pipe.New(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := peer.Send(ctx, []byte("1")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send before Start = %v; want the context's error", err)
		}
		h := start(conn)
		if _, err := peer.Recv(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Recv = %v; want the context's error", err)
		}
		// Half a message is kept for the next Recv.
		_, _ = conn.TrySend([][]byte{[]byte(`{"half":`)})
		if _, err := peer.Recv(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Recv = %v; want the context's error", err)
		}
		_, _ = conn.TrySend([][]byte{[]byte("1}\n")})
		if msg, err := peer.Recv(t.Context()); string(msg) != `{"half":1}` {
			t.Errorf("Recv = %q, %v", msg, err)
		}
		_ = peer.Close()
		if err := <-h.closed; !errors.Is(err, io.EOF) {
			t.Errorf("Closed(%v); want io.EOF", err)
		}
	})
}

func TestBufferIsExact(t *testing.T) {
	conn, peer := pipe.New(&pipe.Options{Buffer: 10})
	h := start(conn)
	if n, err := conn.TrySend([][]byte{[]byte("1234\n"), []byte("5678\n")}); n != 10 || err != nil {
		t.Errorf("TrySend of as much as fits = %d, %v", n, err)
	}
	if n, err := conn.TrySend([][]byte{[]byte("9\n")}); n != 0 || err != nil {
		t.Errorf("TrySend to a full pipe = %d, %v", n, err)
	}
	if msg, err := peer.Recv(t.Context()); string(msg) != "1234" {
		t.Errorf("Recv = %q, %v", msg, err)
	}
	if n, err := conn.TrySend([][]byte{[]byte("abcdefg\n")}); n != 5 || err != nil {
		t.Errorf("TrySend with room for 5 = %d, %v", n, err)
	}
	conn.Abort()
	<-h.closed
}
