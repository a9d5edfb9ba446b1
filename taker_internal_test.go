package im

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im/transport"
)

// taker is a connection that takes everything and holds nothing.
type taker struct{ session transport.Session }

// asIs is the format of messages as they are.
type asIs struct{}

// Append is transport.Format.
func (asIs) Append(dst, message []byte) []byte { return append(dst, message...) }

func (c *taker) Start(s transport.Session)       { c.session = s }
func (c *taker) Private() transport.Format       { return asIs{} }
func (c *taker) Shared() transport.Format        { return asIs{} }
func (c *taker) Heartbeat() ([]byte, bool)       { return nil, false }
func (c *taker) Farewell(int, string) []byte     { return nil }
func (c *taker) Finish()                         { c.session.Closed(nil) }
func (c *taker) Abort()                          { c.session.Closed(nil) }
func (c *taker) Overdue(time.Time) bool          { return false }
func (c *taker) TrySend(b [][]byte) (int, error) { return sizeOf(b), nil }

func sizeOf(b [][]byte) (n int) {
	for _, s := range b {
		n += len(s)
	}
	return n
}

// handshake is what a browser sends to open a WebSocket connection, behind a proxy.
const handshake = "GET /ws HTTP/1.1\r\nHost: live.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n" +
	"Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: https://live.example.com\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: im.v1\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\nCache-Control: no-cache\r\nPragma: no-cache\r\n" +
	"Authorization: Bearer viewer\r\n\r\n"

func parseHandshake(tb testing.TB) *http.Request {
	tb.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(handshake)))
	if err != nil {
		tb.Fatal(err)
	}
	r.RemoteAddr = "203.0.113.7:50000"
	return r
}

// newUnlimited returns a hub that nobody is too fast for.
func newUnlimited(tb testing.TB) *Hub {
	tb.Helper()
	hub, err := New(func(*http.Request) (User, error) { return User{ID: "ann"}, nil }, &Options{
		Limits: Limits{Connection: Unlimited, Address: Unlimited, Accept: Unlimited, Requests: Unlimited},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = hub.Close() })
	return hub
}
