package im

import (
	"context"
	"crypto/rand"
	"fmt"
	"hash/maphash"
	"slices"
	"time"
)

// MemoryLogOptions says how long a [MemoryLog] keeps what. The zero value is
// the documented defaults.
type MemoryLogOptions struct {
	// KeepAge is how long events of every class are kept, at most. Defaults to
	// 10 minutes.
	KeepAge time.Duration
	// KeepEvents is how many critical, normal and merged events a room keeps,
	// counted together. Defaults to 5,000.
	KeepEvents int
	// KeepVolatile is how many volatile events a room keeps besides. Defaults to
	// 200.
	KeepVolatile int

	// DedupAge and DedupEvents bound for how long the IDs of critical, normal and
	// merged events are remembered after the events themselves were dropped: up to
	// this age, and among this many newest of the room. IDs of events that are
	// kept are always remembered, those of volatile events only as long. They
	// default to 5 minutes and 10,000.
	DedupAge    time.Duration
	DedupEvents int

	// Now is the clock that ages follow; nothing else does. If it jumps forward,
	// events grow older by as much; if it jumps back, no event grows younger.
	// Defaults to time.Now, whose ages do not follow jumps of the wall clock. It
	// is called from many goroutines at once.
	Now func() time.Time
}

// withDefaults returns a checked copy of o with every default filled in.
func (o *MemoryLogOptions) withDefaults() (MemoryLogOptions, error) {
	var c MemoryLogOptions
	if o != nil {
		c = *o
	}
	for _, d := range []struct {
		field string
		value *time.Duration
		std   time.Duration
	}{{"KeepAge", &c.KeepAge, 10 * time.Minute}, {"DedupAge", &c.DedupAge, 5 * time.Minute}} {
		if *d.value < 0 {
			return c, fmt.Errorf("im: MemoryLogOptions.%s is %v: want a positive duration, or 0 for %v", d.field, *d.value, d.std)
		}
		if *d.value == 0 {
			*d.value = d.std
		}
	}
	for _, n := range []struct {
		field string
		value *int
		std   int
	}{{"KeepEvents", &c.KeepEvents, 5000}, {"KeepVolatile", &c.KeepVolatile, 200}, {"DedupEvents", &c.DedupEvents, 10_000}} {
		if *n.value < 0 {
			return c, fmt.Errorf("im: MemoryLogOptions.%s is %d: want a positive number, or 0 for %d", n.field, *n.value, n.std)
		}
		if *n.value == 0 {
			*n.value = n.std
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// MemoryLog is the [Log] that a hub has if it is given none: it keeps rooms in
// this process, and they are gone with it. It is safe for use by many goroutines.
// Make one with [NewMemoryLog]; it has no goroutines and needs no closing. It is
// also a [DurableLog], a [SnapshotLog], a [TrimLog] and an [Eraser].
//
// Append delivers to followers before it returns, from its own goroutine or
// from that of a concurrent Append to the same room. Reads go on meanwhile. A
// follower whose deliver panics is told so with a last call and an error, and
// is called no more; neither the appender nor other followers notice.
//
// A room that was only asked about leaves nothing behind. Trim forgets a room
// when its events and IDs are past their retention, it has no snapshot, and
// nobody followed or wrote to it for KeepAge. A forgotten room that comes
// to life again has a new epoch, so that no position ever names two events; a
// client that comes back with its old position starts anew (ErrGap), as the log
// can no longer tell what it missed. The same may befall a client that
// stands at the start of a room that is empty. A snapshot keeps its room until
// [MemoryLog.Reset].
type MemoryLog struct {
	keep   MemoryLogOptions // with defaults, immutable
	start  time.Time        // the zero of every room's clock
	base   string           // begins each of this log's epochs, random
	seed   maphash.Seed
	shards [memShards]memShard
}

var (
	_ DurableLog  = (*MemoryLog)(nil)
	_ SnapshotLog = (*MemoryLog)(nil)
	_ TrimLog     = (*MemoryLog)(nil)
	_ Eraser      = (*MemoryLog)(nil)
)

// NewMemoryLog returns an empty log. Nil options are the defaults. It fails if
// a field is negative.
func NewMemoryLog(o *MemoryLogOptions) (*MemoryLog, error) {
	keep, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &MemoryLog{
		keep:  keep,
		start: keep.Now(),
		base:  rand.Text()[:16],
		seed:  maphash.MakeSeed(),
	}
	for i := range l.shards {
		l.shards[i].base = l.base
		l.shards[i].nextEpoch()
	}
	return l, nil
}

// elapsed is the reading of a clock as rooms take it.
func (l *MemoryLog) elapsed(now time.Time) time.Duration { return now.Sub(l.start) }

// Append implements [Log].
func (l *MemoryLog) Append(ctx context.Context, room string, events []*Event) ([]Appended, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("im: append to room %q: %w", room, err)
	}
	if len(events) == 0 {
		return nil, nil
	}
	at := l.elapsed(l.keep.Now())
	out := make([]Appended, len(events))

	r := l.lock(room)
	r.clock.advance(at)
	r.trim(&l.keep)
	for i, e := range events {
		out[i] = r.append(e)
	}
	r.trim(&l.keep)
	r.used = r.clock.now
	pending := len(r.pending) > 0
	r.mu.Unlock()

	if pending {
		r.deliverPending()
	}
	return out, nil
}

// Read implements [Log].
func (l *MemoryLog) Read(ctx context.Context, room string, g Range) (Page, error) {
	if err := ctx.Err(); err != nil {
		return Page{}, fmt.Errorf("im: read room %q: %w", room, err)
	}
	r := l.lockExisting(room)
	defer r.mu.Unlock()
	if err := r.reaches(g.After); err != nil {
		return Page{}, fmt.Errorf("im: read room %q after %s: %w", room, g.After, err)
	}
	if !g.Before.IsZero() && g.Before.Epoch != r.epoch {
		return Page{}, fmt.Errorf("im: read room %q before %s: %w", room, g.Before, ErrGap)
	}
	return r.page(g), nil
}

// Head implements [Log].
func (l *MemoryLog) Head(ctx context.Context, room string) (Position, error) {
	if err := ctx.Err(); err != nil {
		return Position{}, fmt.Errorf("im: head of room %q: %w", room, err)
	}
	r := l.lockExisting(room)
	defer r.mu.Unlock()
	return Position{r.epoch, r.head}, nil
}

// Durability implements [DurableLog]: DurabilityMemory.
func (l *MemoryLog) Durability() Durability { return DurabilityMemory }

// SaveSnapshot implements [SnapshotLog]. A snapshot of an epoch that is gone, or
// of a position that the room has not reached, is ignored.
func (l *MemoryLog) SaveSnapshot(ctx context.Context, room string, s Snapshot) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("im: save the snapshot of room %q: %w", room, err)
	}
	r := l.lock(room)
	known := s.Pos.Epoch == r.epoch && s.Pos.Seq <= r.head
	if known && (r.snapshot == nil || s.Pos.Seq > r.snapshot.Pos.Seq) {
		r.snapshot = &Snapshot{Pos: s.Pos, Data: slices.Clone(s.Data)}
	}
	r.mu.Unlock()
	l.forgetUnwritten(r)
	return nil
}

// LoadSnapshot implements [SnapshotLog].
func (l *MemoryLog) LoadSnapshot(ctx context.Context, room string) (Snapshot, bool, error) {
	if err := ctx.Err(); err != nil {
		return Snapshot{}, false, fmt.Errorf("im: load the snapshot of room %q: %w", room, err)
	}
	r := l.lockExisting(room)
	defer r.mu.Unlock()
	if r.snapshot == nil {
		return Snapshot{}, false, nil
	}
	return *r.snapshot, true, nil
}

// Trim implements [TrimLog]: it drops what is past its age at now, and forgets
// rooms in which nothing is left. now is of the same clock as Options.Now.
func (l *MemoryLog) Trim(ctx context.Context, now time.Time) error {
	at := l.elapsed(now)
	for i := range l.shards {
		s := &l.shards[i]
		for _, r := range s.list() {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("im: trim: %w", err)
			}
			r.mu.Lock()
			r.clock.advance(at)
			r.trim(&l.keep)
			idle := r.idle() && r.clock.now-r.used > l.keep.KeepAge
			r.mu.Unlock()
			if idle {
				s.forget(r, l.keep.KeepAge)
			}
		}
	}
	return ctx.Err()
}

// Erase implements [Eraser].
func (l *MemoryLog) Erase(ctx context.Context, room string, positions []Position) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("im: erase events of room %q: %w", room, err)
	}
	r := l.lockExisting(room)
	defer r.mu.Unlock()
	for _, p := range positions {
		if p.Epoch == r.epoch {
			r.erase(p.Seq)
		}
	}
	return nil
}

// Reset forgets a room's events, IDs and snapshot and begins a new epoch, as
// the loss of an engine would. Followers get what was stored before, then
// ErrGap, and are done. It is for tests, and for hosts that want a room empty.
// It must not be called from a follower.
func (l *MemoryLog) Reset(room string) {
	if r := l.shard(room).reset(room); r != nil {
		r.endFollowing(ErrGap)
	}
}
