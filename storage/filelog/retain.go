package filelog

import (
	"context"
	"fmt"

	"github.com/liveim/im/storage/filelog/internal/segment"
)

// trim drops the sealed segments of which nothing is kept, those beyond KeepBytes, and rewrites those of which more than
// half is dead.
func (k *keeper) trim(ctx context.Context) error {
	k.work.Lock()
	defer k.work.Unlock()
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

// drop removes a segment. What would be lost with it and must not be is written again before: the snapshots, and
// how far the rooms are that live on.
func (k *keeper) drop(ctx context.Context, s *sealedFile) error {
	l := k.log
	for info, err := range s.Rooms() {
		if err != nil {
			return fmt.Errorf("read the directory of %s: %w", s.Name(), err)
		}
		if err := k.carry(ctx, s, info); err != nil {
			return err
		}
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

// carry writes again what a room has in a segment alone and lives on with.
func (k *keeper) carry(ctx context.Context, s *sealedFile, info segment.RoomInfo) error {
	l := k.log
	r := l.rooms.lockExisting(info.Room)
	snapshot := r.snapshot.sealed == s
	lives := snapshot || len(r.followers) > 0 || r.waiting > 0 || r.used >= l.clock.read()-int64(l.opts.KeepAge)
	if r.gone || r.epoch != info.Epoch || !snapshot && (r.anchor != s.Number() || !lives) {
		r.mu.Unlock()
		return nil
	}
	meta := segment.Record{
		Type: segment.Meta, Room: r.name, Epoch: r.epoch, Seq: r.positions.below,
		Trimmed: max(r.trimmed.durables, info.LastDurable), Volatiles: r.total.volatiles, Durables: r.total.durables,
	}
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
			return err
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
	_, err := l.submit(ctx, q)
	return err
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
	return k.exchange(s, &sealedFile{Sealed: sealed, newest: s.newest}, gone)
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
		r.trimmed.volatiles, r.trimmed.durables = max(r.trimmed.volatiles, c.volatiles), max(r.trimmed.durables, c.durables)
		if r.snapshot.sealed == old {
			r.snapshot.sealed = s
		}
		r.moves++
		return true
	})
	return old.Close()
}
