package websocket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

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
	h, err := hijack(w, r, o)
	if err != nil {
		return nil, err
	}
	if err := h.respond(); err != nil {
		_ = h.conn.Close()
		return nil, fmt.Errorf("websocket: complete the handshake: %w", err)
	}
	return h.take(), nil
}

// Begin is [Upgrade] without the 101 response, which it returns: so the caller can prepare for the
// client before that knows it is in, and can send its first messages together with the response. On
// success the caller starts the Conn, or aborts it, and sends the response before anything else.
func Begin(w http.ResponseWriter, r *http.Request, o *Options) (c *Conn, response []byte, err error) {
	h, err := hijack(w, r, o)
	if err != nil {
		return nil, nil, err
	}
	return h.take(), h.response(), nil
}

// hijacked is a connection whose handshake was checked, and not answered.
type hijacked struct {
	*ws.Handshake
	conn    net.Conn
	early   []byte // came behind the request
	options *Options
}

func hijack(w http.ResponseWriter, r *http.Request, o *Options) (*hijacked, error) {
	if o == nil {
		o = new(Options)
	}
	if r.ProtoMajor > 1 {
		// No "Connection: close" here: it would end the other streams as well.
		http.Error(w, adviceHTTP2, http.StatusNotImplemented)
		return nil, errors.New("websocket: " + adviceHTTP2)
	}
	hs, refused := ws.CheckRequest(r, o.Protocols, o.Deflate)
	if refused != nil {
		refused.Respond(w)
		return nil, refused
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		w.Header().Set("Connection", "close")
		http.Error(w, adviceHijack, http.StatusInternalServerError)
		return nil, fmt.Errorf("websocket: %s (it is a %T: %w)", adviceHijack, w, err)
	}
	early, err := buffered(rw.Reader)
	if err == nil {
		err = conn.SetDeadline(time.Time{}) // those of the HTTP server
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("websocket: complete the handshake: %w", err)
	}
	return &hijacked{hs, conn, early, o}, nil
}

func (h *hijacked) response() []byte {
	const size = 512 // of most, with room for first messages behind it
	return h.AppendResponse(make([]byte, 0, size))
}

// respond writes the 101 response.
func (h *hijacked) respond() error {
	if err := h.conn.SetWriteDeadline(time.Now().Add(responseTimeout)); err != nil {
		return err
	}
	if _, err := h.conn.Write(h.response()); err != nil {
		return err
	}
	return h.conn.SetWriteDeadline(time.Time{})
}

// take makes a Conn of the connection.
func (h *hijacked) take() *Conn {
	o := h.options
	c := &Conn{options: o, shared: Text{}, protocol: int8(slices.Index(o.Protocols, h.Protocol))}
	if h.Deflate {
		c.shared = Deflated{o.deflateThreshold()}
	}
	if len(h.early) > 0 {
		c.edge = &edge{early: h.early}
	}
	c.sock.Init(h.conn, (*events)(c), o.Portable)
	c.parser.Init(ws.ServerRole, o.codecLimits(), h.Deflate)
	return c
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
