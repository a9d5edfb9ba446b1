package im

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// callOnce carries out a call with a CID, or returns the answer of the first one under it. It
// runs on the goroutine of the handler and ends when that does, also if nobody waits any more.
func (h *Hub) callOnce(ctx context.Context, op string, fn OpFunc, r *Request) (json.RawMessage, error) {
	table, c := &h.calls, (*core)(nil)
	call := &callContext{hub: h, key: [4]string{r.User.ID, op, r.Room, r.CID}, digest: h.callDigest(op, r)}
	id := callID(&call.key, 0)
	if r.Room != "" {
		var err error
		if c, err = h.core(ctx, r.Room); err != nil {
			return nil, err
		}
		defer c.release()
		if err := c.recall(ctx, id); err != nil {
			return nil, err
		}
		table = &c.calls
	}
	p, work, others, err := table.begin(id, call.digest, h.steady())
	switch {
	case err != nil:
		return nil, err
	case others != nil:
		select {
		case <-others.ended:
		case <-ctx.Done():
			return nil, &Error{Code: CodeTimeout, cause: ctx.Err()}
		}
		if others.err != nil {
			return nil, others.err
		}
	case work != nil:
		if err := h.carryOut(ctx, table, c, p, call, fn, r); err != nil {
			return nil, err
		}
	}
	return table.result(p), nil
}

// carryOut runs the handler, unless it has succeeded before, and then tells the room's log, if
// the call is about a room.
func (h *Hub) carryOut(ctx context.Context, table *calls, c *core, p *pastCall, call *callContext, fn OpFunc, r *Request) (err error) {
	err = &Error{Code: CodeInternal, cause: fmt.Errorf("operation %s did not return", call.key[1])} // if it panics
	defer func() { table.end(p, err) }()
	if !p.done {
		answer, failed := answerOf(fn(context.WithValue(ctx, callContextKey{}, call), r))
		if err = failed; err != nil {
			return err
		}
		table.succeed(p, answer, h.steady())
	}
	err = nil
	if c != nil {
		err = c.record(table, p, call, r)
	}
	return err
}

// answerOf encodes what a handler has returned.
func answerOf(v any, err error) (json.RawMessage, error) {
	if err != nil || v == nil {
		return nil, err
	}
	return json.Marshal(v)
}

// recall finds out what the log knows of earlier calls, unless the one under id is known. If
// the log does not answer, the call is refused before it has any effect.
func (c *core) recall(ctx context.Context, id string) error {
	h := c.hub
	if c.calls.has(id, h.steady()) {
		return nil
	}
	refused := func(err error) error {
		h.opts.Logger.Warn("the log does not say whether an operation is a retry", "room", c.id, "error", err)
		return &Error{Code: CodeOverloaded, RetryAfter: time.Second, cause: err}
	}
	head, err := h.opts.Log.Head(ctx, c.id)
	if err != nil {
		return refused(err)
	}
	if head.Seq > 0 { // what other nodes have appended
		if err := c.await(ctx, head); err != nil {
			return err
		}
	}
	c.folded(func(*fold) {}) // observes what has come
	if known, _ := c.calls.known(); known {
		return nil
	}
	if err := c.readCalls(ctx); err != nil {
		return refused(err)
	}
	return nil
}

// readCalls reads what the log tells of calls from before this node followed it. Two
// goroutines may do it at the same time.
func (c *core) readCalls(ctx context.Context) error {
	_, doubts := c.calls.known()
	rng := Range{Newest: true, Max: 500}
	for {
		page, err := c.hub.opts.Log.Read(ctx, c.id, rng)
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			c.observeCall(e)
		}
		if !page.More || len(page.Events) == 0 || c.hub.opts.Now().Sub(page.Events[0].At) > rememberAnswer {
			c.calls.setKnown(doubts)
			return nil
		}
		rng.Before = page.Events[0].Pos
	}
}

// observeCall notes an event if it tells of a call.
func (c *core) observeCall(e *Event) {
	if e.Kind == System && isOutcome(e.Body) {
		c.calls.observe(e, c.hub.opts.Now().Sub(e.At), c.hub.steady())
	}
}

// record tells the room's log that a call was carried out. If the log knows of it already, since
// another node was faster, the answer is the one that stands there.
func (c *core) record(table *calls, p *pastCall, call *callContext, r *Request) error {
	h := c.hub
	// The handler has succeeded: this is not undone because nobody waits any more.
	ctx, cancel := context.WithTimeout(h.life, h.opts.Timeouts.Hook)
	defer cancel()
	answer := table.result(p)
	if len(answer) > maxLoggedBody {
		h.opts.Logger.Warn("the answer of an operation is too large to outlast a restart: a retry after one gets none", "op", call.key[1], "bytes", len(answer), "limit", maxLoggedBody)
		answer = nil
	}
	e := &Event{ID: p.id, Kind: System, From: r.User.author(), Body: outcomeOf(call.key[1], answer), Digest: p.digest}
	results, err := c.storeAll(ctx, []*Event{e})
	if err != nil {
		return &Error{Code: CodeTimeout, RetryAfter: time.Second, cause: err} // a retry records it
	}
	switch results[0].Status {
	case Conflict:
		return errIDTaken()
	case Duplicate:
		if first := c.stored(ctx, p.id, results[0].Pos); first != nil {
			table.replace(p, first.Body)
		}
	}
	return nil
}

// stored returns the event that stands at a position, nil if the log does not have it any more.
func (c *core) stored(ctx context.Context, id string, pos Position) *Event {
	page, err := c.hub.opts.Log.Read(ctx, c.id, Range{Before: Position{pos.Epoch, pos.Seq + 1}, Newest: true, Max: 1})
	if err != nil || len(page.Events) != 1 || page.Events[0].ID != id {
		return nil
	}
	return page.Events[0]
}

// outcomeBody is the body of the system event which tells that a call of an operation was carried out. Its
// ID is that of the call, its Digest is of what was asked.
type outcomeBody struct {
	Type   string          `json:"type"`
	Op     string          `json:"op"`
	Answer json.RawMessage `json:"answer,omitempty"`
}

const outcomePrefix = `{"type":"call",`

// isOutcome reports whether the body of a system event is an outcomeBody. It does not decode
// it, since every node sees each one.
func isOutcome(body json.RawMessage) bool {
	return len(body) >= len(outcomePrefix) && string(body[:len(outcomePrefix)]) == outcomePrefix
}

func outcomeOf(op string, answer json.RawMessage) json.RawMessage {
	b := append(make(json.RawMessage, 0, len(outcomePrefix)+len(op)+len(answer)+24), outcomePrefix...)
	b = strconv.AppendQuote(append(b, `"op":`...), op) // a name needs no escapes
	if answer != nil {
		b = append(append(b, `,"answer":`...), answer...)
	}
	return append(b, '}')
}

// callContext is what the context of an operation carries: who calls, so that what
// the handler appends has the same ids when it runs again.
type callContext struct {
	hub    *Hub
	key    [4]string // user, operation, room, cid
	digest string    // of the call
	n      atomic.Int64
}

type callContextKey struct{}

// inCall reports whether ctx is that of a call.
func (h *Hub) inCall(ctx context.Context) bool {
	c, ok := ctx.Value(callContextKey{}).(*callContext)
	return ok && c.hub == h
}

// name gives an event without an id the one that it has in every run of the call, or a
// random one if there is no call.
func (h *Hub) name(ctx context.Context, e *Event) {
	if !h.inCall(ctx) {
		e.ID = uuid.NewString()
		return
	}
	c := ctx.Value(callContextKey{}).(*callContext)
	e.ID = callID(&c.key, c.n.Add(1))
	// It is of the call and not of the body, which may hold a time or a lot that is drawn
	// anew: the first one counts.
	e.Digest = h.digest(e.Kind, e.From.ID, []byte(c.digest))
}

// callID forms the id of a call if n is 0, else that of the nth event that it makes.
func callID(key *[4]string, n int64) string {
	sum := sha256.New()
	writeField(sum.Write, "call")
	for _, s := range key {
		writeField(sum.Write, s)
	}
	writeField(sum.Write, strconv.FormatInt(n, 10))
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:16])
}

// callDigest is a keyed hash of what a call asks for.
func (h *Hub) callDigest(op string, r *Request) string {
	return h.digest(Kind("call "+op), r.User.ID, r.Body)
}

func errIDTaken() *Error {
	return &Error{Code: CodeConflict, Reason: "this id was used for something else"}
}
