package moderate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/liveim/im"
)

// Pin is something that stands above the messages of a room. It is the value of a key of the state that begins with
// "mod.pin.", so that whoever joins sees it.
type Pin struct {
	ID    string    `json:"id"`
	Text  string    `json:"text"`
	Event string    `json:"event,omitempty"` // the id of the message that it repeats, if it does
	From  string    `json:"from,omitempty"`  // the name of who said that
	By    string    `json:"by,omitempty"`    // the id of who pinned it
	At    time.Time `json:"at"`
	Until time.Time `json:"until,omitzero"`
}

// PinPrefix is what the keys of pins begin with.
const PinPrefix = "mod.pin."

const (
	maxPins    = 8
	maxPinText = 1000 // bytes
)

// PinText puts a text above the messages of a room, for d or, if d is 0, until it is taken away. id names the pin: another one under the
// same id is replaced. A room has up to 8.
func (m *Moderation) PinText(ctx context.Context, room string, p Pin, d time.Duration) error {
	switch {
	case p.ID == "" || len(p.ID) > 64 || strings.ContainsFunc(p.ID, func(r rune) bool { return r < ' ' || r == utf8.RuneError }):
		return badRequest("the id of a pin has 1 to 64 bytes")
	case p.Text == "" || len(p.Text) > maxPinText:
		return badRequest("the text of a pin has 1 to %d bytes", maxPinText)
	case d < 0 || d > maxPeriod:
		return badRequest("a pin stays up to %d days, or until it is taken away", int(maxPeriod/(24*time.Hour)))
	}
	pins, err := m.Pins(ctx, room)
	if err != nil {
		return err
	}
	if len(pins) >= maxPins && !slices.ContainsFunc(pins, func(o Pin) bool { return o.ID == p.ID }) {
		return &im.Error{Code: im.CodeConflict, Reason: fmt.Sprintf("a room has at most %d pins: take one away first", maxPins)}
	}
	var opts []im.SetOption
	p.At, p.Until = m.opts.Now(), time.Time{}
	if d > 0 {
		p.Until = p.At.Add(d)
		opts = append(opts, im.WithTTL(d))
	}
	if _, err := m.hub.Room(room).Set(ctx, PinPrefix+p.ID, p, opts...); err != nil {
		return err
	}
	m.decide(ctx, room, Decision{Action: "pin", By: p.By, Event: p.Event, Text: p.Text, Until: p.Until})
	return nil
}

// Unpin takes a pin away. One that is not there is no error.
func (m *Moderation) Unpin(ctx context.Context, room, id, by string) error {
	if err := m.hub.Room(room).Delete(ctx, PinPrefix+id); err != nil {
		return err
	}
	m.decide(ctx, room, Decision{Action: "unpin", By: by, Reason: id})
	return nil
}

// Pins returns what is pinned in a room, the newest first.
func (m *Moderation) Pins(ctx context.Context, room string) ([]Pin, error) {
	all, err := m.hub.Room(room).State().All(ctx)
	if err != nil {
		return nil, err
	}
	pins := []Pin{}
	for key, value := range all {
		if !strings.HasPrefix(key, PinPrefix) {
			continue
		}
		var p Pin
		if err := json.Unmarshal(value, &p); err == nil { // else it is the host's own under this name
			pins = append(pins, p)
		}
	}
	slices.SortFunc(pins, func(a, b Pin) int { return b.At.Compare(a.At) })
	return pins, nil
}

// pinEvent pins a message that was said.
func (m *Moderation) pinEvent(ctx context.Context, room string, seq uint64, by string, d time.Duration) error {
	e, err := m.find(ctx, room, seq)
	if err != nil {
		return err
	}
	text := textOf(e.Body)
	if text == "" {
		return badRequest("the message has no text that could be pinned")
	}
	for len(text) > maxPinText {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return m.PinText(ctx, room, Pin{ID: fmt.Sprint(seq), Text: text, Event: e.ID, From: e.From.Name, By: by}, d)
}

// find returns a message of a room as viewers see it.
func (m *Moderation) find(ctx context.Context, room string, seq uint64) (*im.Event, error) {
	if seq < 1 || seq >= im.MaxSeq {
		return nil, badRequest(`"seq" is the place of a message`)
	}
	head, err := m.hub.Room(room).Position(ctx)
	if err != nil {
		return nil, err
	}
	page, err := m.hub.Room(room).History(ctx, im.HistoryQuery{Before: im.Position{Epoch: head.Epoch, Seq: seq + 1}, Newest: true, Max: 1})
	if err != nil {
		return nil, err
	}
	if len(page.Events) == 0 || page.Events[0].Pos.Seq != seq {
		return nil, &im.Error{Code: im.CodeNotFound, Reason: "there is no such message, or not any more"}
	}
	return page.Events[0], nil
}
