package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/internal/ws"
)

// clientLimits are for a server that the application has chosen to trust: they
// leave room for long snapshots, and for whatever piles up while the client
// does not read.
var clientLimits = ws.Limits{
	MaxMessage:   32 << 20,
	MaxFrames:    1 << 20,
	MaxAssembly:  24 * time.Hour,
	ControlBurst: 1 << 20,
}

const (
	readBuffer = 16 << 10 // bytes
	// pongTimeout bounds the writes that the connection makes on its own behalf.
	pongTimeout = 5 * time.Second
	byeTimeout  = 100 * time.Millisecond
)

// webSocket returns a function that opens WebSocket connections to rawURL. No
// error of it tells more of the URL than the host.
func webSocket(rawURL string, opt *Options) (dialFunc, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Hostname() == "" || u.Fragment != "" {
		return nil, errors.New(`client: the URL does not parse; write it like "wss://example.org/im/ws"`)
	}
	switch u.Scheme {
	case "ws", "wss", "http", "https":
	default:
		return nil, fmt.Errorf("client: the URL has scheme %q; use ws or wss", u.Scheme)
	}
	dial := &ws.DialOptions{
		Header:    opt.Header,
		Protocols: []string{wire.Subprotocol},
		Deflate:   opt.Compress,
		TLS:       opt.TLS,
		NetDial:   opt.NetDial,
	}
	return func(ctx context.Context, query string) (Conn, error) {
		conn, err := ws.Dial(ctx, withQuery(rawURL, query), dial)
		if err != nil {
			return nil, dialError(err)
		}
		if conn.Handshake.Protocol != wire.Subprotocol {
			_ = conn.Close()
			return nil, &im.Error{Code: im.CodeNotFound, Reason: "what answers there does not speak " + wire.Subprotocol}
		}
		c := &wsConn{net: conn, parser: ws.NewParser(ws.ClientRole, &clientLimits, conn.Handshake.Deflate)}
		if err := c.parser.Feed(time.Now(), conn.Leftover, (*frames)(c)); err != nil {
			c.err = err
		}
		return c, nil
	}, nil
}

// dialError turns a refused handshake into the error that it stands for.
func dialError(err error) error {
	var refused *ws.DialError
	if !errors.As(err, &refused) {
		return err
	}
	resp := refused.Response
	var m wire.Message
	if json.NewDecoder(resp.Body).Decode(&m) == nil && m.Code != "" {
		return wireError(&m, im.CodeForbidden)
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	after := time.Duration(max(seconds, 0)) * time.Second
	if resp.StatusCode < 400 {
		return &im.Error{Code: im.CodeNotFound, Reason: fmt.Sprintf("status %d in place of a WebSocket connection: %s", resp.StatusCode, refused.Reason)}
	}
	return statusError(resp.StatusCode, fmt.Sprintf("status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)), after)
}

// wsConn is a Conn over WebSocket. It answers pings while Recv runs.
type wsConn struct {
	net    *ws.ClientConn
	heard  atomic.Uint64
	closed sync.Once

	// The goroutine of Recv owns these.
	parser *ws.Parser
	buf    []byte
	inbox  [][]byte
	err    error

	// writing protects the fields below and the right to write.
	writing sync.Mutex
	frame   []byte
	failed  error // of the first write that failed; half a frame may be out
}

func (c *wsConn) Heard() uint64 { return c.heard.Load() }

func (c *wsConn) Recv(ctx context.Context) ([]byte, error) {
	if len(c.inbox) == 0 && c.err == nil {
		stop := context.AfterFunc(ctx, func() { _ = c.net.SetReadDeadline(time.Unix(1, 0)) })
		defer stop()
	}
	for len(c.inbox) == 0 {
		if c.err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, c.err
		}
		c.fill()
	}
	msg := c.inbox[0]
	c.inbox = c.inbox[1:]
	return msg, nil
}

// fill reads once from the network.
func (c *wsConn) fill() {
	if c.buf == nil {
		c.buf = make([]byte, readBuffer)
	}
	n, err := c.net.Read(c.buf)
	if n > 0 {
		c.heard.Add(1)
		if err := c.parser.Feed(time.Now(), c.buf[:n], (*frames)(c)); err != nil {
			var violation *ws.CloseError
			if errors.As(err, &violation) {
				_ = c.control(ws.OpClose, ws.AppendClose(nil, violation.Code, violation.Reason))
			}
			c.err = err
		}
	}
	if err != nil && c.err == nil {
		c.err = err
	}
	if c.err != nil {
		c.parser.Release()
	}
}

func (c *wsConn) Send(ctx context.Context, msg []byte) error {
	stop := context.AfterFunc(ctx, func() { _ = c.net.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	c.writing.Lock()
	defer c.writing.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx) // and control may have lifted the deadline
	}
	if err := c.write(ws.OpText, msg); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return nil
}

// write sends one frame. c.writing is held.
func (c *wsConn) write(op ws.Opcode, payload []byte) error {
	if c.failed != nil {
		return c.failed
	}
	var key [4]byte
	_, _ = rand.Read(key[:]) // never fails
	c.frame = ws.AppendMaskedFrame(c.frame[:0], op, true, false, key, payload)
	_, c.failed = c.net.Write(c.frame)
	if cap(c.frame) > readBuffer {
		c.frame = nil
	}
	return c.failed
}

// control sends a control frame, which must not hold up the reader for long.
func (c *wsConn) control(op ws.Opcode, payload []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.net.SetWriteDeadline(time.Now().Add(pongTimeout))
	err := c.write(op, payload)
	_ = c.net.SetWriteDeadline(time.Time{})
	return err
}

// Close says goodbye if the network takes it within a moment.
func (c *wsConn) Close() error {
	var err error
	c.closed.Do(func() {
		_ = c.net.SetWriteDeadline(time.Now().Add(byeTimeout)) // for a Send that is blocked
		c.writing.Lock()
		defer c.writing.Unlock()
		_ = c.net.SetWriteDeadline(time.Now().Add(byeTimeout))
		_ = c.write(ws.OpClose, ws.AppendClose(nil, ws.CloseNormal, ""))
		err = c.net.Close()
	})
	return err
}

// frames is a wsConn as the ws.Handler of its own parser.
type frames wsConn

func (f *frames) Message(op ws.Opcode, payload []byte) error {
	if op != ws.OpText {
		return &ws.CloseError{Code: ws.CloseUnsupportedData, Reason: "send text"}
	}
	f.inbox = append(f.inbox, bytes.Clone(payload))
	return nil
}

func (f *frames) Ping(payload []byte) error {
	return (*wsConn)(f).control(ws.OpPong, payload)
}

func (f *frames) Pong([]byte) error { return nil }

func (f *frames) Close(code ws.CloseCode, reason string) error {
	_ = (*wsConn)(f).control(ws.OpClose, ws.AppendClose(nil, code, ""))
	return closeError(int(code), reason)
}
