package filelog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/liveim/im/storage/filelog/internal/disk"
	"github.com/liveim/im/storage/filelog/internal/segment"
)

// The names of files that are no segments.
const (
	lockName   = "LOCK"
	secretName = "secret"
)

// ErrLocked is wrapped by the error of [Open] while another process, or another Log of this one, has the directory open.
var ErrLocked = disk.ErrLocked

// Open opens the log in a directory, which it makes if need be. Nil options are the defaults. The error wraps [ErrLocked] if
// the directory is in use, and says so if a newer version of im wrote it; nothing is changed then.
//
// Opening reads the directories of sealed segments, and all of the last one, so that it takes well under a second for
// each gigabyte. Damage is no error: see [Log.Damage].
func Open(dir string, o *Options) (*Log, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if dir == "" {
		return nil, errors.New("filelog: Open needs a directory of its own; the name is empty")
	}
	if err := opts.fs.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("filelog: make the directory of the log: %w", err)
	}
	lock, err := opts.fs.Lock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("filelog: open %s: %w", dir, err)
	}
	l := &Log{
		opts: opts, dir: dir, lock: lock,
		clock:   clock{now: opts.Now},
		rooms:   newRooms(newEpochs()),
		queue:   queue{maxEvents: opts.QueueEvents, maxBytes: opts.QueueBytes, kick: make(chan struct{}, 1)},
		backlog: backlog{max: opts.VolatileBytes},
		recent:  recent{max: opts.CacheBytes},
		cache:   segment.NewCache(opts.CacheBytes),
		soon:    make(chan struct{}, 1),
		stop:    make(chan struct{}), committed: make(chan struct{}),
	}
	l.keeper.log, l.keeper.kick, l.keeper.done = l, make(chan struct{}, 1), make(chan struct{})
	l.keeper.work = make(chan struct{}, 1)
	l.keeper.ctx, l.keeper.cancel = context.WithCancel(context.Background())
	c, err := l.restore()
	if err != nil {
		l.keeper.cancel()
		return nil, errors.Join(fmt.Errorf("filelog: open %s: %w", dir, err), l.files.close(), lock.Close())
	}
	go c.run()
	go l.keeper.run()
	return l, nil
}

// restore reads what is there, and returns a committer that goes on from it.
func (l *Log) restore() (*committer, error) {
	var err error
	if l.secret, err = l.restoreSecret(); err != nil {
		return nil, err
	}
	sealed, active, err := l.listSegments()
	if err != nil {
		return nil, err
	}
	c := &committer{log: l, next: 1, dirty: map[*room]uint64{}}
	for _, n := range sealed {
		if err := l.restoreSealed(n); err != nil {
			return nil, err
		}
		c.next = n + 1
	}
	clean := len(sealed) == 0
	for i, n := range active {
		a, rec, err := l.restoreActive(n)
		if err != nil {
			return nil, err
		}
		clean = rec.Closed
		c.next = max(c.next, n+1)
		if i == len(active)-1 && a.active.Size() < l.opts.SegmentBytes {
			c.file = a
			a.active.Fill(l.opts.SegmentBytes)
		} else {
			l.keeper.retire(a)
		}
	}
	l.rooms.all(func(r *room) bool { r.restored(); return true })
	if err := c.begin(); err != nil {
		return nil, err
	}
	if !clean {
		l.opts.Logger.Info("the log was not closed; rooms go on above all that they may have given", "dir", l.dir)
		return c, c.skip()
	}
	return c, c.reopened()
}

func (l *Log) restoreSecret() ([]byte, error) {
	path := filepath.Join(l.dir, secretName)
	secret, err := disk.ReadFile(l.opts.fs, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		secret = make([]byte, 32)
		rand.Read(secret)
		return secret, disk.WriteFile(l.opts.fs, l.dir, secretName, secret)
	case err != nil:
		return nil, err
	case len(secret) != 32:
		return nil, fmt.Errorf("%s holds %d bytes, not 32: put back the right file, or remove it to have another secret made", path, len(secret))
	}
	return secret, nil
}

// listSegments returns the numbers of the segments, and removes what an interrupted seal left.
func (l *Log) listSegments() (sealed, active []uint64, err error) {
	names, err := l.opts.fs.ReadDir(l.dir)
	if err != nil {
		return nil, nil, err
	}
	isSealed := map[uint64]bool{}
	for _, name := range names {
		if kind, n := segment.ParseName(name); kind == segment.SealedFile {
			sealed, isSealed[n] = append(sealed, n), true
		}
	}
	for _, name := range names {
		kind, n := segment.ParseName(name)
		if kind == segment.TemporaryFile || kind == segment.ActiveFile && isSealed[n] {
			if err := l.opts.fs.Remove(filepath.Join(l.dir, name)); err != nil {
				return nil, nil, err
			}
		} else if kind == segment.ActiveFile {
			active = append(active, n)
		}
	}
	return sealed, active, nil
}

// restoreSealed opens a sealed segment, and has the rooms know what it holds.
func (l *Log) restoreSealed(number uint64) error {
	sealed, damage, err := segment.Open(l.opts.fs, filepath.Join(l.dir, segment.SealedName(number)), l.cache)
	if err != nil {
		return err
	}
	s := &sealedFile{Sealed: sealed}
	l.files.replace(number, s)
	for info, err := range s.Rooms() {
		if err != nil {
			return fmt.Errorf("read the directory of %s: %w", s.Name(), err)
		}
		r := l.rooms.restore(info.Room, info.Epoch)
		r.found(info.Epoch, number, max(info.Head, info.Last, info.Reserve))
		if info.HasSnapshot && (r.snapshot.none() || info.Snapshot >= r.snapshot.seq) {
			r.snapshot = snapshotPlace{seq: info.Snapshot, sealed: s}
		}
		if info.Events > 0 {
			r.holes(info)
			r.addPart(newPart(s, info))
			r.volatiles += uint64(info.Events - info.DurableEvents)
		}
		r.total = counts{max(r.total.volatiles, info.Volatiles), max(r.total.durables, info.Durables)}
		r.trimmed.durables = max(r.trimmed.durables, info.Trimmed)
		s.newest = max(s.newest, nanos(info.Newest))
	}
	l.damaged(damage)
	return nil
}

// holes finds by the counts that events carry whether durable ones are missing before a sealed segment, or within it, and
// notes that if no Meta record has. Where exactly they were is not known, so it may be further back than it says.
func (r *room) holes(info segment.RoomInfo) {
	before := info.FirstDurables
	if info.FirstDurable == info.First {
		before--
	}
	if before > r.total.durables {
		r.trimmed.durables = max(r.trimmed.durables, info.First-1)
	}
	// Segments overlap where volatile events overtook: what is there already does not count.
	before = max(before, r.total.durables)
	if info.Durables > before+uint64(info.DurableEvents) && max(info.Trimmed, r.trimmed.durables) < info.First && info.DurableEvents > 0 {
		r.trimmed.durables = info.LastDurable - 1
	}
}

// found takes over that a segment holds something of the room. A new epoch means that all of before is gone.
func (r *room) found(epoch string, number, seq uint64) {
	if r.epoch != epoch {
		*r = room{name: r.name, epoch: epoch} //nolint // nobody else has it yet
	}
	r.anchor = max(r.anchor, number)
	r.positions.found(seq)
	r.written = r.positions.below
}

// restoreActive reads a segment that is not sealed, and cuts off a torn end.
func (l *Log) restoreActive(number uint64) (*activeFile, segment.Recovery, error) {
	f := &activeFile{number: number}
	path := filepath.Join(l.dir, segment.ActiveName(number))
	a, rec, err := segment.Recover(l.opts.fs, path, func(rec segment.Record, ref segment.Ref) error {
		l.restoreRecord(f, rec, ref)
		return nil
	})
	if err != nil {
		return nil, rec, err
	}
	f.active = a
	l.files.add(f)
	l.damaged(rec.Damage)
	if rec.Tail != nil {
		l.opts.Logger.Info("the torn end of the log was cut off", "file", path, "bytes", rec.Cut)
	}
	return f, rec, nil
}

func (l *Log) restoreRecord(f *activeFile, rec segment.Record, ref segment.Ref) {
	if rec.Type == segment.Closed {
		return
	}
	r := l.rooms.restore(rec.Room, rec.Epoch)
	r.found(rec.Epoch, f.number, rec.Seq)
	switch rec.Type {
	case segment.Event:
		e := entry{
			seq: rec.Seq, stored: rec.Event.At.UnixNano(), counts: counts{rec.Volatiles, rec.Durables},
			file: f, ref: ref, volatile: isVolatile(&rec),
		}
		r.tail.put(e)
		rec.Event.Pos.Seq = rec.Seq
		r.remember(rec.Event)
	case segment.Abort:
		r.withdrawn(rec.Seq)
	case segment.Snapshot:
		r.saved(rec.Seq, f, ref)
	case segment.Meta:
		r.trimmed.durables = max(r.trimmed.durables, rec.Trimmed)
		r.total = counts{max(r.total.volatiles, rec.Volatiles), max(r.total.durables, rec.Durables)}
	}
}

// withdrawn takes an event out whose fsync failed.
func (r *room) withdrawn(seq uint64) {
	if r.tail.find(seq) == nil {
		return
	}
	for id, first := range r.ids {
		if first.seq == seq {
			delete(r.ids, id)
		}
	}
	r.tail.remove(func(e *entry) bool { return e.seq == seq })
}

// restored counts what was found of a room.
func (r *room) restored() {
	var volatiles, durables uint64
	if n := len(r.parts); n > 0 {
		for _, p := range r.parts {
			volatiles, durables = max(volatiles, p.upTo.volatiles), max(durables, p.upTo.durables)
		}
	}
	for i := range r.tail.entries {
		e := &r.tail.entries[i]
		before := e.durables
		if !e.volatile {
			before--
		}
		if before > durables {
			r.trimmed.durables = max(r.trimmed.durables, e.seq-1) // some are missing before it
		}
		// What passed while the event was on its way to the disk was not counted when it was written.
		if e.volatile {
			r.volatiles++
			volatiles++
		}
		volatiles, durables = max(volatiles, e.volatiles), max(durables, e.durables)
		e.counts = counts{volatiles, durables}
	}
	r.total = counts{max(r.total.volatiles, volatiles), max(r.total.durables, durables)}
}

// skipBatch is how many rooms one write has go on.
const skipBatch = 4096

// skip has every room go on above all that it may have given before an unclean stop.
func (c *committer) skip() error {
	return c.reserve(func(r *room) bool {
		r.positions.skip()
		return true
	})
}

// reopened has the mark of a clean close no longer be the last thing on disk, before any position is given. Without rooms
// there is nothing to mix up.
func (c *committer) reopened() error {
	marked := false
	return c.reserve(func(*room) bool {
		first := !marked
		marked = true
		return first
	})
}

// reserve writes how far the rooms are for which wanted is true, which is called with their mu held.
func (c *committer) reserve(wanted func(*room) bool) (err error) {
	var records []segment.Record
	flush := func() {
		if len(records) > 0 {
			_, err = c.file.active.Write(records)
			records = records[:0]
		}
	}
	c.log.rooms.all(func(r *room) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if wanted(r) {
			records = append(records, segment.Record{Type: segment.Reserve, Room: r.name, Epoch: r.epoch, Seq: r.positions.below})
			r.anchor, r.written = c.file.number, r.positions.below
		}
		if len(records) >= skipBatch {
			flush()
		}
		return err == nil
	})
	if err == nil {
		flush()
	}
	if err != nil {
		return err
	}
	return c.file.active.Sync()
}
