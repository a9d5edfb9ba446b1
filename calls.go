package im

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what is remembered of calls, beside Bounds.Answers.
const (
	rememberCalls  = 10_000          // of one room
	rememberAnswer = 5 * time.Minute // from when it was given
	maxLoggedBody  = 16 << 10        // bytes of an answer that survives a restart
	callOverhead   = 256             // bytes of a call besides its answer
)

// calls are the calls of operations that are remembered so that a retry has no
// second effect and gets the first answer: those of one room, or those about no
// room. Safe for use by many goroutines; the zero value with bytes is ready.
type calls struct {
	bytes *atomic.Int64 // of all of the hub
	max   int64         // of bytes

	mu    sync.Mutex // guards the fields below; innermost
	m     map[string]*pastCall
	order []*pastCall // those that have been carried out, the oldest first
	size  int64       // what of bytes is these

	whole  bool // what the room's log tells of earlier calls is in m
	doubts int  // how often that was in doubt
}

// pastCall is one call: in work, or carried out. A call that was refused is forgotten.
type pastCall struct {
	id, digest string        // immutable
	work       *attempt      // nil: nobody is at it
	done       bool          // the handler has succeeded
	recorded   bool          // the log knows
	answer     callAnswer    // valid if done
	at         time.Duration // when it was done, by the hub's clock
	cost       int64         // what it counts of calls.bytes
}

// attempt is one try to carry out a call, for which others may wait.
type attempt struct {
	ended chan struct{}
	err   error // valid when ended is closed
}

// callAnswer is what a handler has returned, or the body of the event that says so.
type callAnswer struct {
	raw    json.RawMessage
	logged bool // raw is the body of the event
}

// json returns the answer as the client gets it.
func (a callAnswer) json() json.RawMessage {
	if !a.logged {
		return a.raw
	}
	var b outcomeBody
	_ = json.Unmarshal(a.raw, &b) // a body that does not decode has no answer
	return b.Answer
}

// has reports whether a call under the id is in work or remembered.
func (t *calls) has(id string, now time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expireLocked(now)
	_, ok := t.m[id]
	return ok
}

// begin returns the call under an id. If work is not nil it is the caller's to carry the
// call out, or the part of it that is left, and to end it; else somebody else does, or has.
func (t *calls) begin(id, digest string, now time.Duration) (p *pastCall, work, others *attempt, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expireLocked(now)
	p = t.m[id]
	switch {
	case p == nil:
		p = &pastCall{id: id, digest: digest}
		if t.m == nil {
			t.m = map[string]*pastCall{}
		}
		t.m[id] = p
	case p.digest != digest:
		return nil, nil, nil, errIDTaken()
	case p.work != nil:
		return p, nil, p.work, nil
	case p.recorded:
		return p, nil, nil, nil
	}
	p.work = &attempt{ended: make(chan struct{})}
	return p, p.work, nil, nil
}

// succeed notes the answer of the handler.
func (t *calls) succeed(p *pastCall, answer json.RawMessage, now time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.done, p.answer, p.at = true, callAnswer{raw: answer}, now
	if t.m[p.id] == p {
		t.keepLocked(p)
	}
}

// end ends an attempt. One that failed before the handler has succeeded leaves nothing behind, nor
// does one to which another call under the same id came first.
func (t *calls) end(p *pastCall, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	work := p.work
	p.work, work.err = nil, err
	p.recorded = p.done && err == nil
	if (!p.done || errors.Is(err, ErrConflict)) && t.m[p.id] == p {
		delete(t.m, p.id)
	}
	close(work.ended)
}

// result is the answer of a call that was carried out.
func (t *calls) result(p *pastCall) json.RawMessage {
	t.mu.Lock()
	answer := p.answer
	t.mu.Unlock()
	return answer.json()
}

// replace puts the answer that came first, on another node, in the place of this one's.
func (t *calls) replace(p *pastCall, body json.RawMessage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.answer = callAnswer{body, true}
}

// observe notes an event of the log that tells of a call, which another node or an
// earlier process has carried out, unless it is known.
func (t *calls) observe(e *Event, age, now time.Duration) {
	if age > rememberAnswer {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.m[e.ID]; ok {
		return
	}
	if t.m == nil {
		t.m = map[string]*pastCall{}
	}
	p := &pastCall{id: e.ID, digest: e.Digest, done: true, recorded: true, answer: callAnswer{e.Body, true}, at: now - max(age, 0)}
	t.m[e.ID] = p
	t.keepLocked(p)
}

// keepLocked puts a call among those that were carried out, and forgets the oldest of
// them where there are too many.
func (t *calls) keepLocked(p *pastCall) {
	i := len(t.order)
	for i > 0 && t.order[i-1].at > p.at {
		i--
	}
	t.order = slices.Insert(t.order, i, p)
	p.cost = callOverhead + int64(len(p.answer.raw))
	t.size += p.cost
	over := t.bytes.Add(p.cost) > t.max
	for len(t.order) > rememberCalls || over && len(t.order) > 0 {
		t.forgetLocked()
		over = t.bytes.Load() > t.max
	}
}

// forgetLocked forgets the oldest call.
func (t *calls) forgetLocked() {
	p := t.order[0]
	t.order[0] = nil
	t.order = t.order[1:]
	if t.m[p.id] == p {
		delete(t.m, p.id)
	}
	t.size -= p.cost
	t.bytes.Add(-p.cost)
}

func (t *calls) expireLocked(now time.Duration) {
	for len(t.order) > 0 && now-t.order[0].at > rememberAnswer {
		t.forgetLocked()
	}
	if len(t.m) == 0 {
		t.m, t.order = nil, nil // both keep the size that they once had
	}
}

// expire forgets what is past its time.
func (t *calls) expire(now time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expireLocked(now)
}

// clear forgets everything, since the room is unloaded.
func (t *calls) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes.Add(-t.size)
	t.m, t.order, t.size, t.whole = nil, nil, 0, false
}

// unsure says that the log may tell of calls that were not observed.
func (t *calls) unsure() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.whole = false
	t.doubts++
}

// known reports whether what the log tells is in the table, and how often that has been in doubt.
func (t *calls) known() (known bool, doubts int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.whole, t.doubts
}

// setKnown says that what the log tells is in the table, unless doubts have come up since.
func (t *calls) setKnown(doubts int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.whole = t.doubts == doubts
}
