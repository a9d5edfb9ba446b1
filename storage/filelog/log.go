package filelog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/segment"
)

// Log is an [im.Log] in a directory. It is safe for use by many goroutines. Make one with [Open]; it has two goroutines of
// its own, and none per room or follower. It ends with [Log.Close]. It is also an [im.DurableLog], an [im.SnapshotLog] and an
// [im.TrimLog].
//
// Append delivers to followers before it returns, from its own goroutine or from that of a concurrent Append to the
// same room. A follower whose deliver panics is told so with a last call and an error, and is called no more; neither
// the appender nor other followers notice.
//
// The ID of an event is remembered as long as the event is on disk, which is at least as long as it is kept.
//
// A room of which nothing is kept any more is forgotten: if it comes to life again it has a new epoch.
type Log struct {
	opts   Options // with defaults, immutable
	dir    string
	lock   io.Closer
	secret []byte
	clock  clock

	rooms    *rooms
	queue    queue
	requests sync.Pool // of *request
	backlog  backlog
	recent   recent
	files    files
	cache    *segment.Cache
	keeper   keeper
	counters counters
	losses   losses

	soon      chan struct{} // holds a token if volatile events are to be written before long
	stop      chan struct{} // closed to end the committer
	committed chan struct{} // closed when it has ended
	crashing  atomic.Bool   // the end is that of a killed process, for tests
	closed    atomic.Bool
	closeOnce sync.Once
	closeErr  error
}

var (
	_ im.DurableLog  = (*Log)(nil)
	_ im.SnapshotLog = (*Log)(nil)
	_ im.TrimLog     = (*Log)(nil)
)

// Durability implements [im.DurableLog]: DurabilityLocalFsync.
func (l *Log) Durability() im.Durability { return im.DurabilityLocalFsync }

// Secret returns 32 random bytes that were made with the directory and stay the same: good for im.Options.Secret. The caller
// may change the slice.
func (l *Log) Secret() []byte { return slices.Clone(l.secret) }

// Close writes what waits, marks the log as closed cleanly and gives the directory back. Appends that wait are
// committed; later calls fail with [ErrClosed], and following ends with it. Close waits for the disk. It may be called more
// than once, and not from a follower.
func (l *Log) Close() error {
	l.closeOnce.Do(l.close)
	return l.closeErr
}

func (l *Log) close() {
	l.closed.Store(true)
	l.queue.close()
	l.keeper.cancel()
	close(l.stop)
	<-l.committed
	<-l.keeper.done
	l.rooms.all(func(r *room) bool {
		r.endFollowing(ErrClosed)
		return true
	})
	l.closeErr = errors.Join(l.counters.last(), l.files.close(), l.lock.Close())
}

func (l *Log) closing() bool { return l.closed.Load() }

// nudge has volatile events written before long.
func (l *Log) nudge() {
	select {
	case l.soon <- struct{}{}:
	default:
	}
}

// finish is the committer's last round.
func (c *committer) finish() {
	l := c.log
	if l.crashing.Load() {
		c.refuse(l.queue.take(), ErrClosed)
		return
	}
	if c.failed {
		c.recover()
	}
	c.round()
	if c.failed || c.file == nil {
		l.counters.fail(fmt.Errorf("filelog: close %s: not all could be written: %w", l.dir, c.fault))
		return
	}
	// What was given and is not on disk must not be given again.
	err := c.reserve(func(r *room) bool { return r.positions.below > r.written })
	if err == nil {
		_, err = c.file.active.Write([]segment.Record{{Type: segment.Closed}})
	}
	if err == nil {
		c.file.active.Trim()
		err = c.file.active.Sync()
	}
	if err != nil {
		l.counters.fail(fmt.Errorf("filelog: close %s: %w", l.dir, err))
	}
}

// files are the segments of a log. It is safe for concurrent use.
type files struct {
	mu     sync.Mutex // protects the fields below
	active []*activeFile
	sealed []*sealedFile // in rising order of number
}

func (f *files) add(a *activeFile) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = append(f.active, a)
}

// replace puts a sealed file in the place of the active or sealed one of its number. Nil is none.
func (f *files) replace(number uint64, s *sealedFile) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = slices.DeleteFunc(f.active, func(a *activeFile) bool { return a.number == number })
	kept := slices.DeleteFunc(slices.Clone(f.sealed), func(o *sealedFile) bool { return o.Number() == number })
	if s != nil {
		kept = append(kept, s)
		slices.SortFunc(kept, func(a, b *sealedFile) int { return compare(a.Number(), b.Number()) })
	}
	f.sealed = kept
}

// list returns the sealed files, the oldest first. The slice must not be changed.
func (f *files) list() []*sealedFile {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sealed
}

// size is how many bytes all files have, and how many there are.
func (f *files) size() (bytes int64, segments int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.active {
		bytes += a.active.Size()
	}
	for _, s := range f.sealed {
		bytes += s.Size()
	}
	return bytes, len(f.active) + len(f.sealed)
}

func (f *files) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, a := range f.active {
		errs = append(errs, a.end(false))
	}
	for _, s := range f.sealed {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// newEpochs begins epochs that no other run of any log has.
func newEpochs() string { return rand.Text()[:16] }

// Trim implements [im.TrimLog]: it drops segments of which nothing is kept any more. now is of the same clock as
// Options.Now. Reads heed the retention at once, whether Trim was called or not.
func (l *Log) Trim(ctx context.Context, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("filelog: trim: %w", err)
	}
	if l.closing() {
		return ErrClosed
	}
	l.clock.advance(now.UnixNano())
	if err := l.keeper.trim(ctx); err != nil {
		return fmt.Errorf("filelog: trim: %w", err)
	}
	return nil
}
