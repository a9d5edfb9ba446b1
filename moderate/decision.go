package moderate

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Decision is something that was decided about a message or a user, and why.
type Decision struct {
	At     time.Time `json:"at"`
	Room   string    `json:"room,omitempty"` // empty: of all rooms
	Action string    `json:"action"`         // "block", "mask", "hold", "pass", "refuse", "mute", "lift mute", "delete", …
	By     string    `json:"by,omitempty"`   // the id of who decided; empty: a check, or the host
	User   string    `json:"user,omitempty"` // whom it concerns
	Target string    `json:"target,omitempty"`
	Event  string    `json:"event,omitempty"` // the id of the message
	Text   string    `json:"text,omitempty"`  // what the message said
	Rule   string    `json:"rule,omitempty"`  // of a check
	Reason string    `json:"reason,omitempty"`
	Until  time.Time `json:"until,omitzero"`
}

// decisions are the last ones of a room on this node. The zero value is empty.
type decisions struct {
	mu   sync.Mutex // guards list
	list []Decision // oldest first
}

// decide notes a decision, and has it audited.
func (m *Moderation) decide(ctx context.Context, room string, d Decision) {
	d.At, d.Room = m.opts.Now(), room
	list := m.decisions.of(room)
	list.mu.Lock()
	if len(list.list) >= m.opts.Decisions {
		list.list = slices.Delete(list.list, 0, 1+m.opts.Decisions/10)
	}
	list.list = append(list.list, d)
	list.mu.Unlock()
	if m.opts.Audit == nil {
		return
	}
	// It has happened, also if whoever wanted it is gone.
	if err := m.opts.Audit(context.WithoutCancel(ctx), "mod."+d.Action, d); err != nil {
		m.opts.Logger.Error("moderate: a decision could not be audited", "action", d.Action, "room", room, "error", err)
	}
}

// Why returns the decisions about a message, or about a user, that this node remembers of a room, the newest first. Empty
// ids mean any.
func (m *Moderation) Why(room, user, event string) []Decision {
	out := []Decision{}
	list := m.decisions.get(room)
	if list == nil {
		return out
	}
	list.mu.Lock()
	defer list.mu.Unlock()
	for _, d := range slices.Backward(list.list) {
		if (user == "" || d.User == user) && (event == "" || d.Event == event) {
			out = append(out, d)
		}
	}
	return out
}
