package moderate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/liveim/im"
)

// Waiting is a message that waits for a moderator.
type Waiting struct {
	Event string          `json:"event"` // the id that it gets, by which it is passed or refused
	Kind  im.Kind         `json:"kind"`
	From  im.Author       `json:"from"`
	Body  json.RawMessage `json:"body"`
	At    time.Time       `json:"at"`    // since when
	Until time.Time       `json:"until"` // when it is refused if nobody decides
	Why   string          `json:"why"`
}

// queue are the messages of a room that wait on this node. The zero value is empty.
type queue struct {
	mu      sync.Mutex // guards the fields below
	waiting []*held    // in the order in which they came
	decided []settled  // the last ones that were decided, for retries
}

type held struct {
	Waiting
	draft *im.Draft
	next  im.SendFunc
	timer *time.Timer
}

// settled is what became of a message that waited.
type settled struct {
	event   string
	receipt im.Receipt
	err     error
}

// keptSettled is of how many messages of a room a node knows what became of them.
const keptSettled = 1000

// known is the answer to a message that waits, or has waited.
func (q *queue) known(event string) (im.Receipt, error, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if slices.ContainsFunc(q.waiting, func(h *held) bool { return h.Event == event }) {
		return im.Receipt{Status: im.StatusHeld, Event: event}, nil, true
	}
	for _, s := range q.decided {
		if s.event == event {
			return s.receipt, s.err, true
		}
	}
	return im.Receipt{}, nil, false
}

// hold has a message wait, and tells the staff.
func (m *Moderation) hold(d *im.Draft, why string, next im.SendFunc) (im.Receipt, error) {
	now := m.opts.Now()
	h := &held{
		Waiting: Waiting{Event: d.EventID(), Kind: d.Kind, From: im.Author{ID: d.From.ID, Name: d.From.Name}, Body: d.Body, At: now, Until: now.Add(m.opts.QueueFor), Why: why},
		draft:   d, next: next,
	}
	room, q := d.Room, m.queues.of(d.Room)
	q.mu.Lock()
	if len(q.waiting) >= m.opts.Queue {
		q.mu.Unlock()
		return im.Receipt{}, &im.Error{Code: im.CodeOverloaded, Reason: "too many messages wait for a moderator", RetryAfter: 10 * time.Second}
	}
	q.waiting = append(q.waiting, h)
	h.timer = time.AfterFunc(m.opts.QueueFor, func() {
		_ = m.refuse(context.WithoutCancel(m.life), room, h.Event, "", "nobody has decided about this message in time")
	})
	q.mu.Unlock()
	m.tellStaff(room, MayApprove, "waiting", h.Waiting)
	return im.Receipt{Status: im.StatusHeld, Event: h.Event}, nil
}

// take takes a message out of those that wait, nil if it does not.
func (q *queue) take(event string) *held {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.waiting, func(h *held) bool { return h.Event == event })
	if i < 0 {
		return nil
	}
	h := q.waiting[i]
	h.timer.Stop()
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return h
}

func (q *queue) settle(s settled) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.decided) >= keptSettled {
		q.decided = slices.Delete(q.decided, 0, keptSettled/10)
	}
	q.decided = append(q.decided, s)
}

// dropWaiting refuses what a user has waiting on this node, in a room or with "" in all of them: for approval, or for
// the room's delay.
func (m *Moderation) dropWaiting(ctx context.Context, room, user, by string) {
	const why = "the sender may not send any more"
	drop := func(r *im.Room) {
		for _, w := range m.Waiting(r.ID()) {
			if w.From.ID == user {
				_ = m.refuse(ctx, r.ID(), w.Event, by, why) // else somebody has decided meanwhile
			}
		}
		for _, h := range r.Held() {
			if h.Event.From.ID == user {
				_ = r.DropHeld(h.Event.ID, why) // the same
			}
		}
	}
	if room != "" {
		drop(m.hub.Room(room))
		return
	}
	for r := range m.hub.Rooms() {
		drop(r)
	}
}

func (q *queue) refuseAll(m *Moderation, why string) {
	q.mu.Lock()
	all := q.waiting
	q.waiting = nil
	q.mu.Unlock()
	for _, h := range all {
		h.timer.Stop()
		m.finish(q, h, im.Receipt{}, &im.Error{Code: im.CodeForbidden, Reason: why})
	}
}

// finish tells a sender what became of a message.
func (m *Moderation) finish(q *queue, h *held, r im.Receipt, err error) {
	q.settle(settled{h.Event, r, err})
	h.draft.Settle(r, err)
	m.tellStaff(h.draft.Room, MayApprove, "decided", map[string]any{"event": h.Event, "passed": err == nil})
}

// Waiting returns the messages that wait in a room on this node, in the order in which they came.
func (m *Moderation) Waiting(room string) []Waiting {
	list := []Waiting{}
	q := m.queues.get(room)
	if q == nil {
		return list
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, h := range q.waiting {
		list = append(list, h.Waiting)
	}
	return list
}

// Pass has a message that waits shown. by is who decides, for the record. A message that does not wait on this
// node is im.CodeNotFound.
func (m *Moderation) Pass(ctx context.Context, room, event, by string) error {
	q, h := m.waits(room, event)
	if h == nil {
		return errNotWaiting()
	}
	r, err := h.next(ctx, h.draft)
	if err == nil && r.Status == im.StatusUnknown || err != nil && ctx.Err() != nil {
		q.mu.Lock()
		q.waiting = append(q.waiting, h)
		h.timer.Reset(max(h.Until.Sub(m.opts.Now()), time.Second))
		q.mu.Unlock()
		return &im.Error{Code: im.CodeTimeout, Reason: "it is not known whether the message was stored; pass it again"}
	}
	m.decide(ctx, room, Decision{Action: "pass", By: by, User: h.From.ID, Event: event, Text: textOf(h.Body)})
	m.finish(q, h, r, err)
	return err
}

// Refuse refuses a message that waits, and tells its sender the reason; "" means a standard one. It is otherwise as
// [Moderation.Pass].
func (m *Moderation) Refuse(ctx context.Context, room, event, by, reason string) error {
	return m.refuse(ctx, room, event, by, reason)
}

func (m *Moderation) refuse(ctx context.Context, room, event, by, reason string) error {
	q, h := m.waits(room, event)
	if h == nil {
		return errNotWaiting()
	}
	m.decide(ctx, room, Decision{Action: "refuse", By: by, User: h.From.ID, Event: event, Text: textOf(h.Body), Reason: reason})
	if reason == "" {
		reason = "a moderator did not let this through"
	}
	m.finish(q, h, im.Receipt{}, &im.Error{Code: im.CodeForbidden, Reason: reason})
	return nil
}

func (m *Moderation) waits(room, event string) (*queue, *held) {
	q := m.queues.get(room)
	if q == nil {
		return nil, nil
	}
	return q, q.take(event)
}

func errNotWaiting() *im.Error {
	return &im.Error{Code: im.CodeNotFound, Reason: "nothing waits under this id; somebody else may have decided"}
}

// keyApproval is the key of the state that says which messages need approval. Clients see it.
const keyApproval = "mod.approval"

// Approval says which messages of a room wait until a moderator lets them through.
type Approval struct {
	// Kinds are the kinds that need it, of those of Options.Kinds. Empty: none do.
	Kinds []im.Kind `json:"kinds"`
}

func (a *Approval) needs(k im.Kind) bool { return slices.Contains(a.Kinds, k) }

// Approval returns what needs approval in a room.
func (m *Moderation) Approval(ctx context.Context, room string) (a Approval, err error) {
	value, version, err := m.hub.Room(room).State().Get(ctx, keyApproval)
	if err != nil || version == 0 {
		return Approval{}, err
	}
	if err := json.Unmarshal(value, &a); err != nil {
		return Approval{}, fmt.Errorf("moderate: the key %s of the state of room %q does not decode: %w", keyApproval, room, err)
	}
	return a, nil
}

// SetApproval says which messages of a room need approval from now on. What waits already goes on waiting.
func (m *Moderation) SetApproval(ctx context.Context, room string, a Approval, by string) error {
	for _, k := range a.Kinds {
		if !slices.Contains(m.opts.Kinds, k) {
			return badRequest("messages of the kind %q are not moderated", k)
		}
	}
	var err error
	if len(a.Kinds) == 0 {
		err = m.hub.Room(room).Delete(ctx, keyApproval)
	} else {
		_, err = m.hub.Room(room).Set(ctx, keyApproval, a)
	}
	if err != nil {
		return errors.Join(err)
	}
	m.decide(ctx, room, Decision{Action: "approval", By: by, Reason: fmt.Sprintf("kinds %v need approval", a.Kinds)})
	return nil
}
