package filelog

import (
	"context"
	"fmt"

	"github.com/liveim/im"
)

// Append implements [im.Log]. A call with nothing but volatile events does not wait for the disk. When ctx ends before the
// disk has answered, the outcome is not known.
func (l *Log) Append(ctx context.Context, name string, events []*im.Event) ([]im.Appended, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("filelog: append to room %q: %w", name, err)
	}
	if len(events) == 0 {
		return nil, nil
	}
	out, err := l.append(ctx, name, events)
	if err != nil {
		return nil, fmt.Errorf("filelog: append to room %q: %w", name, err)
	}
	return out, nil
}

func (l *Log) append(ctx context.Context, name string, events []*im.Event) ([]im.Appended, error) {
	if l.closing() {
		return nil, fmt.Errorf("%w: %w", ErrClosed, im.ErrNotStored)
	}
	own, bytes, volatile := copies(events)
	out := make([]im.Appended, len(own))
	for {
		r := l.rooms.lock(name)
		moves, parts := r.moves, r.parts
		settled := (len(parts) > 0 || !volatile) && r.settled(own, out)
		if len(parts) > 0 && !settled {
			r.mu.Unlock()
			found, err := l.recall(r, parts, own, out)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", im.ErrNotStored, err)
			}
			r.mu.Lock()
			if r.gone || r.moves != moves {
				r.mu.Unlock()
				clear(out)
				continue
			}
			settled = found && r.settled(own, out)
		}
		// r.mu is held, and out is what the sealed segments remember.
		if volatile && !r.onFlight(own) {
			return l.appendVolatile(r, own, out)
		}
		if settled && r.positions.low == 0 {
			return r.recite(own, out), nil
		}
		return l.appendDurable(ctx, r, own, out, moves, bytes)
	}
}

// recite is the answer for events that are all known. r.mu is held; it is given back.
func (r *room) recite(events []*im.Event, out []im.Appended) []im.Appended {
	defer r.mu.Unlock()
	for i, e := range events {
		if out[i].Status == 0 {
			out[i], _, _ = r.judge(e)
		}
	}
	return out
}

// copies are the log's own events: callers may change theirs after the call.
func copies(events []*im.Event) (own []*im.Event, bytes int64, volatile bool) {
	if len(events) == 1 { // the most common, with one allocation
		one := &struct {
			event im.Event
			own   [1]*im.Event
		}{event: *events[0]}
		one.own[0] = &one.event
		return one.own[:], sizeOf(&one.event), one.event.Class == im.Volatile
	}
	all := make([]im.Event, len(events))
	own = make([]*im.Event, len(events))
	volatile = true
	for i, e := range events {
		all[i] = *e
		own[i] = &all[i]
		bytes += sizeOf(e)
		volatile = volatile && e.Class == im.Volatile
	}
	return own, bytes, volatile
}

// sizeOf is about how many bytes an event takes, on disk and in memory.
func sizeOf(e *im.Event) int64 {
	return int64(64 + len(e.ID) + len(e.Kind) + len(e.From.ID) + len(e.From.Name) + len(e.Body) + len(e.Digest))
}

// settled reports whether every event is known to the room itself, so that nothing must be looked up. mu is held.
func (r *room) settled(events []*im.Event, out []im.Appended) bool {
	for i, e := range events {
		if _, known := r.ids[e.ID]; !known && out[i].Status == 0 {
			return false
		}
	}
	return true
}

// onFlight reports whether an event has the ID of one that waits for the disk: what becomes of it is not known
// before. mu is held.
func (r *room) onFlight(events []*im.Event) bool {
	if r.positions.low == 0 {
		return false
	}
	for _, e := range events {
		if _, _, flying := r.judge(e); flying {
			return true
		}
	}
	return false
}

// appendVolatile stores and delivers at once. r.mu is held; it is given back.
func (l *Log) appendVolatile(r *room, events []*im.Event, out []im.Appended) ([]im.Appended, error) {
	r.used = l.clock.read()
	stored, ok := r.placeVolatile(events, out, r.used)
	if !ok {
		r.mu.Unlock()
		return nil, fmt.Errorf("the disk does not answer, and %d events went by since: %w", headroom, im.ErrNotStored)
	}
	if stored == 0 {
		r.mu.Unlock()
		return out, nil
	}
	var soon, rush bool
	var bytes int64
	for i, e := range events {
		if out[i].Status != im.Stored {
			continue
		}
		n := r.tail.find(e.Pos.Seq)
		u := unwritten{room: r, event: e, counts: n.counts, bytes: sizeOf(e)}
		bytes += u.bytes
		ok, s, hurry := l.backlog.add(u)
		n.unwritable = !ok
		soon, rush = soon || s, rush || hurry
	}
	top := r.positions.head
	deliver := len(r.pending) > 0
	r.mu.Unlock()

	switch {
	case rush:
		l.queue.wake()
	case soon:
		l.nudge()
	}
	if deliver {
		r.deliverPending()
	}
	l.remember(r, top, bytes)
	return out, nil
}

// appendDurable waits for the disk. r.mu is held; it is given back.
func (l *Log) appendDurable(ctx context.Context, r *room, events []*im.Event, out []im.Appended, moves uint32, bytes int64) ([]im.Appended, error) {
	r.waiting++
	r.mu.Unlock()
	q := l.newRequest(r)
	q.events, q.out, q.moves, q.bytes = events, out, moves, bytes
	return l.submit(ctx, q)
}

// submit has a request committed, and delivers what that publishes. The room's count of waiting is up already.
func (l *Log) submit(ctx context.Context, q *request) ([]im.Appended, error) {
	if err := l.hand(q); err != nil {
		return nil, err
	}
	return l.await(ctx, q)
}

// hand hands a request to the committer, or takes it back and says why.
func (l *Log) hand(q *request) error {
	err := l.queue.push(q)
	if err != nil {
		q.room.mu.Lock()
		q.room.waiting--
		q.room.mu.Unlock()
		l.release(q)
	}
	return err
}

// await waits for a request that was handed over.
func (l *Log) await(ctx context.Context, q *request) ([]im.Appended, error) {
	select {
	case <-q.done:
	case <-ctx.Done():
		if q.abandon() {
			return nil, fmt.Errorf("the disk has not answered yet, so the outcome is not known: %w", ctx.Err())
		}
		<-q.done
	}
	r, out, err := q.room, q.out, q.err
	l.release(q)
	r.deliverPending()
	return out, err
}

// recall looks for events in the sealed segments of a room, the newest first, and fills in out for those that it finds. It
// reports whether there are any.
func (l *Log) recall(r *room, parts []part, events []*im.Event, out []im.Appended) (found bool, err error) {
	clear(out)
	for i, e := range events {
		for k := len(parts) - 1; k >= 0 && out[i].Status == 0; k-- {
			rec, ok, err := parts[k].file.FindID(r.name, e.ID, nil)
			switch {
			case isClosed(err):
				// Dropped meanwhile, with its events.
			case err != nil:
				return false, fmt.Errorf("look up event %q: %w", e.ID, err)
			case ok && rec.Epoch == r.epoch:
				out[i], found = verdict(r.epoch, identity{rec.Seq, rec.Event.Digest}, e), true
			}
		}
	}
	return found, nil
}
