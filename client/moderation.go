package client

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/liveim/im"
)

// Moderation is what the staff of a room may do, on servers that have package moderate. The others answer
// everything with im.CodeNotFound, and who lacks the right gets im.CodeForbidden. docs/protocol.md has the rights.
type Moderation struct{ room *Room }

// Moderation returns the moderation of the room. It costs nothing.
func (r *Room) Moderation() Moderation { return Moderation{r} }

// Offender is whom a sanction is about: a user, or an address or prefix, or a device. With a user, By may be "address" or "device" for
// those that the user has now in place of the user.
type Offender struct {
	User   string `json:"user,omitempty"`
	Prefix string `json:"prefix,omitempty"`
	Device string `json:"device,omitempty"`
	By     string `json:"by,omitempty"`
	Hub    bool   `json:"hub,omitempty"` // in all rooms
}

// Sanction is a mute, ban or shadow mute that is in force.
type Sanction struct {
	Sort   string    `json:"sort"` // "mute", "ban" or "shadow"
	Target Offender  `json:"target"`
	Room   string    `json:"room"` // empty: all
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until"` // zero: for good
}

// WaitingMessage is one that waits until a moderator lets it through.
type WaitingMessage struct {
	Event string          `json:"event"`
	Kind  im.Kind         `json:"kind"`
	From  im.Author       `json:"from"`
	Body  json.RawMessage `json:"body"`
	At    time.Time       `json:"at"`
	Until time.Time       `json:"until"`
	Why   string          `json:"why"`
}

// UserReport is a message that users have reported.
type UserReport struct {
	ID      string    `json:"id"`
	Seq     uint64    `json:"seq"`
	Event   string    `json:"event"`
	User    string    `json:"user"`
	Text    string    `json:"text"`
	Reasons []string  `json:"reasons"`
	Count   int       `json:"count"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}

// Decision is something that was decided about a message or a user, and why.
type Decision struct {
	At     time.Time `json:"at"`
	Action string    `json:"action"`
	By     string    `json:"by"`
	User   string    `json:"user"`
	Target string    `json:"target"`
	Event  string    `json:"event"`
	Text   string    `json:"text"`
	Rule   string    `json:"rule"`
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"`
}

// call calls an operation, and decodes its answer into what into points to, if that is not nil.
func (m Moderation) call(ctx context.Context, op string, body, into any) error {
	got, err := m.room.c.Call(ctx, op, m.room.name, body)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(got.Body, into); err != nil {
		return fmt.Errorf("client: the answer to %s does not decode: %w", op, err)
	}
	return nil
}

// sanction is the body of operations about an offender.
type sanction struct {
	Offender
	Millis int64  `json:"ms,omitempty"`
	Reason string `json:"reason,omitempty"`
}

func (m Moderation) impose(ctx context.Context, op string, who Offender, d time.Duration, reason string) ([]Sanction, error) {
	var got struct{ Sanctions []Sanction }
	err := m.call(ctx, op, sanction{who, d.Milliseconds(), reason}, &got)
	return got.Sanctions, err
}

// Mute has somebody see everything and send nothing, for d, or for good if d is 0.
func (m Moderation) Mute(ctx context.Context, who Offender, d time.Duration, reason string) ([]Sanction, error) {
	return m.impose(ctx, "mod.mute", who, d, reason)
}

// Ban puts somebody out and keeps them out. It is otherwise as Mute.
func (m Moderation) Ban(ctx context.Context, who Offender, d time.Duration, reason string) ([]Sanction, error) {
	return m.impose(ctx, "mod.ban", who, d, reason)
}

// Shadow has nobody shown what somebody sends, who is told nothing of that. It is otherwise as Mute.
func (m Moderation) Shadow(ctx context.Context, who Offender, d time.Duration, reason string) ([]Sanction, error) {
	return m.impose(ctx, "mod.shadow", who, d, reason)
}

// Unmute, Unban and Unshadow end a sanction. One that is not there is no error.
func (m Moderation) Unmute(ctx context.Context, who Offender) error {
	return m.call(ctx, "mod.unmute", sanction{Offender: who}, nil)
}

// Unban ends a ban; see Unmute.
func (m Moderation) Unban(ctx context.Context, who Offender) error {
	return m.call(ctx, "mod.unban", sanction{Offender: who}, nil)
}

// Unshadow ends a shadow mute; see Unmute.
func (m Moderation) Unshadow(ctx context.Context, who Offender) error {
	return m.call(ctx, "mod.unshadow", sanction{Offender: who}, nil)
}

// Kick puts a user out of the room, who may come back.
func (m Moderation) Kick(ctx context.Context, user, reason string) error {
	return m.call(ctx, "mod.kick", map[string]string{"user": user, "reason": reason}, nil)
}

// Sanctions returns those that are in force in the room, or with hub in all rooms.
func (m Moderation) Sanctions(ctx context.Context, hub bool) ([]Sanction, error) {
	var got struct{ Sanctions []Sanction }
	err := m.call(ctx, "mod.sanctions", map[string]bool{"hub": hub}, &got)
	return got.Sanctions, err
}

// Delete deletes messages by their places in the room's log.
func (m Moderation) Delete(ctx context.Context, reason string, seqs ...uint64) error {
	return m.call(ctx, "mod.delete", map[string]any{"seqs": seqs, "reason": reason}, nil)
}

// DeleteAll deletes what a user has said so far, of the given kinds; of none: danmaku and chat.
func (m Moderation) DeleteAll(ctx context.Context, user, reason string, kinds ...im.Kind) error {
	return m.call(ctx, "mod.delete", map[string]any{"user": user, "kinds": kinds, "reason": reason}, nil)
}

// Approve says of which kinds messages wait for approval from now on. None: nothing waits.
func (m Moderation) Approve(ctx context.Context, kinds ...im.Kind) error {
	return m.call(ctx, "mod.approval", map[string]any{"kinds": kinds}, nil)
}

// Waiting returns what waits on the server that the client is connected to.
func (m Moderation) Waiting(ctx context.Context) ([]WaitingMessage, error) {
	var got struct{ Waiting []WaitingMessage }
	err := m.call(ctx, "mod.waiting", struct{}{}, &got)
	return got.Waiting, err
}

// Pass shows a message that waits.
func (m Moderation) Pass(ctx context.Context, event string) error {
	return m.call(ctx, "mod.pass", map[string]string{"event": event}, nil)
}

// Refuse refuses a message that waits, and tells its sender the reason.
func (m Moderation) Refuse(ctx context.Context, event, reason string) error {
	return m.call(ctx, "mod.refuse", map[string]string{"event": event, "reason": reason}, nil)
}

// SetModes replaces the room's modes, with the right to moderate alone; see [Room.SetModes].
func (m Moderation) SetModes(ctx context.Context, modes im.Modes) error {
	return m.call(ctx, "mod.modes", map[string]any{"modes": modes}, nil)
}

// PinMessage pins a message, for d or, if d is 0, until it is taken away. The pin's id is seq in digits.
func (m Moderation) PinMessage(ctx context.Context, seq uint64, d time.Duration) error {
	return m.call(ctx, "mod.pin", map[string]any{"seq": seq, "ms": d.Milliseconds()}, nil)
}

// PinText pins a text under an id; it is otherwise as PinMessage.
func (m Moderation) PinText(ctx context.Context, id, text string, d time.Duration) error {
	return m.call(ctx, "mod.pin", map[string]any{"id": id, "text": text, "ms": d.Milliseconds()}, nil)
}

// Unpin takes a pin away.
func (m Moderation) Unpin(ctx context.Context, id string) error {
	return m.call(ctx, "mod.unpin", map[string]string{"id": id}, nil)
}

// Announce sends the room a notice.
func (m Moderation) Announce(ctx context.Context, text string) error {
	return m.call(ctx, "mod.announce", map[string]string{"text": text}, nil)
}

// Report reports a message to the staff, which most users may.
func (m Moderation) Report(ctx context.Context, seq uint64, reason string) error {
	return m.call(ctx, "mod.report", map[string]any{"seq": seq, "reason": reason}, nil)
}

// Reports returns the open reports on the server that the client is connected to.
func (m Moderation) Reports(ctx context.Context) ([]UserReport, error) {
	var got struct{ Reports []UserReport }
	err := m.call(ctx, "mod.reports", struct{}{}, &got)
	return got.Reports, err
}

// Resolve closes a report.
func (m Moderation) Resolve(ctx context.Context, id, how string) error {
	return m.call(ctx, "mod.resolve", map[string]string{"id": id, "reason": how}, nil)
}

// Why returns what was decided about a user or a message, newest first. Empty ids mean any.
func (m Moderation) Why(ctx context.Context, user, event string) ([]Decision, error) {
	var got struct{ Decisions []Decision }
	err := m.call(ctx, "mod.why", map[string]string{"user": user, "event": event}, &got)
	return got.Decisions, err
}
