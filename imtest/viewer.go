package imtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport/pipe"
)

// Viewer is one client of a hub, driven by a test. It reads only when it is
// asked to: a viewer whose methods are not called is a slow one. It owns no
// goroutine.
type Viewer struct {
	// Session is the viewer's session as the hub sees it.
	Session *im.Session

	t         TB
	peer      *pipe.Peer
	lastID    uint64
	positions map[string]im.Position
	pending   []Update // read while waiting for an answer
}

// Close hangs up. It is called when the test ends.
func (v *Viewer) Close() { _ = v.peer.Close() }

// Position returns how far the viewer has got in a room: what it would resume from.
func (v *Viewer) Position(room string) im.Position { return v.positions[room] }

// JoinOptions are the optional parts of [Viewer.Join].
type JoinOptions struct {
	Since im.Position
	Tier  string // "full", "reduced" or "critical"
}

// Join enters a room. opts may be nil.
func (v *Viewer) Join(room string, opts *JoinOptions) *Entry {
	v.t.Helper()
	e, err := v.TryJoin(room, opts)
	if err != nil {
		v.t.Fatalf("imtest: join %q: %v", room, err)
	}
	return e
}

// TryJoin is Join for a room that the viewer may be refused.
func (v *Viewer) TryJoin(room string, opts *JoinOptions) (*Entry, error) {
	v.t.Helper()
	req := wire.Request{Op: wire.OpJoin, Room: room}
	if opts != nil {
		req.Tier = opts.Tier
		if !opts.Since.IsZero() {
			since := wire.Position(opts.Since)
			req.Since = &since
		}
	}
	m, err := v.ask(&req, wire.OpJoined)
	if err != nil {
		return nil, err
	}
	return entryOf(m), nil
}

// Leave leaves a room.
func (v *Viewer) Leave(room string) {
	v.t.Helper()
	if _, err := v.ask(&wire.Request{Op: wire.OpLeave, Room: room}, wire.OpLeft); err != nil {
		v.t.Fatalf("imtest: leave %q: %v", room, err)
	}
}

// SetTier changes which part of a room the viewer gets: "full", "reduced" or "critical".
func (v *Viewer) SetTier(room, tier string) error {
	v.t.Helper()
	_, err := v.ask(&wire.Request{Op: wire.OpTier, Room: room, Tier: tier}, wire.OpAck)
	return err
}

// Send sends an event to the only room that the viewer is in, under a fresh
// client id, and returns its fate.
func (v *Viewer) Send(kind im.Kind, body any) (im.Receipt, error) {
	v.t.Helper()
	rooms := v.Session.Rooms()
	if len(rooms) != 1 {
		v.t.Fatalf("imtest: Send by a viewer who is in rooms %q: use SendTo", rooms)
	}
	v.lastID++
	return v.SendTo(rooms[0], kind, fmt.Sprintf("imtest-%d", v.lastID), body)
}

// SendTo sends an event to a room under a client id.
func (v *Viewer) SendTo(room string, kind im.Kind, cid string, body any) (im.Receipt, error) {
	v.t.Helper()
	m, err := v.ask(&wire.Request{Op: wire.OpSend, Room: room, Kind: string(kind), CID: cid, Body: v.json(body)}, wire.OpAck)
	if err != nil {
		return im.Receipt{}, err
	}
	return im.Receipt{Status: im.Status(m.Status), Event: m.Event, Reason: m.Reason}, nil
}

// Set sets a key of a room's state and returns its version. A nil ifVersion
// makes it unconditional.
func (v *Viewer) Set(room, key string, value any, ifVersion *uint64) (uint64, error) {
	v.t.Helper()
	body := map[string]any{"key": key, "value": value}
	if ifVersion != nil {
		body["if"] = *ifVersion
	}
	m, err := v.ask(&wire.Request{Op: wire.OpStateSet, Room: room, Body: v.json(body)}, wire.OpAck)
	if err != nil {
		return 0, err
	}
	var r struct{ Version uint64 }
	if err := json.Unmarshal(m.Body, &r); err != nil {
		v.t.Fatalf("imtest: state.set answered %s: %v", m.Body, err)
	}
	return r.Version, nil
}

// Call calls an operation that the host registered and returns the body of the answer.
func (v *Viewer) Call(op, room string, body any) (json.RawMessage, error) {
	v.t.Helper()
	m, err := v.ask(&wire.Request{Op: op, Room: room, Body: v.json(body)}, wire.OpAck)
	if err != nil {
		return nil, err
	}
	return m.Body, nil
}

// Raw sends one message as it is, for tests of bad input.
func (v *Viewer) Raw(message string) error {
	ctx, cancel := contextFor(v.t)
	defer cancel()
	return v.peer.Send(ctx, []byte(message))
}

// Next returns the next update. If none comes within ten seconds the test fails.
func (v *Viewer) Next() Update {
	v.t.Helper()
	ctx, cancel := contextFor(v.t)
	defer cancel()
	u, err := v.next(ctx)
	if err != nil {
		v.t.Fatalf("imtest: waiting for an update: %v", err)
	}
	return u
}

// TryNext returns the next update, or ok false if the viewer has everything
// that is to come within d, or the connection has ended.
func (v *Viewer) TryNext(d time.Duration) (u Update, ok bool) {
	ctx, cancel := context.WithTimeout(v.t.Context(), d)
	defer cancel()
	u, err := v.next(ctx)
	return u, err == nil
}

// Event returns the next event of any room, past updates of other sorts.
func (v *Viewer) Event() *im.Event {
	v.t.Helper()
	for {
		if u := v.Next(); u.Op == "event" {
			return u.Event
		}
	}
}

// Ended waits for the end of the connection and returns the code and reason with
// which the hub ended it.
func (v *Viewer) Ended() (code int, reason string) {
	v.t.Helper()
	ctx, cancel := contextFor(v.t)
	defer cancel()
	for {
		_, err := v.next(ctx)
		var ce *pipe.CloseError
		switch {
		case errors.As(err, &ce):
			return ce.Code, ce.Reason
		case ctx.Err() != nil:
			v.t.Fatal("imtest: the connection does not end")
		case err != nil:
			return 0, err.Error()
		}
	}
}

// ask sends a request and returns the answer. What else arrives waits for Next.
func (v *Viewer) ask(req *wire.Request, op string) (*wire.Message, error) {
	v.t.Helper()
	v.lastID++
	req.ID = v.lastID
	b, err := json.Marshal(req)
	if err != nil {
		v.t.Fatalf("imtest: %v", err)
	}
	ctx, cancel := contextFor(v.t)
	defer cancel()
	if err := v.peer.Send(ctx, b); err != nil {
		return nil, err
	}
	return v.answer(op, req.ID)
}

// answer reads up to the answer of a request.
func (v *Viewer) answer(op string, id uint64) (*wire.Message, error) {
	v.t.Helper()
	ctx, cancel := contextFor(v.t)
	defer cancel()
	for {
		m, err := v.read(ctx)
		switch {
		case err != nil:
			return nil, err
		case m.ID == id && m.Op == op:
			return m, nil
		case m.ID == id && m.Op == wire.OpError:
			return nil, &im.Error{Code: im.Code(m.Code), Reason: m.Reason, RetryAfter: time.Duration(m.Retry) * time.Millisecond}
		}
		v.pending = append(v.pending, v.updates(m)...)
	}
}

func (v *Viewer) next(ctx context.Context) (Update, error) {
	for len(v.pending) == 0 {
		m, err := v.read(ctx)
		if err != nil {
			return Update{}, err
		}
		v.pending = v.updates(m)
	}
	u := v.pending[0]
	v.pending = v.pending[1:]
	return u, nil
}

// read returns the next message of the hub and moves the viewer's position. A
// hole that the hub did not announce fails the test.
func (v *Viewer) read(ctx context.Context) (*wire.Message, error) {
	b, err := v.peer.Recv(ctx)
	if err != nil {
		return nil, err
	}
	m := new(wire.Message)
	if err := json.Unmarshal(b, m); err != nil {
		v.t.Fatalf("imtest: the hub sent %q: %v", b, err)
	}
	pos := v.positions[m.Room]
	switch m.Op {
	case wire.OpJoined, wire.OpReset:
		pos = im.Position{Epoch: m.Epoch, Seq: m.Seq}
	case wire.OpEvents:
		if m.Prev > pos.Seq {
			v.t.Errorf("imtest: a hole: events after %d, but the viewer is at %d", m.Prev, pos.Seq)
		}
		pos.Seq = max(pos.Seq, m.To)
	case wire.OpGap, wire.OpTier:
		pos.Seq = max(pos.Seq, m.To)
	default:
		return m, nil
	}
	v.positions[m.Room] = pos
	return m, nil
}

// updates turns a message into what a test reads.
func (v *Viewer) updates(m *wire.Message) []Update {
	u := Update{Op: m.Op, Room: m.Room, Missed: m.Missed, Count: m.Count, Status: im.Status(m.Status), CID: m.CID, Code: im.Code(m.Code), Reason: m.Reason, Tier: m.Tier, ByServer: m.By == "server"}
	switch m.Op {
	case wire.OpEvents:
		list := make([]Update, len(m.Events))
		for i := range m.Events {
			list[i] = Update{Op: "event", Room: m.Room, Event: eventOf(v.positions[m.Room].Epoch, &m.Events[i])}
		}
		return list
	case wire.OpOnline:
		if m.Joined != nil {
			u.Joined = (*Joins)(m.Joined)
		}
	case wire.OpReset:
		u.Entry = entryOf(m)
	case wire.OpHeld:
		u.Event = &im.Event{ID: m.Event}
		if m.Held != nil {
			u.Event = eventOf("", m.Held)
		}
		u.Wait = time.Duration(m.Until) * time.Millisecond
	case wire.OpDirect:
		u.Event = &im.Event{ID: m.Event, Kind: im.Kind(m.Kind), At: time.UnixMilli(m.At), Body: m.Body}
	}
	return []Update{u}
}

func (v *Viewer) json(body any) json.RawMessage {
	v.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		v.t.Fatalf("imtest: the body does not encode: %v", err)
	}
	return b
}
