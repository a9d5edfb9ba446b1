package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Options are the optional parts of [Dial]. The zero value and nil are ready to
// use; a client copies them.
type Options struct {
	// Token returns the token that names the user. It is called for every
	// connection and for [Client.Refresh], never twice at once for connections,
	// and may block until its context ends. An error delays the next attempt like
	// a failed connection, unless it is an *im.Error, whose code then
	// decides: return one with im.CodeForbidden to end the client. The token is
	// not kept, and appears in no log and no error.
	//
	// Nil means that the request itself carries the identity, see Header.
	Token func(ctx context.Context) (string, error)

	// Header is sent with the WebSocket handshake, for example Authorization,
	// Cookie or Origin. Optional.
	Header http.Header
	// TLS is the configuration of wss connections. Nil means the defaults.
	TLS *tls.Config
	// Compress asks the server for compressed messages: about a fifth of the bytes in
	// a busy room, for some processor time. What the client sends is not compressed.
	Compress bool
	// NetDial opens the network connections of WebSocket, for example through a
	// proxy. Nil means a net.Dialer.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Dial replaces WebSocket altogether, for tests and for bots that live in
	// the server's process: the URL and the four fields above are then not used.
	// An *im.Error that it returns decides by its code whether to try again.
	Dial func(ctx context.Context) (Conn, error)

	// BackoffMin and BackoffMax bound the delay before a new connection: it is
	// drawn between zero and a ceiling that starts at BackoffMin and doubles up
	// to BackoffMax, but not above 5 s in the first 30 s, in which a server that
	// restarts comes back. What the server asks for comes on top. Default to 500 ms
	// and 30 s.
	BackoffMin, BackoffMax time.Duration
	// DialTimeout bounds one attempt to connect, from the network connection to
	// the server's welcome, the Token function included. Defaults to 15 s.
	DialTimeout time.Duration
	// AnswerTimeout is how long a living connection may take to answer one
	// request. Requests with a cid are then sent again, others fail with
	// im.CodeTimeout. Defaults to 10 s.
	AnswerTimeout time.Duration
	// PingAfter is how long nothing may come from the server before the client
	// asks whether it is still there; without an answer within AnswerTimeout it
	// connects anew. Defaults to one and a half times the heartbeat that the
	// server announces. Negative means never.
	PingAfter time.Duration

	// OnStatus, if set, is told each new [ConnStatus] of the connection, in order, by
	// one goroutine at a time. It must not block, and must not call Close.
	OnStatus func(ConnStatus)
	// Logger gets connects and disconnects at level Info, and trouble at level
	// Warn. Nil means no logs.
	Logger *slog.Logger
}

// withDefaults returns a validated copy.
func (o *Options) withDefaults() (Options, error) {
	var opt Options
	if o != nil {
		opt = *o
	}
	opt.Header = opt.Header.Clone()
	if opt.TLS != nil {
		opt.TLS = opt.TLS.Clone()
	}
	for _, d := range []struct {
		name     string
		value    *time.Duration
		fallback time.Duration
	}{
		{"BackoffMin", &opt.BackoffMin, 500 * time.Millisecond},
		{"BackoffMax", &opt.BackoffMax, max(30*time.Second, opt.BackoffMin)},
		{"DialTimeout", &opt.DialTimeout, 15 * time.Second},
		{"AnswerTimeout", &opt.AnswerTimeout, 10 * time.Second},
	} {
		if *d.value < 0 {
			return opt, fmt.Errorf("client: Options.%s is %v: want a positive duration, or 0 for the default of %v", d.name, *d.value, d.fallback)
		}
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	if opt.BackoffMax < opt.BackoffMin {
		return opt, fmt.Errorf("client: Options.BackoffMax is %v: want at least BackoffMin, which is %v", opt.BackoffMax, opt.BackoffMin)
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	return opt, nil
}
