package sse_test

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/liveim/im/transport/sse"
)

// forEachKind runs f with a server of every kind.
func forEachKind(t *testing.T, f func(t *testing.T, s setup)) {
	for name, s := range kinds {
		t.Run(name, func(t *testing.T) { f(t, s) })
	}
}

func TestStreamAsTheClientSeesIt(t *testing.T) {
	forEachKind(t, func(t *testing.T, s setup) {
		s.rooms = []string{"42", "43", "44"}
		srv := newServer(t, s)
		conn, p := srv.open(t)
		hub := start(conn)
		mark := conn.Mark(func(room string) (string, uint64) {
			return map[string]string{"42": "e1", "44": "e-2_X"}[room], 121
		})
		beat, answered := conn.Heartbeat()
		hub.send(t, beat, mark, conn.Shared().Append(nil, []byte(`{"op":"events"}`)), conn.Private().Append(nil, []byte(`{"op":"bye"}`)))
		conn.Finish()
		got, err := io.ReadAll(p.lines)
		if err != nil {
			t.Errorf("the stream ends with %v; want an orderly end", err)
		}
		const want = "retry: 3000\n\n:\n\nid: e1.121,,e-2_X.121\ndata: {\"op\":\"events\"}\n\ndata: {\"op\":\"bye\"}\n\n"
		if string(got) != want {
			t.Errorf("the client got\n%q, want\n%q", got, want)
		}
		_ = p.Close()
		if err := await(t, hub.closed); err != nil {
			t.Errorf("Closed(%v); want nil", err)
		}
		await(t, srv.returned)
		if answered || conn.Farewell(1000, "bye") != nil {
			t.Error("a stream of events has no answers and no farewell")
		}
	})
}

func TestReceiveFollowsTheSession(t *testing.T) {
	conn, _ := newServer(t, setup{}).open(t)
	s := start(conn)
	if err := conn.Receive([]byte("hello")); err != nil || await(t, s.received) != "hello" {
		t.Errorf("Receive = %v", err)
	}
	s.end(t)
	if err := conn.Receive([]byte("hello")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Receive after the end = %v; want net.ErrClosed", err)
	}
}

func TestOutcomes(t *testing.T) {
	forEachKind(t, func(t *testing.T, s setup) {
		s.options.Linger = linger
		for name, tt := range map[string]struct {
			end  func(*session, *peer)
			want error
		}{
			"peer hangs up": {func(_ *session, p *peer) { _ = p.Close() }, io.EOF},
			"abort":         {func(s *session, _ *peer) { s.conn.Abort() }, net.ErrClosed},
			"peer is stuck": {func(s *session, _ *peer) { s.fill(t); s.conn.Finish() }, os.ErrDeadlineExceeded},
		} {
			t.Run(name, func(t *testing.T) {
				srv := newServer(t, s)
				conn, p := srv.open(t)
				hub := start(conn)
				tt.end(hub, p)
				if err := await(t, hub.closed); !errors.Is(err, tt.want) {
					t.Errorf("Closed(%v); want %v", err, tt.want)
				}
				await(t, srv.returned)
			})
		}
	})
}

// fill sends more than a peer that does not read can take.
func (s *session) fill(t *testing.T) {
	for left := 16 << 20; left > 0; {
		n, err := s.conn.TrySend([][]byte{make([]byte, 1<<20)})
		if err != nil {
			t.Fatal(err)
		}
		if left -= n; n < 1<<20 {
			select {
			case <-s.room:
			case <-time.After(100 * time.Millisecond):
				return
			}
		}
	}
	t.Fatal("16 MiB were taken that nobody reads")
}

func TestBytesBehindTheRequestEndTheStream(t *testing.T) {
	srv := newServer(t, setup{})
	c := srv.dial(t)
	if _, err := io.WriteString(c, request+request); err != nil {
		t.Fatal(err)
	}
	s := start(await(t, srv.conns))
	if code := await(t, s.failed); code != 1002 {
		t.Errorf("Fail(%d)", code)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := await(t, s.closed); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("Closed(%v); want the violation", err)
	}
}

func TestAbortLetsTheHandlerGo(t *testing.T) {
	forEachKind(t, func(t *testing.T, s setup) {
		srv := newServer(t, s)
		conn, _ := srv.open(t)
		conn.Abort()
		await(t, srv.returned)
		hub := start(conn)
		if err := await(t, hub.closed); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Closed(%v) of a connection that was aborted before Start", err)
		}
	})
}

func TestMarkKeepsToItsField(t *testing.T) {
	conn, _ := newServer(t, setup{rooms: []string{"a", "b\nid: x"}}).open(t)
	defer start(conn).end(t)
	for epoch, want := range map[string]string{
		"e1":          "id: e1.7,e1.7\n",
		"":            "id: ,\n",
		"e1\ndata: x": "id: ,\n",
		"e1\r":        "id: ,\n",
		"e\x00":       "id: ,\n",
		"e1,e2":       "id: ,\n",
		"e1.2":        "id: ,\n",
	} {
		var asked []string
		got := conn.Mark(func(room string) (string, uint64) { asked = append(asked, room); return epoch, 7 })
		if string(got) != want || !slices.Equal(asked, []string{"a", "b\nid: x"}) {
			t.Errorf("Mark of epoch %q = %q, want %q", epoch, got, want)
		}
	}
	other, _ := newServer(t, setup{}).open(t)
	defer start(other).end(t)
	if got := other.Mark(nil); got != nil {
		t.Errorf("Mark without rooms = %q", got)
	}
}

func TestFormatKeepsToItsField(t *testing.T) {
	for message, want := range map[string]string{
		`{"a":"b"}`:                  "data: {\"a\":\"b\"}\n\n",
		"{\n\"a\":\r\n1}\r":          "data: { \"a\":  1} \n\n",
		"\"\u2028\"":                 "data: \"\u2028\"\n\n",
		"1\n\nevent: x\ndata: 2\n\n": "data: 1  event: x data: 2  \n\n",
	} {
		if got := (sse.Event{}).Append([]byte("\n"), []byte(message)); string(got) != "\n"+want {
			t.Errorf("Append(%q) = %q, want %q", message, got[1:], want)
		}
	}
}
