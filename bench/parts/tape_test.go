package parts

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/lxzan/gws"
)

// readSize is the buffer that every implementation reads with, in bytes.
const readSize = 4096

// tape is a connection from which the same bytes come again and again, and which takes
// everything: what is left is what a codec costs. It plays a server's part of the
// handshake.
type tape struct {
	answer []byte // comes first
	loop   []byte
	at     int // in loop
	left   int // bytes of loop that come before the end
	taken  int // bytes written
}

func (t *tape) Read(p []byte) (int, error) {
	if len(t.answer) > 0 {
		n := copy(p, t.answer)
		t.answer = t.answer[n:]
		return n, nil
	}
	if t.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), t.left)], t.loop[t.at:])
	t.left -= n
	if t.at += n; t.at == len(t.loop) {
		t.at = 0
	}
	return n, nil
}

func (t *tape) Write(p []byte) (int, error) {
	t.taken += len(p)
	if bytes.HasPrefix(p, []byte("GET ")) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(p)))
		if err != nil {
			return 0, err
		}
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		t.answer = []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n")
	}
	return len(p), nil
}

func (t *tape) Close() error                     { return nil }
func (t *tape) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (t *tape) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (t *tape) SetDeadline(time.Time) error      { return nil }
func (t *tape) SetReadDeadline(time.Time) error  { return nil }
func (t *tape) SetWriteDeadline(time.Time) error { return nil }

// asked is an HTTP request that a server hijacks to get the tape.
type asked struct {
	t      *tape
	header http.Header
}

func (a asked) Header() http.Header         { return a.header }
func (a asked) Write(p []byte) (int, error) { return len(p), nil }
func (a asked) WriteHeader(int)             {}

func (a asked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return a.t, bufio.NewReadWriter(bufio.NewReaderSize(a.t, readSize), bufio.NewWriter(a.t)), nil
}

func request(b *testing.B, deflate bool) *http.Request {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://example.com/ws", nil)
	if err != nil {
		b.Fatal(err)
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		r.Header.Set(name, value)
	}
	if deflate {
		r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover; client_no_context_takeover")
	}
	return r
}

func gorillaServer(b *testing.B, t *tape, deflate bool) *websocket.Conn {
	b.Helper()
	u := websocket.Upgrader{ReadBufferSize: readSize, WriteBufferSize: readSize, EnableCompression: deflate}
	conn, err := u.Upgrade(asked{t, http.Header{}}, request(b, deflate), nil)
	if err != nil {
		b.Fatal(err)
	}
	return conn
}

func gorillaClient(b *testing.B, t *tape) *websocket.Conn {
	b.Helper()
	d := websocket.Dialer{
		WriteBufferSize: readSize,
		NetDialContext:  func(context.Context, string, string) (net.Conn, error) { return t, nil },
	}
	conn, response, err := d.DialContext(b.Context(), "ws://example.com/ws", nil)
	if err != nil {
		b.Fatal(err)
	}
	_ = response.Body.Close()
	return conn
}

func gwsServer(b *testing.B, t *tape, h gws.Event, checkUTF8 bool) *gws.Conn {
	b.Helper()
	u := gws.NewUpgrader(h, &gws.ServerOption{CheckUtf8Enabled: checkUTF8})
	conn, err := u.UpgradeFromConn(t, bufio.NewReaderSize(t, readSize), request(b, false))
	if err != nil {
		b.Fatal(err)
	}
	return conn
}

func gwsClient(b *testing.B, t *tape) *gws.Conn {
	b.Helper()
	conn, response, err := gws.NewClientFromConn(gws.BuiltinEventHandler{}, &gws.ClientOption{Addr: "ws://example.com/ws"}, t)
	if err != nil {
		b.Fatal(err)
	}
	_ = response.Body.Close()
	return conn
}
