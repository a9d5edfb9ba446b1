package im

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// append stores an event of the host or of a client in an open room.
func (c *core) append(ctx context.Context, e *Event) (*Event, error) {
	if c.isClosed() {
		return nil, ErrRoomClosed
	}
	return c.store(ctx, e)
}

func (c *core) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fold.closed
}

// store completes e, appends it to the log and returns it with its position. A
// retry of something that is stored returns the position of the first.
func (c *core) store(ctx context.Context, e *Event) (*Event, error) {
	h := c.hub
	e.Class = h.kinds[e.Kind].Class
	e.At = h.opts.Now()
	e.Digest = h.digest(e)
	results, err := h.opts.Log.Append(ctx, c.id, []*Event{e})
	if err != nil {
		if h.life.Err() != nil {
			return nil, ErrClosed
		}
		if e := asError(err); e.Code == CodeTimeout {
			return nil, e
		}
		h.opts.Logger.Error("the log refused an event", "room", c.id, "kind", e.Kind, "error", err)
		return nil, &Error{Code: CodeTimeout, RetryAfter: time.Second, cause: err}
	}
	switch r := results[0]; r.Status {
	case Conflict:
		return nil, &Error{Code: CodeConflict, Reason: "this id was used for something else"}
	case Stored:
		h.stats.accepted.Add(1)
		fallthrough
	default:
		stored := *e
		stored.Pos = r.Pos
		return &stored, nil
	}
}

// read is Log.Read without what viewers do not see. It fills the page from
// further events if there are such.
func (c *core) read(ctx context.Context, r Range) (Page, error) {
	want := r.Max
	if want <= 0 {
		want = DefaultPage
	}
	var all Page
	for {
		r.Max = want - len(all.Events)
		page, err := c.hub.opts.Log.Read(ctx, c.id, r)
		if err != nil {
			return Page{}, err
		}
		shown := c.visible(page.Events)
		all.More = page.More
		if r.Newest {
			all.Events = append(shown, all.Events...)
		} else {
			all.Events = append(all.Events, shown...)
			all.Missed += page.Missed
		}
		if !page.More || len(all.Events) >= want || len(page.Events) == 0 {
			return all, nil
		}
		if r.Newest {
			r.Before = page.Events[0].Pos
		} else {
			r.After = page.Events[len(page.Events)-1].Pos
		}
	}
}

// visible returns the events that viewers see.
func (c *core) visible(events []*Event) []*Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	shown := make([]*Event, 0, len(events))
	for _, e := range events {
		if !c.fold.hides(e) {
			shown = append(shown, e)
		}
	}
	return shown
}

// eventID forms the id of what a user sends under a client id, so that a retry
// has the same one on every node and transport. Both are hashed with their lengths: no two pairs
// meet.
func eventID(user, cid string) string {
	h := sha256.New()
	writeField(h.Write, user)
	writeField(h.Write, cid)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// digest is a keyed hash of what an event says: its kind, sender and body. It
// is keyed so that it tells nothing about content that was deleted.
func (h *Hub) digest(e *Event) string {
	mac := hmac.New(sha256.New, h.opts.Secret)
	writeField(mac.Write, "digest")
	writeField(mac.Write, string(e.Kind))
	writeField(mac.Write, e.From.ID)
	writeField(mac.Write, string(e.Body))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

func writeField(write func([]byte) (int, error), s string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(s)))
	_, _ = write(n[:]) // a hash takes everything
	_, _ = write([]byte(s))
}
