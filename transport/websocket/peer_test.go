package websocket_test

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/liveim/im/internal/ws"
	"github.com/liveim/im/transport/transporttest"
)

// peer is a WebSocket client.
type peer struct {
	conn    *ws.ClientConn
	parser  *ws.Parser
	buf     []byte
	writing chan struct{} // a semaphore, because synctest does not see mutexes

	// What Feed has found, for Recv.
	messages [][]byte
	pongs    [][]byte
	farewell *transporttest.CloseError
	mute     atomic.Bool // do not answer pings and closes
}

func newPeer(conn *ws.ClientConn) *peer {
	return &peer{
		conn:    conn,
		parser:  ws.NewParser(ws.ClientRole, &ws.Limits{MaxMessage: 4 << 20}, conn.Handshake.Deflate),
		buf:     make([]byte, 64<<10),
		writing: make(chan struct{}, 1),
	}
}

func (p *peer) write(b []byte) error {
	p.writing <- struct{}{}
	defer func() { <-p.writing }()
	_, err := p.conn.Write(b)
	return err
}

func (p *peer) frame(op ws.Opcode, payload []byte) error {
	key := [4]byte{1, 2, 3, 4}
	if op == ws.OpText && p.conn.Handshake.Deflate {
		return p.write(ws.AppendMaskedFrame(nil, op, true, true, key, ws.AppendDeflated(nil, payload)))
	}
	return p.write(ws.AppendMaskedFrame(nil, op, true, false, key, payload))
}

func (p *peer) Send(msg []byte) error { return p.frame(ws.OpText, msg) }

// pull feeds the parser until stop is true.
func (p *peer) pull(stop func() bool) error {
	for !stop() {
		if p.farewell != nil {
			return p.farewell
		}
		if left := p.conn.Leftover; len(left) > 0 {
			p.conn.Leftover = nil
			if err := p.parser.Feed(time.Now(), left, (*handler)(p)); err != nil {
				return err
			}
			continue
		}
		n, err := p.conn.Read(p.buf)
		if n > 0 {
			if err := p.parser.Feed(time.Now(), p.buf[:n], (*handler)(p)); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *peer) Recv() ([]byte, error) {
	if err := p.pull(func() bool { return len(p.messages) > 0 }); err != nil {
		return nil, err
	}
	msg := p.messages[0]
	p.messages = p.messages[1:]
	return msg, nil
}

func (p *peer) Close() error { return p.conn.Close() }

func (p *peer) Violate() error {
	return p.write(ws.AppendFrame(nil, ws.OpText, true, false, []byte("not masked")))
}

func (p *peer) Ping(payload []byte) error { return p.frame(ws.OpPing, payload) }

func (p *peer) Pong() ([]byte, error) {
	if err := p.pull(func() bool { return len(p.pongs) > 0 }); err != nil {
		return nil, err
	}
	pong := p.pongs[0]
	p.pongs = p.pongs[1:]
	return pong, nil
}

func (p *peer) Stall() error {
	whole := ws.AppendMaskedFrame(nil, ws.OpText, true, false, [4]byte{}, []byte("half a message"))
	return p.write(whole[:len(whole)/2])
}

func (p *peer) Limit() time.Duration { return 10 * time.Second }

// awaitEOF reads until the server has closed.
func (p *peer) awaitEOF() error {
	if _, err := io.Copy(io.Discard, p.conn); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// handler is a peer as its parser sees it.
type handler peer

func (h *handler) Message(_ ws.Opcode, payload []byte) error {
	h.messages = append(h.messages, bytes.Clone(payload))
	return nil
}

func (h *handler) Ping(payload []byte) error {
	if p := (*peer)(h); !p.mute.Load() {
		return p.frame(ws.OpPong, payload)
	}
	return nil
}

func (h *handler) Pong(payload []byte) error {
	h.pongs = append(h.pongs, bytes.Clone(payload))
	return nil
}

func (h *handler) Close(code ws.CloseCode, reason string) error {
	h.farewell = &transporttest.CloseError{Code: int(code), Reason: reason}
	if p := (*peer)(h); !p.mute.Load() {
		_ = p.frame(ws.OpClose, ws.AppendClose(nil, code, "")) // the server may be gone
	}
	return nil
}
