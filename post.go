package im

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/liveim/im/internal/danmaku"
	"github.com/liveim/im/internal/fanout"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport"
)

// Bounds of a POST before anything is known of it.
const (
	maxPost      = 64 << 10         // bytes of the body
	postDeadline = 10 * time.Second // for the body to arrive
)

// servePost answers "POST /send": requests that need no connection.
func (h *Hub) servePost(w http.ResponseWriter, r *http.Request) {
	u, err := h.letUser(r)
	if err != nil {
		writeError(w, err)
		return
	}
	body, ok := readPost(w, r)
	if !ok {
		return
	}
	reqs, err := wire.ParseRequests(body)
	if err != nil {
		writeError(w, &Error{Code: CodeBadRequest, Reason: err.Error(), cause: err})
		return
	}
	s, answers := h.transient(r, u)
	for i := range reqs {
		answers.serve(s, &reqs[i])
	}
	h.awaitDecisions(answers)
	status := http.StatusOK
	if len(reqs) == 1 && answers.refused != nil {
		status = answers.refused.Code.HTTPStatus()
		setRetryAfter(w.Header(), answers.refused)
	}
	writeJSON(w, status, answers.array())
}

// awaitDecisions waits for what rooms that are over their budget decide within a
// second. What is not decided then, because the log does not answer, stays open.
func (h *Hub) awaitDecisions(a *answers) {
	if !a.awaits {
		return
	}
	ctx, cancel := context.WithTimeout(h.life, danmaku.MaxAge+2*h.opts.Timeouts.Send)
	defer cancel()
	wait(ctx, &a.undecided)
}

// readPost reads the body of a request in full, or refuses it. boundBody has seen
// to it that the connection ends if it does.
func readPost(w http.ResponseWriter, r *http.Request) (body []byte, ok bool) {
	tooLarge := r.ContentLength > maxPost
	var err error
	if !tooLarge {
		control := http.NewResponseController(w)
		// Not every ResponseWriter has deadlines; the body is bounded all the same.
		_ = control.SetReadDeadline(time.Now().Add(postDeadline))
		if body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxPost)); err == nil {
			_ = control.SetReadDeadline(time.Time{}) // the requests may take longer
			w.Header().Del("Connection")
			return body, true
		}
		var limit *http.MaxBytesError
		tooLarge = errors.As(err, &limit)
	}
	if tooLarge {
		writeError(w, errorf(CodeTooLarge, "the body is larger than %d bytes", maxPost))
	} else {
		writeStatus(w, http.StatusRequestTimeout, errorf(CodeBadRequest, "the body did not arrive in full"))
	}
	return nil, false
}

// transient returns a session for requests that belong to no connection. It is
// in no room; what it asks for it may do if it may enter the room. If the request
// names a session of the same user, it counts as a part of that.
func (h *Hub) transient(r *http.Request, u *User) (*Session, *answers) {
	a := &answers{}
	s := &Session{hub: h, conn: a, request: keep(r), opened: h.clock(), addr: h.clientAddr(r), rare: &rare{transient: true, tls: r.TLS}}
	s.outlet = fanout.NewOutlet(a, &h.delivery)
	s.user.Store(u)
	if parent := h.session(r.URL.Query().Get("sid"), u.ID); parent != nil {
		s.id, s.nameless, s.rare.parent = parent.id, parent.nameless, parent
	}
	return s, a
}

// mayAct reports whether the session may do something in a room: it is in it,
// or, without a connection, it could be.
func (s *Session) mayAct(ctx context.Context, room string) error {
	if parent := s.parent(); s.member(room) != nil || parent != nil && parent.member(room) != nil {
		return nil
	}
	if s.transient() {
		return s.admit(ctx, room)
	}
	return &Error{Code: CodeNotJoined}
}

// answers is a connection that only collects what it is sent.
type answers struct {
	undecided sync.WaitGroup // sends whose answer comes later
	awaits    bool           // there are, or were, such sends; written by whoever serves the request

	mu       sync.Mutex // guards the fields below
	messages [][]byte
	refused  *Error // the last error that was answered
}

func (a *answers) await() {
	a.awaits = true
	a.undecided.Add(1)
}

// messageFormat is the format of a message as it is.
type messageFormat struct{}

// Append is transport.Format.
func (messageFormat) Append(dst, message []byte) []byte { return append(dst, message...) }

func (a *answers) Start(transport.Session)     {}
func (a *answers) Private() transport.Format   { return messageFormat{} }
func (a *answers) Shared() transport.Format    { return messageFormat{} }
func (a *answers) Heartbeat() ([]byte, bool)   { return nil, false }
func (a *answers) Farewell(int, string) []byte { return nil }
func (a *answers) Finish()                     {}
func (a *answers) Abort()                      {}
func (a *answers) Overdue(time.Time) bool      { return false }

// serve has a session work on one request.
func (a *answers) serve(s *Session, req *wire.Request) {
	switch req.Op {
	case wire.OpHello, wire.OpRefresh, wire.OpJoin, wire.OpLeave:
		a.refuse(s, req, errorf(CodeBadRequest, "%s needs a connection", req.Op))
		return
	}
	if err := s.serve(req); err != nil {
		a.refuse(s, req, err)
	}
}

func (a *answers) refuse(s *Session, req *wire.Request, err error) {
	a.refused = asError(err)
	s.refuse(req, err)
}

// TrySend takes whole messages, one a buffer.
func (a *answers) TrySend(bufs [][]byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, b := range bufs {
		a.messages = append(a.messages, b)
		n += len(b)
	}
	return n, nil
}

// array returns the messages as a JSON array.
func (a *answers) array() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := []byte{'['}
	for i, m := range a.messages {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, m...)
	}
	return append(out, ']')
}
