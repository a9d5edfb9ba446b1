package filelog

import (
	"context"
	"fmt"
	"slices"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/segment"
)

// SaveSnapshot implements [im.SnapshotLog]. It returns when the snapshot is on disk. A snapshot of an epoch that is gone, or
// of a position that the room has not reached, is ignored.
func (l *Log) SaveSnapshot(ctx context.Context, room string, s im.Snapshot) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("filelog: save the snapshot of room %q: %w", room, err)
	}
	if l.closing() {
		return ErrClosed
	}
	r := l.rooms.lockExisting(room)
	known := s.Pos.Epoch == r.epoch && s.Pos.Seq > 0 && s.Pos.Seq <= r.positions.head && (r.snapshot.none() || s.Pos.Seq > r.snapshot.seq)
	if !known {
		r.mu.Unlock()
		return nil
	}
	r.waiting++
	r.mu.Unlock()
	q := l.newRequest(r)
	q.records = []segment.Record{{Type: segment.Snapshot, Room: r.name, Epoch: r.epoch, Seq: s.Pos.Seq, Data: slices.Clone(s.Data)}}
	q.bytes = int64(len(s.Data))
	q.settle = func(f *activeFile, refs []segment.Ref) { r.saved(s.Pos.Seq, f, refs[0]) }
	if _, err := l.submit(ctx, q); err != nil {
		return fmt.Errorf("filelog: save the snapshot of room %q: %w", room, err)
	}
	return nil
}

// saved notes where a snapshot lies. mu is held.
func (r *room) saved(seq uint64, f *activeFile, ref segment.Ref) {
	if r.snapshot.none() || seq >= r.snapshot.seq {
		r.snapshot = snapshotPlace{seq: seq, active: f, ref: ref}
	}
	r.anchor = max(r.anchor, f.number)
}

// LoadSnapshot implements [im.SnapshotLog].
func (l *Log) LoadSnapshot(ctx context.Context, room string) (im.Snapshot, bool, error) {
	if err := ctx.Err(); err != nil {
		return im.Snapshot{}, false, fmt.Errorf("filelog: load the snapshot of room %q: %w", room, err)
	}
	if l.closing() {
		return im.Snapshot{}, false, ErrClosed
	}
	rec, ok, err := l.loadSnapshot(room)
	if err != nil {
		return im.Snapshot{}, false, fmt.Errorf("filelog: load the snapshot of room %q: %w", room, err)
	}
	if !ok {
		return im.Snapshot{}, false, nil
	}
	return im.Snapshot{Pos: im.Position{Epoch: rec.Epoch, Seq: rec.Seq}, Data: rec.Data}, true, nil
}

func (l *Log) loadSnapshot(room string) (rec segment.Record, ok bool, err error) {
	for range maxMoves {
		r := l.rooms.lockExisting(room)
		place, epoch := r.snapshot, r.epoch
		r.mu.Unlock()
		switch {
		case place.none():
			return rec, false, nil
		case place.active != nil:
			rec, err = place.active.read(place.ref)
			ok = true
		default:
			rec, ok, err = place.sealed.Snapshot(room, epoch)
		}
		if !isClosed(err) || l.closing() {
			return rec, ok, err
		}
	}
	return rec, false, err
}
