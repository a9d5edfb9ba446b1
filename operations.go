package im

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/liveim/im/internal/wire"
)

// Request is a call of an operation that the host registered with [Hub.Handle].
type Request struct {
	Op      string
	Room    string // in which the session is, or empty
	CID     string // the client's id of the call, the same for a retry; may be empty
	Body    json.RawMessage
	User    User
	Session *Session
}

// EventID returns the id of the event that the call should make with [WithID], so
// that a retry of the call makes no second one: the one that a send of the same
// user under the same client id would have. It is empty if there is no CID.
func (r *Request) EventID() string {
	if r.CID == "" {
		return ""
	}
	return eventID(r.User.ID, r.CID)
}

// OpFunc carries out an operation. What it returns is encoded to JSON and reaches the
// client as the body of the answer; an *[Error] is the answer as it is.
//
// It runs on a goroutine of its own, for at most Timeouts.Hook; its context ends
// then. The requests of one session are handled one after the other.
type OpFunc func(ctx context.Context, req *Request) (any, error)

// Handle registers an operation that clients may call, under a name with a dot
// such as "gift.send". Names without a dot, and those that begin with "im.", "state.", "modes." or
// "held.", are the protocol's own. Register operations before the hub serves.
//
// Handle panics if the name is not such a name or is taken, as
// http.ServeMux.Handle does.
func (h *Hub) Handle(op string, fn OpFunc) {
	i := strings.IndexByte(op, '.')
	switch {
	case !validName(op, 64) || i < 1:
		panic(fmt.Sprintf("im: Handle(%q): want a name of a-z, 0-9, '.', '_' and '-' with a dot in it, like gift.send", op))
	case slices.Contains([]string{"im", "state", "modes", "held"}, op[:i]):
		panic(fmt.Sprintf("im: Handle(%q): names in %q are the protocol's own", op, op[:i+1]))
	case fn == nil:
		panic(fmt.Sprintf("im: Handle(%q): the function is nil", op))
	}
	h.opsMu.Lock()
	defer h.opsMu.Unlock()
	if _, taken := h.ops[op]; taken {
		panic(fmt.Sprintf("im: Handle(%q): the operation is registered already", op))
	}
	h.ops[op] = fn
}

// call answers a request for a registered operation.
func (s *Session) call(ctx context.Context, req *wire.Request) error {
	s.hub.opsMu.RLock()
	fn, ok := s.hub.ops[req.Op]
	s.hub.opsMu.RUnlock()
	if !ok {
		return errorf(CodeNotFound, "there is no operation %.40q", req.Op)
	}
	if req.Room != "" {
		if err := s.mayAct(ctx, req.Room); err != nil {
			return err
		}
	}
	if err := checkCID(req.CID); err != nil {
		return err
	}
	var result json.RawMessage
	r := &Request{Op: req.Op, Room: req.Room, CID: req.CID, Body: req.Body, User: s.User(), Session: s}
	err := s.hub.guard.run(ctx, s.hub.opts.Timeouts.Hook, "operation "+req.Op, func(ctx context.Context) error {
		v, err := fn(ctx, r)
		if err != nil || v == nil {
			return err
		}
		result, err = json.Marshal(v)
		return err
	})
	if err != nil {
		return err
	}
	s.outlet.Send(wire.AppendAck(nil, req.ID, string(StatusOK), "", result))
	return nil
}
