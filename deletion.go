package im

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// Removal says which events of a room are deleted: single ones, or those of a user, or both. The zero
// Removal names none and is refused. See [Room.Remove].
type Removal struct {
	// Positions are where single events stand, and IDs name others by their Event.ID, which are looked for among
	// the newest 5,000 events of the log. Up to 200 together.
	Positions []Position
	IDs       []string

	// User deletes what this user has sent so far, of Kinds.
	User string
	// Kinds are those of which User's events are deleted, up to 32. Defaults to [Danmaku] and [Chat].
	Kinds []Kind
	// Since leaves events of User whose Event.At is earlier, to the millisecond. Zero leaves none.
	Since time.Time

	// Reason reaches everybody who is told of the deletion: all viewers. Up to 512 bytes; empty: none.
	Reason string
}

const (
	deleteType     = "delete" // of the body of a moderation event
	maxRemoved     = 200      // single events in one deletion: their positions fit into a body of 4 KiB
	maxRemoveKinds = 32
	maxReason      = 512 // bytes
)

// Remove deletes events of the room: nobody is shown them any more, on any node and transport. It appends an event
// of the kind [Moderation] that says so, and returns that, once this node has folded it. Sessions that are in the room
// get it at once, so that pages take away what they show; entries, resumed sessions, history, replay and recordings leave out
// what is deleted from there on, as does a slow session that has yet to get it. It works in a closed room too.
//
// Danmaku, chat, gifts, notices and the host's own kinds can be deleted, but for those of the class [Merged]. What the
// hub reads an event for stays: a change of the state stays a change, and a total a total. So [State], [System], Moderation,
// [Tally] and merged events cannot be deleted, and the error for one that is named is CodeBadRequest. A gift stays given.
//
// A Removal of a user is of what was sent before it. It does not end what the user sends later, nor what waits for a
// moderator: that is not in the log yet.
//
// Deleting again what is deleted, or is not kept any more, has no effect and is no error. An ID that is not found is
// CodeNotFound, as is a position of another epoch or after the head. [WithID] and [AsUser] are as for [Room.Send]; AsUser names the moderator to all
// viewers.
//
// Deleted events are hidden, not erased, unless the log is an [Eraser]; the hub then has it erase them in the background. A room
// remembers up to 65,536 single deletions and 10,000 of users, of which a user has up to 8. Where there are more, the oldest is
// forgotten, and everything up to its place, of all users, is hidden with it, so that nothing comes back; of a user's own, the two oldest become one that hides
// what either did.
func (r *Room) Remove(ctx context.Context, what Removal, opts ...SendOption) (*Event, error) {
	if err := r.hub.checkRemoval(&what); err != nil {
		return nil, err
	}
	e := &Event{Kind: Moderation}
	for _, opt := range opts {
		opt(e)
	}
	if e.ID != "" && !validID(e.ID, maxID) {
		return nil, errorf(CodeBadRequest, "an event id is 1 to %d bytes of UTF-8 without control characters", maxID)
	}
	c, err := r.hub.core(ctx, r.id)
	if err != nil {
		return nil, err
	}
	defer c.release()
	body, err := c.deletion(ctx, &what)
	if err != nil {
		return nil, err
	}
	if e.Body, err = r.hub.encodeBody(body); err != nil {
		return nil, err
	}
	named := e.ID != ""
	if !named {
		r.hub.name(ctx, e)
	}
	e, fresh, err := c.store(ctx, e)
	if err != nil {
		return nil, err
	}
	if err := c.await(ctx, e.Pos); err != nil {
		return e, err
	}
	c.folded(func(*fold) {})
	if d, ok := DeletionOf(e); ok {
		c.eraseLater(&d)
	}
	if !named && !fresh {
		if first := c.stored(ctx, e.ID, e.Pos); first != nil {
			return first, nil
		}
	}
	return e, nil
}

// checkRemoval reports what is wrong with a removal before the room is asked, and completes it.
func (h *Hub) checkRemoval(w *Removal) error {
	single := len(w.Positions) + len(w.IDs)
	switch {
	case single == 0 && w.User == "":
		return errorf(CodeBadRequest, "the removal names nothing: set Positions, IDs or User")
	case single > maxRemoved:
		return errorf(CodeBadRequest, "the removal names %d events; at most %d go into one", single, maxRemoved)
	case w.User == "" && (len(w.Kinds) > 0 || !w.Since.IsZero()):
		return errorf(CodeBadRequest, "Removal.Kinds and Since are of a User: set that as well")
	case w.User != "" && !validID(w.User, maxID):
		return errorf(CodeBadRequest, "Removal.User is the id of a user, 1 to %d bytes of UTF-8 without control characters", maxID)
	case len(w.Kinds) > maxRemoveKinds:
		return errorf(CodeBadRequest, "Removal.Kinds are at most %d", maxRemoveKinds)
	case !w.Since.IsZero() && (w.Since.UnixMilli() <= 0 || w.Since.UnixMilli() > MaxSeq):
		return errorf(CodeBadRequest, "Removal.Since must be a time since 1970")
	case len(w.Reason) > maxReason:
		return errorf(CodeTooLarge, "the reason has %d bytes; the limit is %d", len(w.Reason), maxReason)
	}
	for _, k := range w.Kinds {
		spec, ok := h.kinds[k]
		switch {
		case !ok:
			return errorf(CodeNotFound, "kind %q is neither built in nor in Options.Kinds", k)
		case !removable(k, spec.Class):
			return errorf(CodeBadRequest, "events of kind %q cannot be deleted", k)
		}
	}
	if w.User != "" && len(w.Kinds) == 0 {
		w.Kinds = removedByDefault()
	}
	return nil
}

func removedByDefault() []Kind { return []Kind{Danmaku, Chat} }

// removable reports whether events of a kind can be deleted: the hub reads them for nothing but to
// show them.
func removable(kind Kind, class Class) bool {
	switch kind {
	case State, System, Moderation, Tally, Like, Presence:
		return false
	}
	return class != Merged
}

// deletionBody is the body of a moderation event that deletes others.
type deletionBody struct {
	Type   string   `json:"type"`
	Epoch  string   `json:"epoch"` // of the log that it was meant for
	Seqs   []uint64 `json:"seqs,omitempty"`
	User   string   `json:"user,omitempty"`
	Kinds  []Kind   `json:"kinds,omitempty"`
	Since  int64    `json:"since,omitempty"` // in milliseconds since 1970
	Reason string   `json:"reason,omitempty"`
}

// deletion makes the body of a removal: events become their places in the log.
func (c *core) deletion(ctx context.Context, w *Removal) (*deletionBody, error) {
	epoch, head := c.foldedTo()
	b := &deletionBody{Type: deleteType, Epoch: epoch, User: w.User, Kinds: w.Kinds, Reason: w.Reason}
	if !w.Since.IsZero() {
		b.Since = w.Since.Add(time.Millisecond - 1).UnixMilli()
	}
	for _, p := range w.Positions {
		if p.Epoch != epoch || p.Seq == 0 || p.Seq > head {
			return nil, errorf(CodeNotFound, "there is no event at %v: the room's log is at %v", p, Position{epoch, head})
		}
		e, err := c.lastUpTo(ctx, p)
		if err != nil {
			return nil, asError(err)
		}
		if e != nil && e.Pos == p && !removable(e.Kind, e.Class) {
			return nil, errorf(CodeBadRequest, "the event at %v is of the kind %q, which cannot be deleted", p, e.Kind)
		}
		b.Seqs = append(b.Seqs, p.Seq)
	}
	if len(w.IDs) > 0 {
		seqs, err := c.find(ctx, Position{epoch, head + 1}, w.IDs)
		if err != nil {
			return nil, err
		}
		b.Seqs = append(b.Seqs, seqs...)
	}
	slices.Sort(b.Seqs)
	b.Seqs = slices.Compact(b.Seqs)
	return b, nil
}

// find looks for events by their ids, from the newest on.
func (c *core) find(ctx context.Context, before Position, ids []string) (seqs []uint64, err error) {
	missing := map[string]bool{}
	for _, id := range ids {
		missing[id] = true
	}
	for read := 0; len(missing) > 0 && read < scanMost; {
		page, err := c.hub.opts.Log.Read(ctx, c.id, Range{Before: before, Newest: true, Max: scanChunk})
		if err != nil {
			return nil, asError(err)
		}
		for _, e := range page.Events {
			switch {
			case !missing[e.ID]:
			case !removable(e.Kind, e.Class):
				return nil, errorf(CodeBadRequest, "event %q is of the kind %q, which cannot be deleted", e.ID, e.Kind)
			default:
				delete(missing, e.ID)
				seqs = append(seqs, e.Pos.Seq)
			}
		}
		if !page.More || len(page.Events) == 0 {
			break
		}
		read += len(page.Events)
		before = page.Events[0].Pos
	}
	for id := range missing {
		return nil, errorf(CodeNotFound, "there is no event %q among the newest of the room", id)
	}
	return seqs, nil
}

// Deletion is what an event of the kind [Moderation] says that is made by [Room.Remove]. Get one with
// [DeletionOf], and ask it with Deletes.
type Deletion struct {
	// Pos is where the deletion stands. It is of events before that.
	Pos Position
	// Seqs are the places of single events, in rising order.
	Seqs []uint64
	// User, if not empty, is whose events of Kinds are deleted, those since a time if Since is set.
	User   string
	Kinds  []Kind
	Since  time.Time
	Reason string
}

// DeletionOf reads what an event deletes. It reports false for one that deletes nothing, such as of
// another kind.
func DeletionOf(e *Event) (Deletion, bool) {
	var b deletionBody
	if e.Kind != Moderation || json.Unmarshal(e.Body, &b) != nil || b.Type != deleteType || b.Epoch != e.Pos.Epoch {
		return Deletion{}, false
	}
	if b.Since < 0 || b.Since > MaxSeq || b.User != "" && !validID(b.User, maxID) || len(b.Kinds) > maxRemoveKinds {
		return Deletion{}, false
	}
	d := Deletion{Pos: e.Pos, User: b.User, Reason: b.Reason}
	d.Seqs = slices.DeleteFunc(b.Seqs, func(seq uint64) bool { return seq == 0 || seq >= e.Pos.Seq })
	slices.Sort(d.Seqs)
	if b.User != "" {
		if d.Kinds = b.Kinds; len(d.Kinds) == 0 {
			d.Kinds = removedByDefault()
		}
		if b.Since > 0 {
			d.Since = time.UnixMilli(b.Since)
		}
	}
	return d, len(d.Seqs) > 0 || d.User != ""
}

// Deletes reports whether an event of the same room is one of those that are deleted.
func (d *Deletion) Deletes(e *Event) bool {
	if e.Pos.Epoch != d.Pos.Epoch || e.Pos.Seq >= d.Pos.Seq || e.Pos.Seq == 0 || !removable(e.Kind, e.Class) {
		return false
	}
	if _, ok := slices.BinarySearch(d.Seqs, e.Pos.Seq); ok {
		return true
	}
	return d.User != "" && e.From.ID == d.User && slices.Contains(d.Kinds, e.Kind) && !e.At.Before(d.Since)
}

// mayDelete reports whether Deletes might, of an event of which only the place and the sender are known.
func (d *Deletion) mayDelete(seq uint64, from string) bool {
	if d.User != "" && d.User == from {
		return true
	}
	_, ok := slices.BinarySearch(d.Seqs, seq)
	return ok
}

// isDeletion reports whether a body is one of Remove.
func isDeletion(body json.RawMessage) bool {
	var b struct {
		Type string `json:"type"`
	}
	return json.Unmarshal(body, &b) == nil && b.Type == deleteType
}
