package im

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// append stores an event of the host or of a client in an open room.
func (c *core) append(ctx context.Context, e *Event) (stored *Event, fresh bool, err error) {
	if c.isClosed() {
		return nil, false, ErrRoomClosed
	}
	return c.store(ctx, e)
}

func (c *core) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fold.closed
}

// store completes e, appends it to the log and returns it with its position, and
// whether it is new: the retry of something that is stored returns the position of
// the first.
func (c *core) store(ctx context.Context, e *Event) (stored *Event, fresh bool, err error) {
	results, err := c.storeAll(ctx, []*Event{e})
	if err != nil {
		return nil, false, err
	}
	return stamp(e, results[0])
}

// storeAll completes events and appends them to the log.
func (c *core) storeAll(ctx context.Context, events []*Event) ([]Appended, error) {
	h := c.hub
	for _, e := range events {
		e.Class = h.kinds[e.Kind].Class
		e.At = h.opts.Now()
		if e.Digest == "" {
			e.Digest = h.digest(e.Kind, e.From.ID, e.Body)
		}
	}
	return c.storeReady(ctx, events)
}

// storeReady appends events that are complete.
func (c *core) storeReady(ctx context.Context, events []*Event) ([]Appended, error) {
	h := c.hub
	results, err := h.opts.Log.Append(ctx, c.id, events)
	switch {
	case errors.Is(err, ErrNotStored):
		h.opts.Logger.Warn("the log takes no events", "room", c.id, "kind", events[0].Kind, "error", err)
		return nil, &Error{Code: CodeOverloaded, RetryAfter: time.Second, cause: err}
	case err != nil:
		h.opts.Logger.Error("it is not known whether an event was stored", "room", c.id, "kind", events[0].Kind, "error", err)
		return nil, &Error{Code: CodeTimeout, RetryAfter: time.Second, cause: err}
	}
	for _, r := range results {
		if r.Status == Stored {
			h.stats.accepted.Add(1)
		}
	}
	return results, nil
}

// stamp returns e with the position that the log gave it.
func stamp(e *Event, r Appended) (stored *Event, fresh bool, err error) {
	if r.Status == Conflict {
		return nil, false, errIDTaken()
	}
	copied := *e
	copied.Pos = r.Pos
	return &copied, r.Status == Stored, nil
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

// digest is a keyed hash of what was sent: kind, sender and body. It is keyed so
// that it tells nothing about content that was deleted.
func (h *Hub) digest(kind Kind, from string, body []byte) string {
	mac := hmac.New(sha256.New, h.opts.Secret)
	writeField(mac.Write, "digest")
	writeField(mac.Write, string(kind))
	writeField(mac.Write, from)
	writeField(mac.Write, string(body))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

func writeField(write func([]byte) (int, error), s string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(s)))
	_, _ = write(n[:]) // a hash takes everything
	_, _ = write([]byte(s))
}
