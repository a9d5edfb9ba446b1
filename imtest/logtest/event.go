package logtest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/liveim/im"
)

// Event returns an event as a hub hands it to Log.Append: accepted now, from a
// user, with a digest of kind and body, so that the same arguments make a retry
// of the same event, and another body makes a conflict. body is one JSON value.
func Event(kind im.Kind, class im.Class, id, body string) *im.Event {
	sum := sha256.Sum256([]byte(string(kind) + "\x00" + body))
	return &im.Event{
		ID:     id,
		Kind:   kind,
		Class:  class,
		At:     time.Now(),
		From:   im.Author{ID: "user-1", Name: "小明 \"<&>"},
		Body:   []byte(body),
		Digest: hex.EncodeToString(sum[:16]),
	}
}

// Events returns one event of the class for each id, of a built-in kind of
// that class, with the id in the body.
func Events(class im.Class, ids ...string) []*im.Event {
	kind := map[im.Class]im.Kind{
		im.Critical: im.Gift, im.Normal: im.Chat, im.Volatile: im.Danmaku, im.Merged: im.Like,
	}[class]
	events := make([]*im.Event, len(ids))
	for i, id := range ids {
		events[i] = Event(kind, class, id, fmt.Sprintf(`{"text":%q}`, hex.EncodeToString([]byte(id))))
	}
	return events
}

// differ says in which field two events differ, or returns "" if they are the
// same but for Pos. Times count to the millisecond.
func differ(got, want *im.Event) string {
	field := func(name string, got, want any) string {
		return fmt.Sprintf("%s is %v, but %v was appended", name, got, want)
	}
	switch {
	case got.ID != want.ID:
		return field("ID", fmt.Sprintf("%q", got.ID), fmt.Sprintf("%q", want.ID))
	case got.Kind != want.Kind:
		return field("Kind", got.Kind, want.Kind)
	case got.Class != want.Class:
		return field("Class", got.Class, want.Class)
	case !got.At.Truncate(time.Millisecond).Equal(want.At.Truncate(time.Millisecond)):
		return field("At", got.At, want.At)
	case got.From != want.From:
		return field("From", got.From, want.From)
	case string(got.Body) != string(want.Body):
		return field("Body", string(got.Body), string(want.Body))
	case got.Digest != want.Digest:
		return field("Digest", got.Digest, want.Digest)
	}
	return ""
}

// idsOf returns the IDs of events, in their order.
func idsOf(events []*im.Event) []string {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids
}
