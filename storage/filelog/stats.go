package filelog

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im/storage/filelog/internal/segment"
)

// Stats is what a log has done since it was opened, and what waits.
type Stats struct {
	Rooms         int           // in memory, which is all of which something is kept
	Segments      int           // files
	Bytes         int64         // of the files
	QueueEvents   int           // that wait for the disk
	QueueBytes    int64         // likewise
	VolatileBytes int64         // of volatile events that are to be written
	Syncs         uint64        // fsyncs that succeeded
	SyncTime      time.Duration // that they took, all together
	Unwritten     uint64        // volatile events that were never written, since too many waited
	Damaged       int           // places; see Log.Damage
}

// Stats returns the figures of now.
func (l *Log) Stats() Stats {
	var s Stats
	l.rooms.all(func(*room) bool { s.Rooms++; return true })
	s.Bytes, s.Segments = l.files.size()
	s.QueueEvents, s.QueueBytes = l.queue.depth()
	s.VolatileBytes = l.backlog.size()
	s.Syncs = l.counters.syncs.Load()
	s.SyncTime = time.Duration(l.counters.syncTime.Load())
	s.Unwritten = l.counters.unwritten.Load()
	s.Damaged = len(l.losses.list())
	return s
}

// Health says why critical, normal and merged events are refused at the moment, or nil: the disk takes them.
func (l *Log) Health() error { return l.queue.health() }

// Damage is a place in a file whose bytes are not those that were written, or cannot be read.
type Damage = segment.Damage

// Damage returns the damaged places that opening and reading have met. Verify finds all.
func (l *Log) Damage() []Damage { return l.losses.list() }

// counters count what a log does.
type counters struct {
	syncs, unwritten atomic.Uint64
	syncTime         atomic.Int64

	mu   sync.Mutex // protects fault
	lost error
}

func (c *counters) synced(took time.Duration) {
	c.syncs.Add(1)
	c.syncTime.Add(int64(took))
}

// fail keeps the error that Close returns.
func (c *counters) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = err
}

func (c *counters) last() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// losses are the damaged places that a log has met.
type losses struct {
	mu     sync.Mutex // protects places
	places []Damage
}

// add takes a place over, and reports false if it is known.
func (l *losses) add(d Damage) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.places {
		if o.File == d.File && o.Offset == d.Offset && o.Length == d.Length {
			return false
		}
	}
	l.places = append(l.places, d)
	return true
}

func (l *losses) list() []Damage {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Damage(nil), l.places...)
}

// damaged takes note of damage, and of the positions that it took from rooms. It reports false if all of it is known. What
// was never synced is no damage: a loss of power took it.
func (l *Log) damaged(places []Damage) (news bool) {
	for _, d := range places {
		if d.Torn || !l.losses.add(d) {
			continue
		}
		news = true
		l.opts.Logger.Error("damage in the log", "file", d.File, "offset", d.Offset, "bytes", d.Length, "reason", d.Reason, "lost", d.Lost)
		kind, _ := segment.ParseName(d.File)
		if !d.Lost || d.Past || kind != segment.SealedFile {
			continue // what an active file lost is found by the counts of what is left
		}
		for _, s := range d.Rooms {
			r := l.rooms.lockExisting(s.Room)
			if r.epoch == s.Epoch {
				r.trimmed.durables = max(r.trimmed.durables, s.Last)
			}
			r.mu.Unlock()
		}
	}
	return news
}
