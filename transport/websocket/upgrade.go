package websocket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/liveim/im/internal/sock"
	"github.com/liveim/im/internal/ws"
)

// responseTimeout bounds the write of the 101 response.
const responseTimeout = 10 * time.Second

const (
	adviceHTTP2 = "WebSocket is served over HTTP/1.1 only: connect with ALPN http/1.1, " +
		"or let the proxy in front speak HTTP/1.1 to this server"
	adviceHijack = "WebSocket needs the connection, but this server's http.ResponseWriter does not give it away: " +
		"add the method Unwrap() http.ResponseWriter to the middleware that wraps it, " +
		"or mount the WebSocket handler outside of that middleware"
)

// Upgrade answers a WebSocket handshake and takes the connection over from the
// HTTP server, whose timeouts no longer apply to it. o may be nil.
//
// On success the caller starts the Conn or aborts it, and writes nothing to w
// any more. Otherwise the HTTP answer has been written, with an order to close
// the connection, and the error is for the log; it quotes nothing of the request.
//
// Upgrade finds the connection through Unwrap methods of response writers, as
// [http.ResponseController] does. It does not check the Origin header: callers
// that authenticate by cookie must do that before.
func Upgrade(w http.ResponseWriter, r *http.Request, o *Options) (*Conn, error) {
	c, conn, response, err := begin(w, r, o)
	if err != nil {
		return nil, err
	}
	if err := respond(conn, response); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("websocket: complete the handshake: %w", err)
	}
	return c, nil
}

// respond writes the 101 response.
func respond(conn net.Conn, response []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(responseTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write(response); err != nil {
		return err
	}
	return conn.SetWriteDeadline(time.Time{})
}

// Begin is [Upgrade] without the 101 response, which it returns: so the caller can prepare for the
// client before that knows it is in, and can send its first messages together with the response. On
// success the caller starts the Conn, or aborts it, and sends the response before anything else.
func Begin(w http.ResponseWriter, r *http.Request, o *Options) (c *Conn, response []byte, err error) {
	c, _, response, err = begin(w, r, o)
	return c, response, err
}

func begin(w http.ResponseWriter, r *http.Request, o *Options) (c *Conn, conn net.Conn, response []byte, err error) {
	if o == nil {
		o = new(Options)
	}
	if r.ProtoMajor > 1 {
		// No "Connection: close" here: it would end the other streams as well.
		http.Error(w, adviceHTTP2, http.StatusNotImplemented)
		return nil, nil, nil, errors.New("websocket: " + adviceHTTP2)
	}
	hs, refused := ws.CheckRequest(r, o.Protocols, o.Deflate)
	if refused != nil {
		refused.Respond(w)
		return nil, nil, nil, refused
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		w.Header().Set("Connection", "close")
		http.Error(w, adviceHijack, http.StatusInternalServerError)
		return nil, nil, nil, fmt.Errorf("websocket: %s (it is a %T: %w)", adviceHijack, w, err)
	}
	early, err := buffered(rw.Reader)
	if err == nil {
		err = conn.SetDeadline(time.Time{}) // those of the HTTP server
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, nil, fmt.Errorf("websocket: complete the handshake: %w", err)
	}
	const size = 512 // of a response, with room for first messages behind it
	return newConn(conn, hs, early, o), conn, hs.AppendResponse(make([]byte, 0, size)), nil
}

// bufferedReader is the part of a bufio.Reader that buffered needs.
type bufferedReader interface {
	io.Reader
	Buffered() int
}

// buffered returns what the HTTP server has read beyond the request, which is
// the beginning of the stream of frames, and leaves the reader to be collected.
func buffered(r bufferedReader) ([]byte, error) {
	n := r.Buffered()
	if n == 0 {
		return nil, nil
	}
	early := make([]byte, n)
	_, err := io.ReadFull(r, early)
	return early, err
}

func newConn(conn net.Conn, hs *ws.Handshake, early []byte, o *Options) *Conn {
	c := &Conn{options: o, protocol: hs.Protocol, shared: Text{}, early: early, opened: time.Now()}
	if hs.Deflate {
		c.shared = Deflated{o.deflateThreshold()}
	}
	c.sock = sock.New(conn, c.room)
	c.parser.Init(ws.ServerRole, o.codecLimits(), hs.Deflate)
	return c
}
