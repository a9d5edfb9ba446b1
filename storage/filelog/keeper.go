package filelog

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/liveim/im/storage/filelog/internal/segment"
)

// keeper is the one goroutine that seals segments, and what drops them.
type keeper struct {
	log    *Log
	ctx    context.Context // ends with the log
	cancel context.CancelFunc
	kick   chan struct{} // holds a token if there is something to seal
	done   chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex // protects the field below
	retired []*activeFile

	work chan struct{} // holds a token while somebody seals, rewrites or drops
}

// retire has a file sealed that takes no more writes.
func (k *keeper) retire(f *activeFile) {
	k.mu.Lock()
	k.retired = append(k.retired, f)
	k.mu.Unlock()
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

// begin waits until nobody else seals, rewrites or drops.
func (k *keeper) begin(ctx context.Context) error {
	select {
	case k.work <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *keeper) end() { <-k.work }

// next returns the first file to seal, or nil.
func (k *keeper) next() *activeFile {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.retired) == 0 {
		return nil
	}
	return k.retired[0]
}

func (k *keeper) pop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.retired[0] = nil
	k.retired = k.retired[1:]
}

// sealRetry is for how long a file that could not be sealed is left alone.
const sealRetry = time.Second

// run seals until the log closes.
func (k *keeper) run() {
	defer close(k.done)
	for _, s := range slices.Backward(k.log.files.list()) {
		k.recollect(s)
	}
	for k.ctx.Err() == nil {
		f := k.next()
		if f == nil {
			select {
			case <-k.kick:
			case <-k.ctx.Done():
			}
			continue
		}
		if err := k.seal(f); err != nil && k.ctx.Err() == nil {
			k.log.opts.Logger.Error("a segment could not be sealed; the log tries again", "segment", f.number, "error", err)
			k.pause()
			continue
		}
		if err := k.trim(k.ctx); err != nil && k.ctx.Err() == nil {
			k.log.opts.Logger.Error("old segments could not be dropped", "error", err)
		}
	}
}

// recollect has a sealed file say which ids it does not hold without reading. It works without, but slower.
func (k *keeper) recollect(s *sealedFile) {
	if err := s.Recollect(k.ctx); err != nil && k.ctx.Err() == nil && !isClosed(err) {
		k.log.opts.Logger.Warn("the ids of a segment could not be read", "file", s.Name(), "error", err)
	}
}

func (k *keeper) pause() {
	t := time.NewTimer(sealRetry)
	defer t.Stop()
	select {
	case <-t.C:
	case <-k.ctx.Done():
	}
}

// seal compresses a file, and has the rooms look there for what it held.
func (k *keeper) seal(f *activeFile) error {
	if err := k.begin(k.ctx); err != nil {
		return err
	}
	defer k.end()
	l := k.log
	if f.broken {
		// A write failed, and could not be cut back then.
		again, _, err := segment.Recover(l.opts.fs, f.active.Name(), func(segment.Record, segment.Ref) error { return k.ctx.Err() })
		if err != nil {
			return err
		}
		if err := again.Close(); err != nil {
			return err
		}
	}
	s, damage, err := segment.Seal(k.ctx, l.opts.fs, l.dir, f.number, k.sift(f), l.cache)
	if err != nil {
		return err
	}
	l.damaged(damage)
	k.recollect(&sealedFile{Sealed: s})
	if err := k.absorb(f, &sealedFile{Sealed: s}); err != nil {
		s.Close()
		return err
	}
	k.pop()
	return f.end(true)
}

// sift returns what leaves records out of a sealed file: events that the rooms do not have in the active one, since they
// were withdrawn or written again, or that are past their retention.
func (k *keeper) sift(f *activeFile) func(*segment.Record) bool {
	var v view
	return func(rec *segment.Record) bool {
		if rec.Type != segment.Event {
			return false
		}
		if v.room == nil || v.name != rec.Room {
			v = k.log.view(rec.Room)
		}
		v.room.mu.Lock()
		defer v.room.mu.Unlock()
		e := v.room.tail.find(rec.Seq)
		if e == nil || e.file != f || rec.Epoch != v.epoch {
			return true
		}
		// What passed while the event was on its way to the disk is counted by now.
		rec.Volatiles, rec.Durables = e.volatiles, e.durables
		e.dead = v.dead(e.volatile, e.counts, e.stored)
		return e.dead
	}
}

// absorb moves what the rooms have in an active file to the sealed one.
func (k *keeper) absorb(f *activeFile, s *sealedFile) error {
	infos := map[string]segment.RoomInfo{}
	for info, err := range s.Rooms() {
		if err != nil {
			return fmt.Errorf("read the directory of %s: %w", s.Name(), err)
		}
		infos[info.Room+"\x00"+info.Epoch] = info
		s.newest = max(s.newest, nanos(info.Newest))
	}
	k.log.files.replace(f.number, s)
	var trimmed []*room
	oldest := k.log.clock.read() - int64(k.log.opts.KeepAge)
	k.log.rooms.all(func(r *room) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		before := r.trimmed.durables
		info, ok := infos[r.name+"\x00"+r.epoch]
		r.absorb(f, s, info, ok)
		switch dead := r.doomed(oldest); {
		case dead && !ok && r.anchor == f.number:
			r.anchor = 0 // nothing of it is on disk, and nobody misses it
		case !dead && r.trimmed.durables != before:
			trimmed = append(trimmed, r)
		}
		return true
	})
	if err := k.record(trimmed); err != nil && k.ctx.Err() == nil {
		k.log.opts.Logger.Warn("it could not be written down which events are past their retention", "error", err)
	}
	return nil
}

// absorb takes the entries of an active file out of the tail. mu is held.
func (r *room) absorb(f *activeFile, s *sealedFile, info segment.RoomInfo, ok bool) {
	if r.snapshot.active == f {
		r.snapshot = snapshotPlace{seq: r.snapshot.seq, sealed: s}
	}
	before := len(r.tail.entries)
	for i := range r.tail.entries {
		if e := &r.tail.entries[i]; e.file == f && e.dead {
			r.miss(e)
		}
	}
	r.tail.remove(func(e *entry) bool { return e.file == f })
	if len(r.tail.entries) != before {
		r.forgetMoved()
	}
	if ok && info.Events > 0 {
		r.addPart(newPart(s, info))
	}
	r.moves++
}

// forgetMoved forgets the IDs of events that are in the tail no more. Those in flight are not there yet.
func (r *room) forgetMoved() {
	var ids map[string]identity
	left := ^uint64(0) // the lowest position that is in the tail still
	if len(r.tail.entries) > 0 {
		left = r.tail.entries[0].seq
	}
	for id, first := range r.ids {
		flying := r.positions.low != 0 && first.seq >= r.positions.low
		if flying || first.seq >= left && r.tail.find(first.seq) != nil {
			if ids == nil {
				ids = make(map[string]identity, len(r.tail.entries))
			}
			ids[id] = first
		}
	}
	r.ids = ids
}

// miss notes that an event is gone for good.
func (r *room) miss(e *entry) {
	if e.volatile {
		r.volatiles--
		r.trimmed.volatiles = max(r.trimmed.volatiles, e.seq)
	} else {
		r.trimmed.durables = max(r.trimmed.durables, e.seq)
	}
}

// addPart adds or replaces what a sealed file holds.
func (r *room) addPart(p part) {
	parts := make([]part, 0, len(r.parts)+1)
	for _, o := range r.parts {
		if o.file.Number() != p.file.Number() {
			parts = append(parts, o)
		}
	}
	i := len(parts)
	for i > 0 && parts[i-1].file.Number() > p.file.Number() {
		i--
	}
	parts = append(parts, part{})
	copy(parts[i+1:], parts[i:])
	parts[i] = p
	r.parts = parts
}

// removePart drops what the sealed file of a number holds, and returns it.
func (r *room) removePart(number uint64) (gone part) {
	var parts []part
	for _, p := range r.parts {
		if p.file.Number() == number {
			gone = p
		} else {
			parts = append(parts, p)
		}
	}
	r.parts = parts
	return gone
}

func newPart(s *sealedFile, info segment.RoomInfo) part {
	return part{
		file: s, first: info.First, last: info.Last, lastDurable: info.LastDurable,
		events: info.Events, volatiles: info.Events - info.DurableEvents,
		upTo:   counts{info.Volatiles, info.Durables},
		oldest: nanos(info.Oldest), newest: nanos(info.Newest),
	}
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
