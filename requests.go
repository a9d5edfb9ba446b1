package im

import (
	"errors"
	"runtime/debug"

	"github.com/liveim/im/internal/wire"
)

// errEnded tells the transport that nothing more is to be read.
var errEnded = errors.New("im: the session has ended")

// receive takes one message of the client: one request or several. While
// answers wait to be read it does not go on, so that a client cannot have the
// server work for it without limit.
func (s *Session) receive(msg []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.hub.opts.Logger.Error("a request panicked", "user", s.User().ID, "panic", p, "stack", string(debug.Stack()))
			s.end(&Error{Code: CodeInternal})
			err = errEnded
		}
	}()
	s.hear()
	reqs, err := wire.ParseRequests(msg)
	if err != nil {
		err = &Error{Code: CodeBadRequest, Reason: err.Error(), cause: err}
		if fast := s.takeRequest(); fast != nil { // what nobody can read counts as well
			err = fast
		}
		unread := &wire.Request{}
		if len(reqs) == 1 {
			unread = &reqs[0]
		}
		s.refuse(unread, err)
		return nil
	}
	defer s.outlet.Uncork()
	for i := range reqs {
		if len(reqs) > 1 && s.quick(&reqs[i]) {
			s.outlet.Cork()
		} else {
			s.outlet.Uncork()
		}
		if ready := s.outlet.Ready(); ready != nil {
			s.outlet.Uncork()
			<-ready // also when the session is cut off
		}
		if s.ending.Load() {
			return errEnded
		}
		if err := s.serve(&reqs[i]); err != nil {
			s.refuse(&reqs[i], err)
		}
	}
	return nil
}

// quick reports whether a request of many is answered without waiting for anybody,
// so that the answers to those around it may leave together.
func (s *Session) quick(req *wire.Request) bool {
	class := s.hub.kinds[Kind(req.Kind)].Class
	return req.Op == wire.OpSend && (class == Volatile || class == Merged) && !s.hub.plugs.intercepts()
}

// serve counts a request in and handles it.
func (s *Session) serve(req *wire.Request) error {
	if err := s.takeRequest(); err != nil {
		return s.truthful(req, err)
	}
	if err := s.hub.begin(); err != nil {
		return err
	}
	defer s.hub.inflight.Done()
	if err := s.handle(req); err != nil {
		return s.truthful(req, err)
	}
	return nil
}

// handle answers one request, or returns the error to answer with.
func (s *Session) handle(req *wire.Request) error {
	h := s.hub
	u := s.user.Load()
	if req.Op != wire.OpSend && u != nil {
		if err := h.limits.takeRequest(u, h.steady()); err != nil {
			return err
		}
	}
	if req.Op == wire.OpHello || req.Op == wire.OpRefresh {
		return s.identify(req)
	}
	if u == nil {
		return &Error{Code: CodeUnauthorized, Reason: `say who you are first: {"op":"hello","token":"…"}`}
	}
	ctx := h.life
	switch req.Op {
	case wire.OpJoin:
		return s.join(ctx, req)
	case wire.OpLeave:
		m := s.member(req.Room)
		if m == nil {
			return &Error{Code: CodeNotJoined, Reason: "you are not in this room"}
		}
		s.leave(m, req.ID, nil)
		return nil
	case wire.OpTier:
		return s.retier(req)
	case wire.OpSend:
		return s.send(ctx, req)
	case wire.OpHistory:
		return s.history(ctx, req)
	case wire.OpStateSet, wire.OpStateAdd:
		return s.setState(ctx, req)
	case wire.OpModesSet:
		return s.setModes(ctx, req)
	case wire.OpHeldPass, wire.OpHeldDrop:
		return s.decideHeld(ctx, req)
	case wire.OpExplain:
		return s.explain(ctx, req)
	case wire.OpPing:
		s.reply(&wire.Message{Op: wire.OpPong, ID: req.ID, At: h.opts.Now().UnixMilli()})
		return nil
	}
	return s.call(ctx, req)
}

// identify answers "hello" and "refresh": it asks the Authenticator about the
// token that the client sent.
func (s *Session) identify(req *wire.Request) error {
	old := s.user.Load()
	if req.Token == "" {
		if old == nil || req.Op == wire.OpRefresh {
			return errorf(CodeUnauthorized, `%s needs a "token"`, req.Op)
		}
		s.outlet.Send(s.welcome(req.ID))
		return nil
	}
	r := s.request.request().WithContext(s.hub.life)
	if s.rare != nil {
		r.TLS = s.rare.tls
	}
	r.Header.Set("Authorization", "Bearer "+req.Token)
	u, err := s.hub.authenticate(r)
	if errors.Is(err, ErrNoCredentials) {
		err = errorf(CodeUnauthorized, "the server does not take tokens in %q", req.Op)
	}
	if err == nil && old != nil && old.ID != u.ID {
		err = errorf(CodeForbidden, "the token is of another user; connect anew to change users")
	}
	if err != nil {
		if old == nil { // a second try would let tokens be guessed
			s.refuse(req, err)
			s.end(asError(err))
			return nil
		}
		return err
	}
	if old != nil {
		s.user.Store(u)
		s.renote()
		s.hub.observe(Signal{Type: SignalRefreshed, Session: s})
	} else {
		s.hub.enroll(s, u)
	}
	s.outlet.Send(s.welcome(req.ID))
	return nil
}

// welcome is what tells a client who it is.
func (s *Session) welcome(id uint64) []byte { return s.appendWelcome(make([]byte, 0, 256), id) }

func (s *Session) appendWelcome(dst []byte, id uint64) []byte {
	u := s.User()
	var expires int64
	if !u.Expires.IsZero() {
		expires = max(1, u.Expires.Sub(s.hub.opts.Now()).Milliseconds())
	}
	// Nothing in it can be wrong.
	dst, _ = wire.AppendMessage(dst, &wire.Message{
		Op: wire.OpWelcome, ID: id, SID: s.ID(), Protocol: wire.Version,
		User:      &wire.User{ID: u.ID, Name: u.Name, Roles: u.Roles},
		Heartbeat: s.hub.opts.Timeouts.Heartbeat.Milliseconds(), Expires: expires,
	})
	return dst
}
