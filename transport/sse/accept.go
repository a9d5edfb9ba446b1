package sse

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// ErrHead is the error of [Accept] for a HEAD request, which it has answered.
var ErrHead = errors.New("sse: answered a HEAD request; there is no stream to go on with")

// headTimeout bounds the write of the response head.
const headTimeout = 10 * time.Second

const adviceStream = "server-sent events need a response writer that is flushed and has deadlines, " +
	"but this server's http.ResponseWriter gives neither these nor the connection: " +
	"add the method Unwrap() http.ResponseWriter to the middleware that wraps it, " +
	"or mount the handler of streams outside of that middleware"

// notOurs are the fields of the response head that only make sense if the HTTP
// server writes the body.
var notOurs = map[string]bool{
	"Connection": true, "Content-Encoding": true, "Content-Length": true, "Keep-Alive": true,
	"Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// Accept answers a request for a stream of events with the response head, and
// takes the connection over from the HTTP server where that is possible. What
// middleware has set on w.Header() is sent as well. rooms are those that
// [Conn.Mark] tells the positions of. o may be nil. The timeouts of the server do not
// apply to the stream.
//
// On success the caller starts the Conn or aborts it, calls [Conn.Wait] before
// its handler returns, and writes nothing to w any more. Otherwise the HTTP answer
// has been written, and the error is for the log; it quotes nothing of the request.
// A HEAD request gets the head, and the error [ErrHead].
//
// Accept finds the connection through Unwrap methods of response writers, as
// [http.ResponseController] does. It does not check the Origin header.
func Accept(w http.ResponseWriter, r *http.Request, rooms []string, o *Options) (*Conn, error) {
	if o == nil {
		o = new(Options)
	}
	switch r.Method {
	case http.MethodGet:
	case http.MethodHead:
		setHeader(w.Header())
		w.WriteHeader(http.StatusOK)
		return nil, ErrHead
	default:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "open a stream of events with GET", http.StatusMethodNotAllowed)
		return nil, errors.New("sse: the request was not a GET")
	}
	if r.ProtoMajor == 1 {
		conn, rw, err := http.NewResponseController(w).Hijack()
		switch {
		case err == nil:
			return takeOver(conn, rw.Reader.Buffered(), w.Header(), rooms, o)
		case !errors.Is(err, http.ErrNotSupported):
			return nil, refuse(w, r, err)
		}
	}
	return respond(w, r, rooms, o)
}

func setHeader(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // nginx passes on what comes when it comes
}

// refuse answers a request that no stream can come of.
func refuse(w http.ResponseWriter, r *http.Request, err error) error {
	h := w.Header()
	h.Del("X-Accel-Buffering")
	if r.ProtoMajor == 1 { // over HTTP/2 it would end the other streams as well
		h.Set("Connection", "close")
	}
	http.Error(w, adviceStream, http.StatusInternalServerError)
	return fmt.Errorf("sse: %s (it is a %T: %w)", adviceStream, w, err)
}

// takeOver makes a Conn of a connection that is ours from now on.
func takeOver(conn net.Conn, buffered int, header http.Header, rooms []string, o *Options) (*Conn, error) {
	if err := writeHead(conn, header, o); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("sse: write the response head: %w", err)
	}
	watchPeer(conn, o.peerTimeout())
	c := newConn(rooms, o)
	c.early = buffered > 0
	_, c.halves = conn.(interface{ CloseWrite() error })
	c.sock.Init(conn, (*events)(c), o.Portable)
	return c, nil
}

// writeHead clears the server's deadlines and writes the response head.
func writeHead(conn net.Conn, header http.Header, o *Options) error {
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if err := conn.SetWriteDeadline(time.Now().Add(headTimeout)); err != nil {
		return err
	}
	setHeader(header)
	if _, set := header["Date"]; !set {
		header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	head := bytes.NewBufferString("HTTP/1.1 200 OK\r\n")
	_ = header.WriteSubset(head, notOurs) // into memory; line breaks in values are replaced
	head.WriteString("Connection: close\r\n\r\n")
	head.Write(preamble(o))
	if _, err := conn.Write(head.Bytes()); err != nil {
		return err
	}
	return conn.SetWriteDeadline(time.Time{})
}

// preamble is how each stream begins.
func preamble(o *Options) []byte {
	b := strconv.AppendInt([]byte("retry: "), max(1, o.retry().Milliseconds()), 10)
	return append(b, "\n\n"...)
}

// respond makes a Conn of a response whose connection the server keeps.
func respond(w http.ResponseWriter, r *http.Request, rooms []string, o *Options) (*Conn, error) {
	control := http.NewResponseController(w)
	// It would count as the end of the peer. That it cannot be cleared shows below.
	_ = control.SetReadDeadline(time.Time{})
	if err := control.SetWriteDeadline(time.Now().Add(headTimeout)); err != nil {
		return nil, refuse(w, r, err)
	}
	setHeader(w.Header())
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // a deadline may be left on it
	}
	if err := control.Flush(); errors.Is(err, http.ErrNotSupported) {
		return nil, refuse(w, r, err)
	} else if err != nil {
		return nil, fmt.Errorf("sse: write the response head: %w", err)
	}
	if err := control.SetWriteDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("sse: write the response head: %w", err)
	}
	c := newConn(rooms, o)
	c.response = newResponse(w, r, o.writeTimeout())
	if _, err := c.response.Write(preamble(o)); err != nil {
		return nil, fmt.Errorf("sse: write the first line: %w", err)
	}
	c.halves = true // in its own way
	c.sock.Init(c.response, (*events)(c), true)
	return c, nil
}
