package client

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

// modesKey is the key of a room's state that holds its modes.
const modesKey = "im.modes"

// Held is a message that waits for a moderator, or for its time. Only staff of
// the room gets it; [Room.PassHeld] and [Room.DropHeld] decide. It may come twice.
type Held struct {
	// Event is what it will be. It has no position.
	Event *im.Event
	// Wait is how long it waits if nobody decides.
	Wait time.Duration
}

// Decided says that a message which was [Held] waits no more.
type Decided struct {
	// ID is that of Held.Event.
	ID string
	// Status is StatusRefused if it was dropped; otherwise it was accepted as a
	// send is.
	Status Status
}

func (Held) update()    {}
func (Decided) update() {}

// heldUpdate reads the message "held".
func heldUpdate(m *wire.Message) Update {
	if m.Held == nil {
		return Decided{m.Event, Status(m.Status)}
	}
	return Held{event("", m.Held), time.Duration(m.Until) * time.Millisecond}
}

// Modes returns the modes of the room, as of the newest event that has come, and the version
// that they have for [IfVersion]. From Modes.Until on they are over, by the server's clock; see [Client.Ping].
func (r *Room) Modes() (m im.Modes, version uint64) {
	value, version, ok := r.Get(modesKey)
	if !ok || json.Unmarshal(value, &m) != nil {
		return im.Modes{}, version // modes of a later version of the server
	}
	return m, version
}

// SetModes replaces the room's modes, for which the user needs the right to change
// its state. The zero Modes lift all restrictions. It is otherwise like [Room.Set].
func (r *Room) SetModes(ctx context.Context, m im.Modes, opts ...SetOption) (version uint64, err error) {
	var change stateChange
	for _, o := range opts {
		o(&change)
	}
	body := map[string]json.RawMessage{}
	raw, err := json.Marshal(m)
	if err == nil {
		err = json.Unmarshal(raw, &body)
	}
	if err == nil && change.If != nil {
		body["if"], err = json.Marshal(change.If)
	}
	if err == nil {
		raw, err = json.Marshal(body)
	}
	if err != nil {
		return 0, fmt.Errorf("client: encode the modes: %w", err)
	}
	a, err := r.set(ctx, wire.OpModesSet, raw)
	return a.Version, err
}

// PassHeld lets a held message be shown at once, or as soon as no earlier one of
// its sender waits. For a message that waits no more the error has im.CodeNotFound.
func (r *Room) PassHeld(ctx context.Context, id string) error {
	return r.decide(ctx, wire.OpHeldPass, map[string]string{"event": id})
}

// DropHeld refuses a held message, and tells its sender the reason; "" means a
// standard one. It is otherwise like [Room.PassHeld].
func (r *Room) DropHeld(ctx context.Context, id, reason string) error {
	return r.decide(ctx, wire.OpHeldDrop, map[string]string{"event": id, "reason": reason})
}

func (r *Room) decide(ctx context.Context, op string, body map[string]string) error {
	raw, err := encode(body)
	if err != nil {
		return err
	}
	_, err = r.c.doOnce(ctx, r, wire.Request{Op: op, Room: r.name, CID: r.c.newCID(), Body: raw})
	return err
}
