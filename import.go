package im

import (
	"context"
	"encoding/json"
	"time"
)

// Import appends the events of a recording to the room as they are: with their own ID, Kind,
// At, From, Body and N. It returns one result per event, in order, once this node's history
// shows them; positions and classes that they came with do not count. Neither limits nor
// interceptors apply, and nothing but showing them happens: an imported gift is a gift that was
// given once, not one that is given again. Package recording reads files of events.
//
// Import into a room of its own. Sessions that are in the room see what is imported at once, and
// history is read by time on the understanding that times rise with positions: within one call an
// event that is more than 10 s earlier than one before it is refused.
//
// Each event needs an ID, and importing it again has no second effect for as long as the log
// remembers it; an ID that was used for other content is a result with the status [Conflict]. State
// events are applied without their conditions, in place of whatever the room's state was. System,
// moderation and tally events, which tell of another room's events, and changes of the room's
// modes are refused with CodeBadRequest: leave them out. An error is for the whole call, as [Log.Append] has it.
func (r *Room) Import(ctx context.Context, events []*Event) ([]Appended, error) {
	if len(events) == 0 {
		return nil, nil
	}
	ready := make([]*Event, len(events))
	var latest time.Time
	for i, e := range events {
		var err error
		if ready[i], err = r.hub.imported(e); err != nil {
			return nil, err
		}
		if e.At.Before(latest.Add(-historySlack)) {
			return nil, errorf(CodeBadRequest, "event %q is %v earlier than one before it: sort them by time", e.ID, latest.Sub(e.At))
		}
		if e.At.After(latest) {
			latest = e.At
		}
	}
	c, err := r.hub.core(ctx, r.id)
	if err != nil {
		return nil, err
	}
	defer c.release()
	if c.isClosed() {
		return nil, ErrRoomClosed
	}
	results, err := c.storeReady(ctx, ready)
	if err != nil {
		return nil, err
	}
	last := Position{}
	for _, a := range results {
		if a.Status == Stored {
			last = a.Pos
		}
	}
	if !last.IsZero() {
		if err := c.await(ctx, last); err != nil {
			return results, err
		}
	}
	return results, nil
}

// imported returns a copy of an event of a recording as it is stored, or what is wrong with it.
func (h *Hub) imported(e *Event) (*Event, error) {
	spec, ok := h.kinds[e.Kind]
	switch {
	case !validID(e.ID, maxID):
		return nil, errorf(CodeBadRequest, "event id %q: want 1 to %d bytes of UTF-8 without control characters", e.ID, maxID)
	case !ok:
		return nil, errorf(CodeNotFound, "event %q: kind %q is neither built in nor in Options.Kinds", e.ID, e.Kind)
	case !CanImport(e):
		return nil, errorf(CodeBadRequest, "event %q of kind %q tells of the room that it was in: leave it out", e.ID, e.Kind)
	case e.At.IsZero() || e.At.UnixMilli() < 0 || e.At.UnixMilli() > MaxSeq:
		return nil, errorf(CodeBadRequest, "event %q: At must be a time since 1970", e.ID)
	case e.From.ID != "" && !validID(e.From.ID, maxID) || e.From.Name != "" && !validID(e.From.Name, maxName):
		return nil, errorf(CodeBadRequest, "event %q: its author has no valid id and name", e.ID)
	case e.N < 0 || uint64(e.N) > MaxSeq:
		return nil, errorf(CodeBadRequest, "event %q: N is %d, want 0 to 2^53-1", e.ID, e.N)
	}
	copied := *e
	copied.Pos, copied.Class = Position{}, spec.Class
	var err error
	if copied.Body, err = h.importedBody(e); err != nil {
		return nil, err
	}
	copied.Digest = h.digest(copied.Kind, copied.From.ID, copied.Body)
	return &copied, nil
}

// importedBody checks a body, and takes a state event's condition away: it held when it was recorded.
func (h *Hub) importedBody(e *Event) (json.RawMessage, error) {
	if e.Kind == State {
		var change stateChange
		if err := json.Unmarshal(e.Body, &change); err != nil {
			return nil, errorf(CodeBadRequest, "event %q: the body of a state event is a change of the state", e.ID)
		}
		change.If = nil
		return h.encodeBody(change)
	}
	if len(e.Body) == 0 {
		return nil, nil
	}
	body, err := h.encodeBody(e.Body)
	if err != nil {
		return nil, errorf(asError(err).Code, "event %q: %v", e.ID, err)
	}
	return body, nil
}

// CanImport reports whether an event means anything in another room than the one it was recorded
// in, and so whether [Room.Import] takes it.
func CanImport(e *Event) bool {
	switch e.Kind {
	case System, Moderation, Tally:
		return false
	case State:
		var change stateChange
		return json.Unmarshal(e.Body, &change) == nil && checkStateKey(change.Key) == nil && !isPrivate(change.Key)
	}
	return true
}
