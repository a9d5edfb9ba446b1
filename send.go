package im

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/liveim/im/internal/wire"
)

// Status is the fate of a send.
type Status string

const (
	StatusOK      Status = wire.StatusOK      // stored, or the retry of something that was
	StatusMerged  Status = wire.StatusMerged  // shown as part of an equal event
	StatusShed    Status = wire.StatusShed    // not shown: too many at once
	StatusHeld    Status = wire.StatusHeld    // waits for a decision
	StatusUnknown Status = wire.StatusUnknown // not decided in time; sending again under the same cid is safe
)

// Receipt is the answer to a send.
type Receipt struct {
	Status Status
	// Event is the event's id once its fate is StatusOK.
	Event string
}

// Draft is an event that a client wants to send, before it is accepted. The
// interceptors see it in turn; they may change Body.
type Draft struct {
	Room string
	Kind Kind
	Body json.RawMessage
	From User
	// CID is what the client calls the send. It is the same for a retry, and empty if the
	// client does not want to retry.
	CID string
	// Session is where it comes from.
	Session *Session

	id string // of the event, formed once so that a held draft keeps it
}

// SendFunc takes a draft and decides its fate. An error refuses it; an *[Error]
// tells the client why.
//
// A [Middleware] makes one from the next: it accepts by calling next, changes
// the draft before that, or refuses by returning an error. To hold a draft it
// returns a Receipt with StatusHeld without calling next; later it calls
// next with a context of its own, if the draft was accepted, and in any case
// [Draft.Settle].
//
// The context ends when Timeouts.Send has passed: the client was told "unknown" then.
type SendFunc func(ctx context.Context, d *Draft) (Receipt, error)

// Settle tells the sender of a held draft what became of it: the result of
// next, or the error that refuses it. All sessions of the sender are told.
func (d *Draft) Settle(r Receipt, err error) {
	m := &wire.Message{Op: wire.OpFate, Room: d.Room, CID: d.CID, Status: string(r.Status), Event: r.Event}
	if e := asError(err); e != nil {
		m.Status, m.Code, m.Reason = wire.StatusRefused, string(e.Code), e.reason()
	}
	message := encode(m)
	for _, s := range d.Session.hub.sessionsOf(d.From.ID) {
		s.outlet.Offer(message)
	}
}

// send answers "send". The checks are in order of their cost, cheapest first.
func (s *Session) send(ctx context.Context, req *wire.Request) error {
	h, u := s.hub, s.User()
	if s.member(req.Room) == nil {
		return &Error{Code: CodeNotJoined}
	}
	spec, ok := h.kinds[Kind(req.Kind)]
	switch {
	case !ok:
		return errorf(CodeNotFound, "there is no kind %.40q", req.Kind)
	case spec.Kind == State:
		return errorf(CodeBadRequest, `use "state.set" to change the state`)
	case !spec.From.Allow(&u):
		return errorf(CodeForbidden, "you may not send %s events", spec.Kind)
	case len(req.Body) == 0:
		return errorf(CodeBadRequest, `send needs a "body"`)
	case len(req.Body) > h.opts.Bounds.Body:
		return errorf(CodeTooLarge, "the body has %d bytes; the limit is %d", len(req.Body), h.opts.Bounds.Body)
	}
	if err := checkCID(req.CID); err != nil {
		return err
	}
	d := &Draft{Room: req.Room, Kind: spec.Kind, Body: req.Body, From: u, CID: req.CID, Session: s, id: uuid.NewString()}
	if req.CID != "" {
		d.id = eventID(u.ID, req.CID)
	}
	if spec.Class == Merged {
		return s.sendMerged(req, d)
	}
	if wait, ok := h.limits.take(u.ID, spec.Kind, 1, time.Now()); !ok {
		return &Error{Code: CodeRateLimited, RetryAfter: wait}
	}
	receipt, err := h.submit(ctx, d)
	if err != nil {
		return err
	}
	s.outlet.Send(wire.AppendAck(nil, req.ID, string(receipt.Status), receipt.Event, nil))
	return nil
}

// sendMerged adds to a total: {"n":3}, or any other body for one.
func (s *Session) sendMerged(req *wire.Request, d *Draft) error {
	var b mergedBody
	if json.Unmarshal(d.Body, &b) != nil || b.N == 0 {
		b.N = 1
	}
	const most = 100 // in one send
	n := min(b.N, most)
	if wait, ok := s.hub.limits.take(d.From.ID, d.Kind, int(n), time.Now()); !ok {
		return &Error{Code: CodeRateLimited, RetryAfter: wait}
	}
	c, err := s.hub.core(s.hub.life, d.Room)
	if err != nil {
		return err
	}
	defer c.release()
	if err := c.merge(d.Kind, n); err != nil {
		return err
	}
	s.outlet.Send(wire.AppendAck(nil, req.ID, string(StatusMerged), "", nil))
	return nil
}

// submit runs a draft through the interceptors to the log, and answers within
// Timeouts.Send. Where nothing can block it costs no goroutine.
func (h *Hub) submit(ctx context.Context, d *Draft) (Receipt, error) {
	if len(h.opts.Intercept) == 0 {
		ctx, cancel := context.WithTimeout(ctx, h.opts.Timeouts.Send)
		defer cancel()
		return h.accept(ctx, d)
	}
	var receipt Receipt
	err := h.guard.run(ctx, h.opts.Timeouts.Send, "Options.Intercept", func(ctx context.Context) error {
		r, err := h.intercepted(ctx, d)
		receipt = r
		return err
	})
	if e := asError(err); e != nil && e.Code == CodeTimeout {
		return Receipt{Status: StatusUnknown}, nil // receipt may still be written to
	}
	if err == nil && receipt.Status == "" {
		return Receipt{}, &Error{Code: CodeInternal, cause: errors.New("an interceptor returned neither a status nor an error")}
	}
	return receipt, err
}

// accept is the innermost SendFunc: it stores the event.
func (h *Hub) accept(ctx context.Context, d *Draft) (Receipt, error) {
	if len(d.Body) > h.opts.Bounds.Body || !json.Valid(d.Body) {
		return Receipt{}, &Error{Code: CodeInternal, cause: errors.New("an interceptor made the body too large or no JSON")}
	}
	c, err := h.core(ctx, d.Room)
	if err != nil {
		return Receipt{}, err
	}
	defer c.release()
	e, err := c.append(ctx, &Event{ID: d.id, Kind: d.Kind, From: d.From.author(), Body: d.Body})
	if err != nil {
		if e := asError(err); e.Code == CodeTimeout {
			h.opts.Logger.Warn("the fate of a send is unknown", "room", d.Room, "kind", d.Kind, "error", err)
			return Receipt{Status: StatusUnknown}, nil
		}
		return Receipt{}, err
	}
	h.observe(Signal{Type: SignalAccepted, Room: d.Room, Session: d.Session, Kind: d.Kind, Event: e})
	return Receipt{Status: StatusOK, Event: e.ID}, nil
}
