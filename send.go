package im

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/google/uuid"

	"github.com/liveim/im/internal/wire"
)

// Status is the fate of a send.
type Status string

const (
	StatusOK      Status = wire.StatusOK      // stored, or the retry of something that was
	StatusMerged  Status = wire.StatusMerged  // shown as part of an equal event
	StatusShed    Status = wire.StatusShed    // not shown: too many at once
	StatusHeld    Status = wire.StatusHeld    // waits for a decision of the host
	StatusWaiting Status = "waiting"          // the room is over its budget; only interceptors see this, the client gets its answer within a second
	StatusUnknown Status = wire.StatusUnknown // not decided in time; sending again under the same cid is safe
)

// Receipt is the answer to a send.
type Receipt struct {
	Status Status
	// Event is the event's id if the status is StatusOK, and that of the event which
	// counts the message if it is StatusMerged and the kind is volatile.
	Event string
	// Reason says why, if the status is StatusShed.
	Reason string
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
	req    uint64   // the request that it came with

	mu       sync.Mutex // guards the fields below
	answered bool       // the request has its answer, or is to get it from the decision
	held     bool       // by that answer; a fate follows
	fate     *fate      // decided before the request was answered
	decision chan fate  // who waits for it here, if not nil, and tells the sender
}

// fate is what was decided about a draft.
type fate struct {
	receipt Receipt
	err     error
}

// draft makes a draft of a request.
func (s *Session) draft(req *wire.Request, u User, kind Kind) *Draft {
	d := &Draft{
		Room: req.Room, Kind: kind, Body: req.Body, From: u, CID: req.CID, Session: s,
		req: req.ID, id: uuid.NewString(), digest: s.hub.digest(kind, u.ID, req.Body), room: req.Room, kind: kind, from: u.author(),
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
// next, or the error that refuses it. All sessions of the sender are told. It does
// nothing for StatusWaiting: the sender is told when the room has decided.
func (d *Draft) Settle(r Receipt, err error) {
	if err == nil && r.Status == StatusWaiting {
		return
	}
	m := &wire.Message{Op: wire.OpFate, Room: d.Room, CID: d.CID, Status: string(r.Status), Event: r.Event, Reason: r.Reason}
	if e := asError(err); e != nil {
		m.Status, m.Code, m.Reason = wire.StatusRefused, string(e.Code), e.reason()
	}
	message := encode(m)
	for s := range d.Session.hub.sessionsOf(d.From.ID).all() {
		s.outlet.Offer(message)
	}
}

// send answers "send". The checks are in order of their cost, cheapest first.
func (s *Session) send(ctx context.Context, req *wire.Request) error {
	h, u := s.hub, s.user.Load()
	if err := s.mayAct(ctx, req.Room); err != nil {
		return err
	}
	spec, ok := h.kinds[Kind(req.Kind)]
	switch {
	case !ok:
		return errorf(CodeNotFound, "there is no kind %.40q", req.Kind)
	case spec.Kind == State:
		return errorf(CodeBadRequest, `use "state.set" to change the state`)
	case !spec.From.Allow(u):
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
	if spec.Class == Merged {
		n = h.limits.clamp(u, spec.Kind, likes(req.Body))
	}
	if err := h.limits.takeUser(u, spec.Kind, int(n), h.steady()); err != nil {
		return err
	}
	if err := s.takeRoom(req.Room, spec); err != nil {
		h.limits.giveUser(u, spec.Kind, int(n)) // it was not the user who was too fast
		return err
	}
	if spec.Class == Volatile && len(h.opts.Intercept) == 0 && s.unrestricted(req.Room, u) {
		return s.sendVolatile(ctx, req, u, spec.Kind)
	}
	d := s.draft(req, *u, spec.Kind)
	receipt, err := s.underModes(ctx, d, spec.Class, h.last(spec.Class))
	if err != nil {
		return err
	}
	d.answer(receipt)
	return nil
}

// last is the step that accepts an event.
func (h *Hub) last(class Class) SendFunc {
	switch class {
	case Merged:
		return h.acceptMerged
	case Volatile:
		return h.offerVolatile
	}
	return h.accept
}

// takeRoom counts an event against the room that the session is in, or would be.
func (s *Session) takeRoom(room string, spec KindSpec) error {
	if err := s.hub.slow(room, spec.Class); err != nil {
		return err
	}
	if limit, ok := s.hub.limits.Room[spec.Kind]; !ok || limit == Unlimited {
		return nil
	}
	c, err := s.coreOf(s.hub.life, room)
	if err != nil {
		return err
	}
	return c.takeRoom(spec.Kind)
}

// sendVolatile is send without interceptors: it makes no draft of what is not
// shown.
func (s *Session) sendVolatile(ctx context.Context, req *wire.Request, u *User, kind Kind) error {
	cand := s.hub.candidate(u, kind, req.Body)
	receipt, err := s.hub.offer(ctx, req.Room, &cand, func() *Draft {
		d := s.draft(req, *u, kind)
		d.answered = true
		return d
	})
	if err != nil {
		return err
	}
	if receipt.Status != StatusWaiting {
		s.acknowledge(req.ID, receipt)
	}
	return nil
}

// acknowledge sends the answer to a send.
func (s *Session) acknowledge(id uint64, r Receipt) {
	if r.Reason != "" {
		s.outlet.Send(wire.AppendShed(nil, id, r.Reason))
		return
	}
	s.outlet.Send(wire.AppendAck(nil, id, string(r.Status), r.Event, nil))
}

// answer answers the request that the draft came with, unless the room has still
// to decide.
func (d *Draft) answer(r Receipt) {
	d.mu.Lock()
	defer d.mu.Unlock() // sending does not block, and the fate must come after it
	d.answered, d.held = true, r.Status == StatusHeld
	if r.Status != StatusWaiting {
		d.Session.acknowledge(d.req, r)
	}
	if d.fate != nil {
		d.tellLocked(d.fate.receipt, d.fate.err)
	}
}

// await notes that the room has still to decide.
func (d *Draft) await() {
	if a, ok := d.Session.conn.(*answers); ok {
		a.await()
	}
}

// decided tells the sender what became of a draft that had to wait.
func (d *Draft) decided(r Receipt, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.decision != nil:
		d.decision <- fate{r, err} // it has room for the one
		d.release()
	case !d.answered:
		d.fate = &fate{r, err}
	default:
		d.tellLocked(r, err)
	}
}

// decide makes a SendFunc that returns with the fate of a draft, of one that
// leaves it to the room to decide later.
func decide(final SendFunc) SendFunc {
	return func(ctx context.Context, d *Draft) (Receipt, error) {
		decision := make(chan fate, 1)
		d.mu.Lock()
		d.decision = decision
		d.mu.Unlock()
		r, err := final(ctx, d)
		if err != nil || r.Status != StatusWaiting {
			return r, err
		}
		select {
		case f := <-decision:
			return f.receipt, f.err
		case <-ctx.Done():
			return Receipt{Status: StatusUnknown}, nil
		}
	}
}

func (d *Draft) tellLocked(r Receipt, err error) {
	s := d.Session
	a, posted := s.conn.(*answers)
	req := wire.Request{Op: wire.OpSend, ID: d.req, Room: d.room, Kind: string(d.kind)}
	switch {
	case d.held:
		d.Settle(r, err)
	case err != nil && posted:
		a.refuse(s, &req, err)
	case err != nil:
		s.refuse(&req, err)
	default:
		s.acknowledge(d.req, r)
	}
	d.release()
}

// release undoes await.
func (d *Draft) release() {
	if a, ok := d.Session.conn.(*answers); ok {
		a.undecided.Done()
	}
}

// event is what the draft becomes.
func (d *Draft) event(n int) *Event {
	return &Event{ID: d.id, Kind: d.kind, From: d.from, Body: d.Body, Digest: d.digest, N: n}
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
	return h.storeDraft(ctx, c, d)
}

// storeDraft stores the event in an open room.
func (h *Hub) storeDraft(ctx context.Context, c *core, d *Draft) (Receipt, error) {
	if c.isClosed() {
		return Receipt{}, ErrRoomClosed
	}
	e := d.event(0)
	results, err := c.storeAll(ctx, []*Event{e})
	if err != nil {
		return unknownOr(err)
	}
	return h.accepted(d, e, results[0])
}

// accepted is the answer to a draft whose event the log has taken.
func (h *Hub) accepted(d *Draft, e *Event, r Appended) (Receipt, error) {
	e, fresh, err := stamp(e, r)
	if err != nil {
		return Receipt{}, err
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
	if err := c.merge(d.kind, h.limits.clamp(&d.From, d.kind, likes(d.Body))); err != nil {
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
