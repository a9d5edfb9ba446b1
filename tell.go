package im

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/liveim/im/internal/wire"
)

// maxTold is how many bytes the body of one kind may have that a room is told.
const maxTold = 4 << 10

// told is what a room is told that is of interest now and not later. It is a plain struct that the
// room's lock guards; the zero value is one in which nothing is.
type told struct {
	bodies  map[Kind]json.RawMessage
	encoded json.RawMessage // bodies as one object, shared by all messages that carry it; nil: there are none
	news    bool            // sessions have not been told
}

// set replaces the body of a kind; nil removes it, which is no news.
func (t *told) set(kind Kind, body json.RawMessage) {
	if body == nil {
		delete(t.bodies, kind)
	} else {
		if t.bodies == nil {
			t.bodies = map[Kind]json.RawMessage{}
		}
		t.bodies[kind], t.news = body, true
	}
	if len(t.bodies) == 0 {
		*t = told{}
		return
	}
	all := []byte{'{'}
	for i, k := range slices.Sorted(maps.Keys(t.bodies)) {
		if i > 0 {
			all = append(all, ',')
		}
		all = append(append(wire.AppendString(all, string(k)), ':'), t.bodies[k]...)
	}
	t.encoded = append(all, '}')
}

// Tell tells the sessions that are in the room on this node something that is of interest now and not
// later, such as who is there. It has no position and is not stored; of several bodies of one kind the last
// one counts. It costs no message of its own: it comes in the field "told" of the "online" message, by its kind,
// as often as the room's count is told, which is once a second at most, and less often in rooms of
// more than 2,000 sessions. Who comes in gets it with "joined". Sessions that are slow get the last
// one; those in between are left out.
//
// body is anything that encodes to JSON, up to 4 KiB; nil removes what was told of the kind, without a
// word. Each message carries what was told last of all kinds, so the same body may come again. The kind
// is one of the class Merged that clients may not send, such as [Presence].
//
// A room that is not in use on this node is told nothing, and forgets what it was told when it is unloaded. Tell
// does not wait for anybody, and may be called by an observer.
func (r *Room) Tell(kind Kind, body any) error {
	if spec := r.hub.kinds[kind]; spec.Class != Merged || spec.From != nil {
		return errorf(CodeBadRequest, "kind %q is not one of the class Merged that clients may not send: declare it in Options.Kinds", kind)
	}
	var raw json.RawMessage
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return errorf(CodeBadRequest, "the body does not encode to JSON: %v", err)
		}
		if len(raw) > maxTold {
			return errorf(CodeTooLarge, "the body has %d bytes; a room is told %d of a kind at most", len(raw), maxTold)
		}
	}
	c, ok := r.hub.rooms.get(r.id)
	if !ok {
		return nil
	}
	select {
	case <-c.opened:
	default:
		return nil // nobody is in yet
	}
	if c.openErr != nil {
		return nil
	}
	c.mu.Lock()
	c.told.set(kind, raw)
	c.mu.Unlock()
	c.planAnnouncement()
	return nil
}
