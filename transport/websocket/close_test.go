package websocket_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/liveim/im/internal/ws"
	"github.com/liveim/im/transport/transporttest"
	"github.com/liveim/im/transport/websocket"
)

func masked(op ws.Opcode, fin, rsv1 bool, payload []byte) []byte {
	return ws.AppendMaskedFrame(nil, op, fin, rsv1, [4]byte{1, 2, 3, 4}, payload)
}

func TestViolationsCloseWithTheirCode(t *testing.T) {
	bomb := ws.AppendDeflated(nil, make([]byte, 1<<20))
	for name, tt := range map[string]struct {
		wire []byte
		code int
	}{
		"binary":          {masked(ws.OpBinary, true, false, []byte{1}), 1003},
		"unmasked":        {ws.AppendFrame(nil, ws.OpText, true, false, []byte("x")), 1002},
		"reserved opcode": {masked(7, true, false, nil), 1002},
		"bad UTF-8":       {masked(ws.OpText, true, false, []byte{0xff}), 1007},
		"too large":       {masked(ws.OpText, true, false, make([]byte, 65<<10)), 1009},
		"deflate bomb":    {masked(ws.OpText, true, true, bomb), 1009},
		"not deflated":    {masked(ws.OpText, true, true, []byte("no stream")), 1007},
		"2^63 bytes":      {[]byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0}, 1002},
		"2^62 bytes":      {[]byte{0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0}, 1009},
		"empty fragments": {append(masked(ws.OpText, false, false, nil), bytes.Repeat(masked(ws.OpContinuation, false, false, nil), 1024)...), 1009},
		"ping flood":      {bytes.Repeat(masked(ws.OpPing, true, false, []byte("now")), 30), 1008},
		"pong flood":      {bytes.Repeat(masked(ws.OpPong, true, false, nil), 30), 1008},
		"close of 1 byte": {masked(ws.OpClose, true, false, []byte{3}), 1002},
	} {
		t.Run(name, func(t *testing.T) {
			conn, p := newServer(t, setup{options: websocket.Options{Deflate: true}}).open(t)
			s := start(conn)
			if err := p.write(tt.wire); err != nil {
				t.Fatal(err)
			}
			_, err := p.Recv()
			var farewell *transporttest.CloseError
			if !errors.As(err, &farewell) || farewell.Code != tt.code {
				t.Errorf("the peer got %v; want a close frame with %d", err, tt.code)
			}
			_ = p.Close()
			var violation *ws.CloseError
			if err := await(t, s.closed); !errors.As(err, &violation) || int(violation.Code) != tt.code {
				t.Errorf("Closed(%v); want the violation", err)
			}
		})
	}
}

func TestCloseFrameIsNotLostToAReset(t *testing.T) {
	conn, p := newServer(t, setup{}).open(t)
	s := start(conn)
	flood := append(masked(ws.OpBinary, true, false, []byte{1}), make([]byte, 1<<20)...)
	if err := p.write(flood); err != nil { // more than the kernel holds
		t.Fatal(err)
	}
	if _, err := p.Recv(); err == nil || err.Error() != "closed: send text messages, not binary ones" {
		t.Errorf("the peer got %v in place of the close frame", err)
	}
	_ = p.Close()
	await(t, s.closed)
}

// TestCloseHandshakes uses the default linger: what waits for it in vain takes
// two seconds and shows as the error.
func TestCloseHandshakes(t *testing.T) {
	for _, kind := range []setup{{}, {wrapped: true}, {secure: true}} {
		t.Run("peer begins", func(t *testing.T) {
			conn, p := newServer(t, kind).open(t)
			s := start(conn)
			if err := p.write(masked(ws.OpClose, true, false, ws.AppendClose(nil, 4321, "bye"))); err != nil {
				t.Fatal(err)
			}
			p.mute.Store(true) // it has said its close
			var farewell *transporttest.CloseError
			if _, err := p.Recv(); !errors.As(err, &farewell) || farewell.Code != 4321 {
				t.Errorf("the peer got %v; want its own close code", err)
			}
			if err := p.awaitEOF(); err != nil {
				t.Errorf("the server should close first: %v", err)
			}
			if code := await(t, s.failed); code != 4321 {
				t.Errorf("Fail(%d); want the peer's code", code)
			}
			if err := await(t, s.closed); err != nil {
				t.Errorf("Closed(%v); want nil after a close handshake", err)
			}
		})
		t.Run("hub begins", func(t *testing.T) {
			conn, p := newServer(t, kind).open(t)
			s := start(conn)
			if _, err := conn.TrySend([][]byte{conn.Farewell(1001, "shutdown")}); err != nil {
				t.Fatal(err)
			}
			conn.Finish()
			if _, err := p.Recv(); err == nil || err.Error() != "closed: shutdown" {
				t.Errorf("the peer got %v in place of the close frame", err)
			}
			if err := p.awaitEOF(); err != nil {
				t.Errorf("the server should close first: %v", err)
			}
			if err := await(t, s.closed); err != nil {
				t.Errorf("Closed(%v); want nil after a close handshake", err)
			}
			if len(s.failed) > 0 {
				t.Error("Fail was called although the hub had finished")
			}
		})
	}
}

func TestOutcomes(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(*websocket.Conn, *peer)
		want error
	}{
		"peer hangs up": {func(_ *websocket.Conn, p *peer) { _ = p.Close() }, io.EOF},
		"abort":         {func(c *websocket.Conn, _ *peer) { c.Abort() }, net.ErrClosed},
		"peer stays":    {func(c *websocket.Conn, _ *peer) { c.Finish() }, os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			conn, p := newServer(t, setup{options: websocket.Options{Linger: linger}}).open(t)
			s := start(conn)
			tt.end(conn, p)
			if err := await(t, s.closed); !errors.Is(err, tt.want) {
				t.Errorf("Closed(%v); want %v", err, tt.want)
			}
		})
	}
}

func TestFarewell(t *testing.T) {
	var conn websocket.Conn
	for _, tt := range []struct {
		code int
		want string
	}{
		{1000, "\x88\x04\x03\xe8ok"},
		{1005, "\x88\x00"},
		{1006, "\x88\x00"},
		{0, "\x88\x00"},
		{-1, "\x88\x00"},
		{65536 + 1000, "\x88\x00"},
	} {
		if got := conn.Farewell(tt.code, "ok"); string(got) != tt.want {
			t.Errorf("Farewell(%d) = %q, want %q", tt.code, got, tt.want)
		}
	}
	if got := conn.Farewell(1000, string(make([]byte, 500))); len(got) > 2+125 {
		t.Errorf("a long reason makes a close frame of %d bytes", len(got))
	}
}

func TestOverdueAgreesWithTheCodec(t *testing.T) {
	conn, p := newServer(t, setup{}).open(t)
	s := start(conn)
	defer s.end(t)
	if err := p.Stall(); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	late := func() bool { return conn.Overdue(before.Add(time.Hour)) }
	for end := before.Add(10 * time.Second); !late() && time.Now().Before(end); {
	}
	if !late() || conn.Overdue(before.Add(9*time.Second)) || !conn.Overdue(time.Now().Add(10*time.Second+time.Millisecond)) {
		t.Error("Overdue does not turn true 10 s after the first byte")
	}
	var parser ws.Parser
	defer parser.Release()
	_ = parser.Feed(before, []byte{0x81}, nil)
	if parser.Overdue(before.Add(10*time.Second)) || !parser.Overdue(before.Add(10*time.Second+1)) {
		t.Error("the codec's default is not 10 s any more; change Options with it")
	}
}
