package im

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport/websocket"
)

// ServeHTTP serves the hub's paths, which docs/protocol.md lists. Mount the hub
// with http.StripPrefix, so that it sees "/ws".
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/ws":
		h.serveWebSocket(w, r)
	default:
		writeError(w, errorf(CodeNotFound, "there is nothing at this path; WebSocket is at …/ws"))
	}
}

func (h *Hub) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close") // of whatever is refused; an upgrade writes its own header
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET")
		writeStatus(w, http.StatusMethodNotAllowed, errorf(CodeBadRequest, "open a WebSocket with GET"))
		return
	}
	u, err := h.let(r)
	if err != nil {
		writeError(w, err)
		return
	}
	if err := h.connect(); err != nil {
		writeError(w, err)
		return
	}
	conn, err := websocket.Upgrade(w, r, &h.webSocket)
	if err != nil {
		h.disconnect()
		h.opts.Logger.Debug("a WebSocket handshake was refused", "remote", r.RemoteAddr, "error", err)
		return
	}
	h.open(conn, slim(r), u)
}

// let decides whether a request may open a connection, and for whom. The user
// is nil if the client still has to say who it is.
func (h *Hub) let(r *http.Request) (*User, error) {
	if h.draining() {
		return nil, &Error{Code: CodeShutdown, RetryAfter: h.returnTime()}
	}
	if err := h.checkOrigin(r); err != nil {
		return nil, err
	}
	u, err := h.authenticate(r)
	if errors.Is(err, ErrNoCredentials) {
		return nil, nil
	}
	return u, err
}

// checkOrigin refuses requests of foreign pages. The same host is allowed, and
// what Options.Origins names; a request without an Origin is not of a page.
func (h *Hub) checkOrigin(r *http.Request) error {
	origins := r.Header.Values("Origin")
	switch {
	case len(origins) == 0:
		return nil
	case len(origins) > 1:
		return errorf(CodeBadRequest, "the request has %d Origin headers", len(origins))
	}
	origin := origins[0]
	if slices.ContainsFunc(h.opts.Origins, func(o string) bool { return strings.EqualFold(o, origin) }) {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || !sameHost(u, r.Host) {
		return &Error{Code: CodeOrigin}
	}
	return nil
}

// sameHost reports whether a page of origin talks to its own host and port. The port
// that the origin's scheme implies may be left out.
func sameHost(origin *url.URL, host string) bool {
	if strings.EqualFold(origin.Host, host) {
		return true
	}
	standard := map[string]string{"http": ":80", "https": ":443"}[origin.Scheme]
	return strings.EqualFold(strings.TrimSuffix(origin.Host, standard), strings.TrimSuffix(host, standard))
}

// slim returns a copy of the request for as long as the session lives: what an
// Authenticator may look at, without what belongs to the transport.
func slim(r *http.Request) *http.Request {
	header := make(http.Header, 4)
	for k, v := range r.Header {
		switch {
		case strings.HasPrefix(k, "Sec-"), strings.HasPrefix(k, "Accept"), k == "Authorization":
		case k == "Connection", k == "Upgrade", k == "Pragma", k == "Cache-Control":
		default:
			header[k] = v
		}
	}
	return &http.Request{
		Method: r.Method, URL: r.URL, Host: r.Host, Header: header, RemoteAddr: r.RemoteAddr,
		Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor, TLS: r.TLS, RequestURI: r.RequestURI,
	}
}

// writeError answers a request with an error in the form that the protocol has.
func writeError(w http.ResponseWriter, err error) {
	e := asError(err)
	writeStatus(w, e.Code.HTTPStatus(), e)
}

func writeStatus(w http.ResponseWriter, status int, e *Error) {
	header := w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if e.RetryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
	if status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(&wire.Message{Op: wire.OpError, Code: string(e.Code), Reason: e.reason(), Retry: e.retryMillis()})
}
