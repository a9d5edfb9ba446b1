package filelog

import (
	"context"
	"errors"
	"fmt"

	"github.com/liveim/im/storage/filelog/internal/segment"
)

// trim drops the sealed segments of which nothing is kept, those beyond KeepBytes, and rewrites those of which more than
// half is dead.
func (k *keeper) trim(ctx context.Context) error {
	if err := k.begin(ctx); err != nil {
		return err
	}
	defer k.end()
	l := k.log
	oldest := l.clock.read() - int64(l.opts.KeepAge)
	bytes, _ := l.files.size()
	dead := k.deadShares()
	for _, s := range l.files.list() {
		if err := ctx.Err(); err != nil {
			return err
		}
		share := dead[s.Number()]
		var err error
		switch {
		case s.newest < oldest, bytes > l.opts.KeepBytes, share.dead == share.events:
			bytes -= s.Size()
			err = k.drop(ctx, s)
		case 2*share.dead > share.events:
			err = k.rewrite(s)
		}
		if err != nil {
			return err
		}
	}
	l.rooms.all(func(r *room) bool {
		r.mu.Lock()
		idle := r.forgettable(oldest)
		r.mu.Unlock()
		if idle {
			l.rooms.forgetIf(r, func() bool { return r.forgettable(oldest) })
		}
		return ctx.Err() == nil
	})
	return ctx.Err()
}

// forgettable reports whether nobody would miss the room, and has not since. mu is held.
func (r *room) forgettable(since int64) bool {
	return r.idle() && r.used < since && r.positions.low == 0 && r.positions.below > 0 && r.anchor == 0
}

// doomed reports whether the room will be forgettable when what is past its age is dropped. mu is held.
func (r *room) doomed(oldest int64) bool {
	for _, p := range r.parts {
		if p.newest >= oldest {
			return false
		}
	}
	if n := len(r.tail.entries); n > 0 && r.tail.entries[n-1].stored >= oldest {
		return false
	}
	return r.waiting == 0 && len(r.followers) == 0 && r.snapshot.none() && r.used < oldest
}

// share is how many of a segment's events are past the numbers that their rooms keep.
type share struct{ dead, events int }

func (k *keeper) deadShares() map[uint64]share {
	o := &k.log.opts
	shares := map[uint64]share{}
	k.log.rooms.all(func(r *room) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, p := range r.parts {
			s := shares[p.file.Number()]
			s.events += p.events
			s.dead += overdue(r.total.volatiles, uint64(o.KeepVolatile), p.upTo.volatiles, p.volatiles)
			s.dead += overdue(r.total.durables, uint64(o.KeepEvents), p.upTo.durables, p.events-p.volatiles)
			shares[p.file.Number()] = s
		}
		return true
	})
	return shares
}

// overdue is how many of n events, the last of which has the number last, are not among the newest keep of total.
func overdue(total, keep, last uint64, n int) int {
	if keep == 0 || total <= keep {
		return 0
	}
	limit := total - keep // what has a number up to this is dead
	if last <= limit {
		return n
	}
	return max(0, n-int(last-limit))
}

// carryBatch is how many rooms share one fsync when a segment is dropped that holds what they live on with.
const carryBatch = 1024

// drop removes a segment. What would be lost with it and must not be is written again before: the snapshots, and
// how far the rooms are that live on.
func (k *keeper) drop(ctx context.Context, s *sealedFile) error {
	l := k.log
	var carried []*request
	wait := func() (err error) {
		for _, q := range carried {
			_, failed := l.await(ctx, q)
			err = errors.Join(err, failed)
		}
		carried = carried[:0]
		return err
	}
	for info, err := range s.Rooms() {
		var q *request
		if err == nil {
			q, err = k.carry(s, info)
		}
		if q != nil {
			carried = append(carried, q)
		}
		if err != nil || len(carried) == carryBatch {
			err = errors.Join(err, wait())
		}
		if err != nil {
			return fmt.Errorf("carry over what %s holds of room %q: %w", s.Name(), info.Room, err)
		}
	}
	if err := wait(); err != nil {
		return fmt.Errorf("carry over what %s holds: %w", s.Name(), err)
	}
	l.rooms.all(func(r *room) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if p := r.removePart(s.Number()); p.file != nil {
			r.volatiles -= uint64(p.volatiles)
			r.trimmed.durables = max(r.trimmed.durables, p.lastDurable)
			if p.volatiles > 0 {
				r.trimmed.volatiles = max(r.trimmed.volatiles, p.last)
			}
			r.moves++
		}
		if r.anchor == s.Number() {
			r.anchor = 0
		}
		return true
	})
	l.files.replace(s.Number(), nil)
	return s.Remove()
}

// carry has written again what a room has in a segment alone and lives on with. It returns nil if there is nothing.
func (k *keeper) carry(s *sealedFile, info segment.RoomInfo) (*request, error) {
	l := k.log
	r := l.rooms.lockExisting(info.Room)
	snapshot := r.snapshot.sealed == s
	lives := snapshot || len(r.followers) > 0 || r.waiting > 0 || r.used >= l.clock.read()-int64(l.opts.KeepAge)
	if r.gone || r.epoch != info.Epoch || !snapshot && (r.anchor != s.Number() || !lives) {
		r.mu.Unlock()
		return nil, nil
	}
	meta := r.meta()
	meta.Trimmed = max(meta.Trimmed, info.LastDurable)
	r.waiting++
	r.mu.Unlock()
	q := l.newRequest(r)
	q.records = []segment.Record{meta}
	if snapshot {
		rec, ok, err := s.Snapshot(r.name, r.epoch)
		if err != nil {
			r.mu.Lock()
			r.waiting--
			r.mu.Unlock()
			return nil, err
		}
		if ok {
			q.records = append(q.records, rec)
		}
	}
	seqs := q.records
	q.settle = func(f *activeFile, refs []segment.Ref) {
		r.anchor = max(r.anchor, f.number)
		if len(refs) > 1 {
			r.saved(seqs[1].Seq, f, refs[1])
		}
	}
	if err := l.hand(q); err != nil {
		return nil, err
	}
	return q, nil
}

// meta is what is to be known of the room when its events are gone. mu is held.
func (r *room) meta() segment.Record {
	return segment.Record{
		Type: segment.Meta, Room: r.name, Epoch: r.epoch, Seq: r.positions.below,
		Trimmed: r.trimmed.durables, Volatiles: r.total.volatiles, Durables: r.total.durables,
	}
}

// record has it on disk up to where durable events of rooms are gone. Should that fail, it is found again by their counts.
func (k *keeper) record(rooms []*room) error {
	l := k.log
	var waiting []*request
	var failed error
	for i, r := range rooms {
		r.mu.Lock()
		meta := r.meta()
		r.waiting++
		r.mu.Unlock()
		q := l.newRequest(r)
		q.records = []segment.Record{meta}
		q.settle = func(f *activeFile, _ []segment.Ref) { r.anchor = max(r.anchor, f.number) }
		if err := l.hand(q); err != nil {
			failed = err
		} else {
			waiting = append(waiting, q)
		}
		if i == len(rooms)-1 || len(waiting) == carryBatch {
			for _, q := range waiting {
				_, err := l.await(k.ctx, q)
				failed = errors.Join(failed, err)
			}
			waiting = waiting[:0]
		}
	}
	return failed
}

// rewrite leaves out of a segment what is past its retention.
func (k *keeper) rewrite(s *sealedFile) error {
	l := k.log
	var v view
	gone := map[string]counts{} // by room: up to which positions events were left out
	sealed, damage, err := segment.Seal(k.ctx, l.opts.fs, l.dir, s.Number(), func(rec *segment.Record) bool {
		if rec.Type != segment.Event {
			return false
		}
		if v.room == nil || v.name != rec.Room {
			v = l.view(rec.Room)
		}
		volatile := isVolatile(rec)
		if rec.Epoch == v.epoch && !v.dead(volatile, counts{rec.Volatiles, rec.Durables}, rec.Event.At.UnixNano()) {
			return false
		}
		c := gone[rec.Room]
		if volatile {
			c.volatiles = max(c.volatiles, rec.Seq)
		} else {
			c.durables = max(c.durables, rec.Seq)
		}
		gone[rec.Room] = c
		return true
	}, l.cache)
	if err != nil {
		return err
	}
	l.damaged(damage)
	again := &sealedFile{Sealed: sealed, newest: s.newest}
	k.recollect(again)
	return k.exchange(s, again, gone)
}

// exchange puts a rewritten segment in the place of the old one.
func (k *keeper) exchange(old, s *sealedFile, gone map[string]counts) error {
	infos := map[string]segment.RoomInfo{}
	for info, err := range s.Rooms() {
		if err != nil {
			return fmt.Errorf("read the directory of %s: %w", s.Name(), err)
		}
		infos[info.Room+"\x00"+info.Epoch] = info
	}
	k.log.files.replace(s.Number(), s)
	var trimmed []*room
	k.log.rooms.all(func(r *room) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		p := r.removePart(s.Number())
		info, ok := infos[r.name+"\x00"+r.epoch]
		if ok && info.Events > 0 {
			r.addPart(newPart(s, info))
		}
		r.volatiles -= uint64(p.volatiles - (info.Events - info.DurableEvents))
		c := gone[r.name]
		if c.durables > r.trimmed.durables {
			trimmed = append(trimmed, r)
		}
		r.trimmed.volatiles, r.trimmed.durables = max(r.trimmed.volatiles, c.volatiles), max(r.trimmed.durables, c.durables)
		if r.snapshot.sealed == old {
			r.snapshot.sealed = s
		}
		r.moves++
		return true
	})
	return errors.Join(k.record(trimmed), old.Close())
}
