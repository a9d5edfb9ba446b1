package im

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/liveim/im/internal/httpquery"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport/websocket"
)

// ServeHTTP serves the hub's paths, which docs/protocol.md lists. Mount the hub
// with http.StripPrefix, so that it sees "/ws".
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	boundBody(w, r)
	room, route := routeOf(r.URL)
	if route == nil {
		if f, ok := staticFiles[r.URL.Path]; ok {
			h.serveStatic(w, r, f)
			return
		}
		writeError(w, errorf(CodeNotFound, "there is nothing at this path; try …/doctor, or …/ws"))
		return
	}
	w.Header().Set("Cache-Control", "no-store") // also of the refusals that transports write
	if route.shared && !h.crossOrigin(w, r, route) {
		return
	}
	if !slices.Contains(route.methods, r.Method) {
		w.Header().Set("Allow", strings.Join(route.methods, ", "))
		writeStatus(w, http.StatusMethodNotAllowed, errorf(CodeBadRequest, "use %s here", strings.Join(route.methods, " or ")))
		return
	}
	if r.ContentLength != 0 && r.Method != http.MethodPost {
		writeError(w, errorf(CodeBadRequest, "a %s has no body", r.Method))
		return
	}
	route.serve(h, w, r, room)
}

// strayDeadline is how long a body that nobody reads may take to arrive.
const strayDeadline = 5 * time.Second

// boundBody sees to it that a request with a body cannot hold its connection for
// ever by being answered before the body is read: net/http reads the rest, and would
// wait for it. Whoever reads the body lifts that.
func boundBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 { // -1 is unknown
		return
	}
	// Not every ResponseWriter has deadlines.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(strayDeadline))
	if r.ProtoMajor == 1 { // over HTTP/2 it would end the other streams as well
		w.Header().Set("Connection", "close") // else the rest is read before the answer is written
	}
}

// route is one path of the hub.
type route struct {
	methods []string
	// shared paths answer for a user, and to pages of other origins only if the
	// host has allowed them.
	shared bool
	serve  func(h *Hub, w http.ResponseWriter, r *http.Request, room string)
}

var (
	readMethods = []string{http.MethodGet, http.MethodHead}
	routes      = map[string]*route{
		"ws":      {[]string{http.MethodGet}, true, func(h *Hub, w http.ResponseWriter, r *http.Request, _ string) { h.serveWebSocket(w, r) }},
		"sse":     {readMethods, true, func(h *Hub, w http.ResponseWriter, r *http.Request, _ string) { h.serveStream(w, r) }},
		"poll":    {[]string{http.MethodGet}, true, func(h *Hub, w http.ResponseWriter, r *http.Request, _ string) { h.servePoll(w, r) }},
		"send":    {[]string{http.MethodPost}, true, func(h *Hub, w http.ResponseWriter, r *http.Request, _ string) { h.servePost(w, r) }},
		"history": {readMethods, true, func(h *Hub, w http.ResponseWriter, r *http.Request, room string) { h.serveHistory(w, r, room) }},
	}
)

// routeOf finds the route of a path, and the room that it names.
func routeOf(u *url.URL) (room string, _ *route) {
	parts := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	switch {
	case len(parts) == 1 && parts[0] != "history":
		return "", routes[parts[0]]
	case len(parts) == 3 && parts[0] == "rooms" && parts[2] == "history":
		if room, err := url.PathUnescape(parts[1]); err == nil {
			return room, routes["history"]
		}
	}
	return "", nil
}

func (h *Hub) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close") // of whatever is refused; an upgrade writes its own header
	if err := h.admitConnection(); err != nil {
		writeError(w, err)
		return
	}
	u, rooms, err := h.letSocket(r)
	if err != nil {
		writeError(w, err)
		return
	}
	if err := h.connect(); err != nil {
		writeError(w, err)
		return
	}
	conn, response, err := websocket.Begin(w, r, &h.webSocket)
	if err != nil {
		h.disconnect()
		h.opts.Logger.Debug("a WebSocket handshake was refused", "remote", r.RemoteAddr, "error", err)
		return
	}
	s := h.prepare(conn, r, u, response, rooms)
	s.startIn(rooms)
}

// answerWithin is how long the rooms of a handshake may hold back its answer. A client that hears nothing for
// some seconds takes WebSocket for blocked.
const answerWithin = time.Second

// startIn has the connection begin with the rooms joined that its handshake named: the client is told all at
// once that it is connected, who it is, and what is in its rooms. What takes longer is told later.
func (s *Session) startIn(rooms []httpquery.Room) {
	var late *time.Timer // where nothing can take long there is none
	if _, quick := s.hub.opts.Log.(*MemoryLog); len(rooms) > 0 && !(quick && len(s.hub.plugs.admits) == 0) {
		late = time.AfterFunc(answerWithin, s.start)
	}
	for _, room := range rooms {
		if s.member(room.Name) == nil { // else the client has joined in another way meanwhile
			s.enterByQuery(s.hub.life, room)
		}
	}
	if late == nil || late.Stop() {
		s.start()
	}
}

// letSocket is let for a WebSocket, whose query may name the rooms to join, as that of a stream
// does. The handshake must then say who the client is.
func (h *Hub) letSocket(r *http.Request) (*User, []httpquery.Room, error) {
	if r.URL.RawQuery != "" && r.URL.Query().Has("room") {
		return h.letReader(r, "")
	}
	u, err := h.let(r)
	return u, nil, err
}

// let decides whether a request may open a connection, and for whom. The user
// is nil if the client still has to say who it is.
func (h *Hub) let(r *http.Request) (*User, error) {
	if h.draining() {
		return nil, &Error{Code: CodeShutdown, RetryAfter: h.returnTime()}
	}
	if err := h.limits.takeAddress(h.clientAddr(r), h.steady()); err != nil {
		return nil, err
	}
	u, err := h.authenticate(r)
	if errors.Is(err, ErrNoCredentials) {
		return nil, nil
	}
	if err != nil {
		h.stats.refused.Add(1)
		h.opts.Logger.Debug("the Authenticator refused a request", "remote", r.RemoteAddr, "error", err)
	}
	return u, err
}

// letUser is let for requests that must say who they are from.
func (h *Hub) letUser(r *http.Request) (*User, error) {
	u, err := h.let(r)
	if err == nil && u == nil {
		return nil, &Error{Code: CodeUnauthorized}
	}
	return u, err
}

// writeError answers a request with an error in the form that the protocol has.
func writeError(w http.ResponseWriter, err error) {
	e := asError(err)
	writeStatus(w, e.Code.HTTPStatus(), e)
}

func writeStatus(w http.ResponseWriter, status int, e *Error) {
	setRetryAfter(w.Header(), e)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	writeJSON(w, status, encode(&wire.Message{Op: wire.OpError, Code: string(e.Code), Reason: e.reason(), Retry: e.retryMillis()}))
}

func setRetryAfter(header http.Header, e *Error) {
	if e.RetryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
}

// writeJSON answers with a JSON text that nobody may keep.
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	header := w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone has gone
}
