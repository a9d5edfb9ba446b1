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

// EventID returns an id that is the same for every retry of the call, for what the handler
// keeps elsewhere: a row of a database, an order of a payment service. It is the one that a send of the same
// user under the same client id would have, and empty if there is no CID. What the handler
// appends to rooms needs none; see [OpFunc].
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
//
// # One effect
//
// The calls of one user to one operation, about one room and under one Request.CID, are one call. Of two at
// the same time one runs, and the other waits for its answer. When it has succeeded, later ones
// get the same answer and OpFunc does not run: for 5 minutes, for the newest 10,000 calls of a room, and while
// the answers of all rooms take no more than Bounds.Answers. Another body under the same CID is
// refused with CodeConflict. This holds over a restart, and on other nodes, for as long as the log of the
// room keeps its events: before the client is answered the log has been told, by an event that viewers do
// not see. An answer over 16 KiB does not survive a restart; a retry then gets "ok" without it. Of calls
// about no room only this process knows.
//
// An error is not remembered: the retry of a call that was refused runs again. So return one only if
// nothing has happened, or if what has happened does not happen again when the call is
// repeated.
//
// OpFunc may run twice for one call if the process dies, or the log fails, after it has had an effect and before the log was told, or if a
// retry reaches another node while the first is at work. What it appends is then there once all the same: [Room.Send], [Room.Set],
// [Room.Delete], [Room.Add], [Room.SetModes] and the others that append give what they append an id that is formed from the
// call and from how many events this call has made before, if they are given OpFunc's context and no
// id. The first one counts, also if the second has another body, and is what they return. So their order and their rooms
// must be the same in every run: do not call them from several goroutines at once, and do
// not let a chance or the clock decide whether one is called. For effects elsewhere there is
// [Request.EventID].
//
// Without a CID every call is a new one.
type OpFunc func(ctx context.Context, req *Request) (any, error)

// operation is what is registered under a name.
type operation struct {
	run   OpFunc
	query bool
}

// Handle registers an operation that clients may call, under a name with a dot
// such as "gift.send". Names without a dot, and those that begin with "im.", "state.", "modes." or
// "held.", are the protocol's own. Register operations before the hub serves.
//
// Handle panics if the name is not such a name or is taken, as
// http.ServeMux.Handle does.
func (h *Hub) Handle(op string, fn OpFunc) { h.handleOp(op, operation{run: fn}) }

// HandleQuery is [Hub.Handle] for an operation that changes nothing, such as "gift.list". No
// call of it is remembered, nor costs the log an event: a retry runs again.
func (h *Hub) HandleQuery(op string, fn OpFunc) { h.handleOp(op, operation{run: fn, query: true}) }

func (h *Hub) handleOp(op string, o operation) {
	i := strings.IndexByte(op, '.')
	switch {
	case !validName(op, 64) || i < 1:
		panic(fmt.Sprintf("im: Handle(%q): want a name of a-z, 0-9, '.', '_' and '-' with a dot in it, like gift.send", op))
	case slices.Contains([]string{"im", "state", "modes", "held"}, op[:i]):
		panic(fmt.Sprintf("im: Handle(%q): names in %q are the protocol's own", op, op[:i+1]))
	case o.run == nil:
		panic(fmt.Sprintf("im: Handle(%q): the function is nil", op))
	}
	h.opsMu.Lock()
	defer h.opsMu.Unlock()
	if _, taken := h.ops[op]; taken {
		panic(fmt.Sprintf("im: Handle(%q): the operation is registered already", op))
	}
	h.ops[op] = o
}

// call answers a request for a registered operation.
func (s *Session) call(ctx context.Context, req *wire.Request) error {
	s.hub.opsMu.RLock()
	o, ok := s.hub.ops[req.Op]
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
	err := s.hub.guard.run(ctx, s.hub.opts.Timeouts.Hook, "operation "+req.Op, func(ctx context.Context) (err error) {
		if o.query || r.CID == "" {
			result, err = answerOf(o.run(ctx, r))
		} else {
			result, err = s.hub.callOnce(ctx, req.Op, o.run, r)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.outlet.Send(wire.AppendAck(nil, req.ID, string(StatusOK), "", result))
	return nil
}
