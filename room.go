package im

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
)

// Room is a handle to a room: an ordered log of events, the state folded from
// it, and the sessions that follow it. Get one with [Hub.Room]. Handles are cheap, safe for use by many
// goroutines, and stay valid as long as the hub; a room itself exists as soon as it is used and is
// unloaded when nobody uses it.
//
// Methods with a context return an *[Error] with CodeTimeout when it ends
// first, and [ErrClosed] after the hub was closed.
type Room struct {
	hub *Hub
	id  string
}

// ID returns the room's id.
func (r *Room) ID() string { return r.id }

// SendOption is an option of [Room.Send].
type SendOption func(*Event)

// WithID gives the event an id, so that sending it again has no second effect:
// 1 to 128 bytes of UTF-8 without control characters. Without it the id is random, or that of
// the call in an operation; see [OpFunc].
func WithID(id string) SendOption { return func(e *Event) { e.ID = id } }

// AsUser makes the event come from a user instead of from the host.
func AsUser(u User) SendOption { return func(e *Event) { e.From = u.author() } }

// Send appends an event of the host to the room and returns it with its
// position, once it is stored to the standard of its class. body is anything that
// encodes to JSON. Neither limits nor interceptors apply.
//
// An error with CodeTimeout means that the outcome is not known; with [WithID],
// sending again is safe. An event whose id was used for other content is [ErrConflict].
func (r *Room) Send(ctx context.Context, kind Kind, body any, opts ...SendOption) (*Event, error) {
	spec, ok := r.hub.kinds[kind]
	switch {
	case !ok:
		return nil, errorf(CodeNotFound, "kind %q is neither built in nor in Options.Kinds", kind)
	case kind == State:
		return nil, errorf(CodeBadRequest, "use Room.Set to change the state")
	case kind == System:
		return nil, errorf(CodeBadRequest, "system events are the hub's own")
	case spec.Class == Merged:
		return nil, errorf(CodeBadRequest, "kind %q is merged: use Room.Add", kind)
	}
	raw, err := r.hub.encodeBody(body)
	if err != nil {
		return nil, err
	}
	if kind == Moderation && isDeletion(raw) {
		return nil, errorf(CodeBadRequest, "use Room.Remove to delete events")
	}
	e := &Event{Kind: kind, Body: raw}
	for _, opt := range opts {
		opt(e)
	}
	named := e.ID != ""
	if !named {
		r.hub.name(ctx, e)
	}
	if !validID(e.ID, maxID) {
		return nil, errorf(CodeBadRequest, "an event id is 1 to %d bytes of UTF-8 without control characters", maxID)
	}
	c, err := r.hub.core(ctx, r.id)
	if err != nil {
		return nil, err
	}
	defer c.release()
	if spec.Class == Volatile {
		c.note()
	}
	e, fresh, err := c.append(ctx, e)
	if err == nil && !named && !fresh {
		if first := c.stored(ctx, e.ID, e.Pos); first != nil {
			return first, nil
		}
	}
	return e, err
}

// Add adds n to the room's total of a kind of the class Merged, for example
// likes. Viewers are told the total at most twice a second. n is at most 2^53-1.
//
// With the context of an operation that was called with a CID it has one effect however
// often the call is repeated; see [OpFunc]. It is then an event of its own, and stored when Add returns.
func (r *Room) Add(ctx context.Context, kind Kind, n uint64) error {
	if spec := r.hub.kinds[kind]; spec.Class != Merged || kind == Presence {
		return errorf(CodeBadRequest, "kind %q is not merged", kind)
	}
	if n > MaxSeq {
		return errorf(CodeBadRequest, "n is at most 2^53-1")
	}
	c, err := r.hub.core(ctx, r.id)
	if err != nil {
		return err
	}
	defer c.release()
	if !r.hub.inCall(ctx) {
		return c.merge(kind, n)
	}
	body, _ := json.Marshal(mergedBody{N: n})
	e := &Event{Kind: kind, Body: body}
	r.hub.name(ctx, e)
	e, _, err = c.append(ctx, e)
	if err == nil {
		c.signalTotal(ctx, e)
	}
	return err
}

// Position returns the room's head as this node knows it.
func (r *Room) Position(ctx context.Context) (Position, error) {
	c, err := r.hub.core(ctx, r.id)
	if err != nil {
		return Position{}, err
	}
	defer c.release()
	c.mu.Lock()
	defer c.mu.Unlock()
	return Position{c.epoch, c.received}, nil
}

// Members returns the users who are in the room on this node, each once, in no
// order. It costs nothing for a room that is not in use.
func (r *Room) Members() iter.Seq[User] {
	return func(yield func(User) bool) {
		seen := map[string]bool{}
		for _, m := range r.members() {
			u := m.session.User()
			if seen[u.ID] {
				continue
			}
			seen[u.ID] = true
			if !yield(u) {
				return
			}
		}
	}
}

func (r *Room) members() []*member {
	c, ok := r.hub.rooms.get(r.id)
	if !ok {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*member(nil), c.members...)
}

// Len returns the number of sessions that are in the room on this node.
func (r *Room) Len() int {
	c, ok := r.hub.rooms.get(r.id)
	if !ok {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.members)
}

// Kick makes a user's sessions leave the room, on every node. They may join again
// unless Options.Admit refuses. The reason reaches the user.
func (r *Room) Kick(ctx context.Context, userID, reason string) error {
	return r.control(ctx, control{Type: controlKick, User: userID, Reason: reason})
}

// Close ends the room for everybody, on every node: its sessions leave with
// CodeRoomClosed, and nobody joins or sends until [Room.Open]. What is stored stays
// readable with History.
func (r *Room) Close(ctx context.Context, reason string) error {
	return r.control(ctx, control{Type: controlClose, Reason: reason})
}

// Open undoes [Room.Close]. Rooms are open unless they were closed.
func (r *Room) Open(ctx context.Context) error {
	return r.control(ctx, control{Type: controlOpen})
}

// control appends a control event and returns when this node has obeyed it.
func (r *Room) control(ctx context.Context, ask control) error {
	body, _ := json.Marshal(ask)
	if len(body) > r.hub.opts.Bounds.Body {
		return errorf(CodeTooLarge, "the reason is too long")
	}
	c, err := r.hub.core(ctx, r.id)
	if err != nil {
		return err
	}
	defer c.release()
	e := &Event{Kind: System, Body: body}
	r.hub.name(ctx, e)
	e, _, err = c.store(ctx, e)
	if err != nil {
		return err
	}
	if err := c.await(ctx, e.Pos); err != nil {
		return err
	}
	c.folded(func(*fold) {})
	return nil
}

// encodeBody turns what a host sends into JSON that fits on one line.
func (h *Hub) encodeBody(body any) (json.RawMessage, error) {
	raw, err := json.Marshal(body) // compacts a json.RawMessage as well
	if err != nil {
		return nil, fmt.Errorf("im: the body does not encode to JSON: %w", err)
	}
	if len(raw) > h.opts.Bounds.Body {
		return nil, errorf(CodeTooLarge, "the body has %d bytes; Options.Bounds.Body allows %d", len(raw), h.opts.Bounds.Body)
	}
	return raw, nil
}
