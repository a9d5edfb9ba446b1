package im

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Position is a place in a room's log: what a client remembers and hands back
// to go on where it was.
//
// Seq rises strictly within one (room, epoch) and stays below 2^53, so that
// JavaScript can hold it, but it is not contiguous: never test for Seq+1. A new
// Epoch means that the old log is gone. The zero Position lies before
// everything that is kept.
type Position struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// MaxSeq is the largest sequence number that a log may give.
const MaxSeq = 1<<53 - 1

// IsZero reports whether p is the zero Position, the place before everything.
func (p Position) IsZero() bool { return p == Position{} }

// String returns p as "epoch.seq", the form that URLs and SSE ids carry.
func (p Position) String() string { return p.Epoch + "." + strconv.FormatUint(p.Seq, 10) }

// ParsePosition reads the form that [Position.String] writes. The empty string
// is the zero Position.
func ParsePosition(s string) (Position, error) {
	if s == "" {
		return Position{}, nil
	}
	i := strings.LastIndexByte(s, '.')
	if i < 1 {
		return Position{}, fmt.Errorf("position %q: want epoch.seq, as the server sent it", s)
	}
	seq, err := strconv.ParseUint(s[i+1:], 10, 64)
	if err != nil || seq > MaxSeq {
		return Position{}, fmt.Errorf("position %q: the part after the dot must be a number below 2^53", s)
	}
	return Position{Epoch: s[:i], Seq: seq}, nil
}

// Author is who an event is from, as viewers see it.
type Author struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// Event is one entry of a room's log. It is immutable once accepted: whoever
// receives an Event, from a hook, a history page or a [Log], must not change it
// or the bytes of Body.
type Event struct {
	// Pos is where the event stands. It is zero until a log has stored the
	// event to the standard of its class.
	Pos Position
	// ID names the event. It is formed from the sender and the sender's client
	// id, so that a retry has the same ID; for events of the host it is random
	// unless the host gives one.
	ID string
	// Kind says what the event is, Class how it is kept and delivered.
	Kind  Kind
	Class Class
	// At is when the event was accepted, by the clock of the node that did so.
	At time.Time
	// From is the sender. Its ID is empty for events of the host application.
	From Author
	// Body is one JSON value, 4 KiB at most unless Options.Bounds.Body says otherwise.
	Body json.RawMessage
	// N is how many equal messages the event stands for, itself included; 0 is the
	// same as 1. See [Flow].
	N int
	// Digest is a keyed hash of what was sent. A log compares it to tell the
	// retry of a send (equal) from another send under the same ID (a conflict).
	Digest string
}

// Decode reads the body of an event into a T. It is the counterpart of the
// values that Room.Send takes.
//
//	gift, err := im.Decode[Gift](ev)
func Decode[T any](e *Event) (T, error) {
	var v T
	if err := json.Unmarshal(e.Body, &v); err != nil {
		return v, fmt.Errorf("decode the body of %s event %s into %T: %w", e.Kind, e.ID, v, err)
	}
	return v, nil
}
