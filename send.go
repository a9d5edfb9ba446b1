package im

import (
	"bytes"
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
// interceptors see it in turn. They may change Body, and nothing else.
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

	// What the hub goes by, whatever becomes of the fields above.
	id     string // of the event, formed once so that a held draft keeps it
	digest string // of what the client sent, before anybody changed it
	room   string
	kind   Kind
	from   Author
	final  SendFunc // accepts it
}

// draft makes a draft of a request.
func (s *Session) draft(req *wire.Request, u User, kind Kind) *Draft {
	d := &Draft{
		Room: req.Room, Kind: kind, Body: req.Body, From: u, CID: req.CID, Session: s,
		id: uuid.NewString(), digest: s.hub.digest(kind, u.ID, req.Body), room: req.Room, kind: kind, from: u.author(),
	}
	if req.CID != "" {
		d.id = eventID(u.ID, req.CID)
	}
	return d
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
	if err := s.mayAct(ctx, req.Room); err != nil {
		return err
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
	n := uint64(1)
	final := h.accept
	if spec.Class == Merged {
		n = h.limits.clamp(spec.Kind, likes(req.Body))
		final = h.acceptMerged
	}
	if wait, ok := h.limits.take(u.ID, spec.Kind, int(n), time.Now()); !ok {
		return &Error{Code: CodeRateLimited, RetryAfter: wait}
	}
	if err := h.slow(req.Room, spec.Class); err != nil {
		return err
	}
	receipt, err := h.submit(ctx, s.draft(req, u, spec.Kind), final)
	if err != nil {
		return err
	}
	s.outlet.Send(wire.AppendAck(nil, req.ID, string(receipt.Status), receipt.Event, nil))
	return nil
}

// likes reads how much a send adds to a total: {"n":3}, or any other body for one.
func likes(body json.RawMessage) uint64 {
	const most = 100 // in one send
	var b mergedBody
	if json.Unmarshal(body, &b) != nil || b.N == 0 {
		return 1
	}
	return min(b.N, most)
}

// submit runs a draft through the interceptors to final, which accepts it, and
// answers within Timeouts.Send. Where nothing can block it costs no goroutine.
func (h *Hub) submit(ctx context.Context, d *Draft, final SendFunc) (Receipt, error) {
	d.final = final
	if len(h.opts.Intercept) == 0 {
		ctx, cancel := context.WithTimeout(ctx, h.opts.Timeouts.Send)
		defer cancel()
		return final(ctx, d)
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

// innermost is the SendFunc that the last interceptor calls.
func (h *Hub) innermost(ctx context.Context, d *Draft) (Receipt, error) {
	var b bytes.Buffer // in one line, as ParseRequests made it
	if len(d.Body) > h.opts.Bounds.Body || json.Compact(&b, d.Body) != nil {
		return Receipt{}, &Error{Code: CodeInternal, cause: errors.New("an interceptor made the body too large or no JSON")}
	}
	d.Body = b.Bytes()
	return d.final(ctx, d)
}

// accept stores the event.
func (h *Hub) accept(ctx context.Context, d *Draft) (Receipt, error) {
	c, err := h.core(ctx, d.room)
	if err != nil {
		return Receipt{}, err
	}
	defer c.release()
	e, fresh, err := c.append(ctx, &Event{ID: d.id, Kind: d.kind, From: d.from, Body: d.Body, Digest: d.digest})
	if err != nil {
		return unknownOr(err)
	}
	if fresh {
		h.observe(Signal{Type: SignalAccepted, Room: d.room, Session: d.Session, Kind: d.kind, Event: e})
	}
	return Receipt{Status: StatusOK, Event: e.ID}, nil
}

// acceptMerged adds to a total.
func (h *Hub) acceptMerged(ctx context.Context, d *Draft) (Receipt, error) {
	c, err := h.core(ctx, d.room)
	if err != nil {
		return Receipt{}, err
	}
	defer c.release()
	if err := c.merge(d.kind, h.limits.clamp(d.kind, likes(d.Body))); err != nil {
		return Receipt{}, err
	}
	return Receipt{Status: StatusMerged}, nil
}

// unknownOr makes the status of an error that leaves the fate open.
func unknownOr(err error) (Receipt, error) {
	if asError(err).Code == CodeTimeout {
		return Receipt{Status: StatusUnknown}, nil
	}
	return Receipt{}, err
}
