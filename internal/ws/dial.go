package ws

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"
)

const (
	// maxResponseHead and maxErrorBody bound what a server can make [Dial]
	// read, in bytes.
	maxResponseHead = 64 << 10
	maxErrorBody    = 1 << 10
	// errorBodyWait bounds the wait for the body of a refusal, whose end a
	// server that keeps the connection open may never mark.
	errorBodyWait = time.Second
)

// DialOptions are the optional parameters of [Dial]. The zero value asks for
// no subprotocol and no compression.
type DialOptions struct {
	// Header is added to the request. It must not hold the handshake's own
	// headers; a Host value replaces the URL's.
	Header http.Header
	// Protocols are the subprotocols to offer, best first.
	Protocols []string
	// Deflate offers permessage-deflate without context takeover.
	Deflate bool
	// TLS configures wss connections. ServerName defaults to the URL's host,
	// and NextProtos to http/1.1.
	TLS *tls.Config
	// NetDial opens the connection. Defaults to [net.Dialer.DialContext]; no
	// proxy is used.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// ClientConn is an established client side: a connection on which frames may
// be sent, and what the handshake left.
type ClientConn struct {
	net.Conn
	// Leftover is what the server sent right behind its response: feed it to
	// the parser before reading from Conn.
	Leftover []byte
	// Handshake is what was agreed.
	Handshake Handshake
	// Response is the server's 101 response, for its headers.
	Response *http.Response
}

// DialError is a response that did not establish a WebSocket connection: the
// server's refusal, or a 101 that breaks RFC 6455 section 4.1.
type DialError struct {
	// Response is the server's response. What came of its body within a second
	// was kept, up to 1 KiB; reading and closing Body is not necessary, and
	// always works.
	Response *http.Response
	// Reason says what is wrong with the response.
	Reason string
}

// Error returns the status and the reason on one line.
func (e *DialError) Error() string {
	return fmt.Sprintf("ws: handshake failed with status %d: %s", e.Response.StatusCode, e.Reason)
}

// Dial connects to rawURL and performs the client's opening handshake
// (RFC 6455 section 4.1). The scheme is ws, wss, http or https. o may be nil.
// ctx bounds everything up to the return, and nothing after it.
//
// Unless the error is nil, the connection is closed. The error is a
// *[DialError] if the server answered and the answer is not acceptable.
func Dial(ctx context.Context, rawURL string, o *DialOptions) (*ClientConn, error) {
	if o == nil {
		o = new(DialOptions)
	}
	req, err := o.request(ctx, rawURL)
	if err != nil {
		return nil, err
	}
	conn, err := o.connect(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("ws: connect to %s: %w", req.URL.Host, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	client, err := o.handshake(conn, req)
	if !stop() {
		err = fmt.Errorf("ws: handshake with %s: %w", req.URL.Host, context.Cause(ctx))
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return client, nil
}

func (o *DialOptions) connect(ctx context.Context, req *http.Request) (net.Conn, error) {
	secure := req.URL.Scheme == "https"
	port := req.URL.Port()
	switch {
	case port == "" && secure:
		port = "443"
	case port == "":
		port = "80"
	}
	dial := o.NetDial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", net.JoinHostPort(req.URL.Hostname(), port))
	if err != nil || !secure {
		return conn, err
	}
	config := o.TLS.Clone()
	if config == nil {
		config = new(tls.Config)
	}
	if config.ServerName == "" {
		config.ServerName = req.URL.Hostname()
	}
	if config.NextProtos == nil {
		config.NextProtos = []string{"http/1.1"}
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

func (o *DialOptions) handshake(conn net.Conn, req *http.Request) (*ClientConn, error) {
	if err := req.Write(conn); err != nil {
		return nil, fmt.Errorf("ws: send handshake: %w", err)
	}
	br := bufio.NewReader(io.LimitReader(conn, maxResponseHead))
	resp, err := http.ReadResponse(br, req)
	if err != nil {
		return nil, fmt.Errorf("ws: read handshake response: %w", err)
	}
	hs, reason := o.checkResponse(resp, req.Header.Get(headerKey))
	if reason != "" {
		_ = conn.SetReadDeadline(time.Now().Add(errorBodyWait))
		keepBody(resp)
		return nil, &DialError{resp, reason}
	}
	leftover, _ := br.Peek(br.Buffered())
	resp.Body = http.NoBody
	return &ClientConn{conn, slices.Clone(leftover), hs, resp}, nil
}
