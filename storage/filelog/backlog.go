package filelog

import (
	"sync"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/segment"
)

// backlog holds volatile events that are published and not written yet. It is safe for concurrent use.
type backlog struct {
	max int64 // bytes

	mu     sync.Mutex // protects the fields below
	events []unwritten
	spare  []unwritten
	bytes  int64
}

// unwritten is a volatile event that is to be written.
type unwritten struct {
	room  *room
	event *im.Event
	counts
	bytes int64
}

func (u *unwritten) record() segment.Record {
	return segment.Record{
		Type: segment.Event, Room: u.room.name, Epoch: u.event.Pos.Epoch, Seq: u.event.Pos.Seq, Event: u.event,
		Volatiles: u.volatiles, Durables: u.durables,
	}
}

// backlogRush is how many bytes are written without waiting for more to come.
const backlogRush = 256 << 10

// add takes an event over, and reports false if there is no room for it. rush asks to have the backlog written soon,
// soon that nobody has been asked yet.
func (b *backlog) add(u unwritten) (ok, soon, rush bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes+u.bytes > b.max {
		return false, false, false
	}
	b.events = append(b.events, u)
	before := b.bytes
	b.bytes += u.bytes
	return true, len(b.events) == 1, before < backlogRush && b.bytes >= backlogRush
}

// take returns all events. The slice is good until the next call.
func (b *backlog) take() []unwritten {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.events
	clear(b.spare)
	b.events, b.spare = b.spare[:0], taken
	b.bytes = 0
	return taken
}

// putBack takes events over that were not written after all, those for which there is room.
func (b *backlog) putBack(events []unwritten) (left []unwritten) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var bytes int64
	n := 0
	for n < len(events) && b.bytes+bytes+events[n].bytes <= b.max {
		bytes += events[n].bytes
		n++
	}
	b.events = append(append(make([]unwritten, 0, n+len(b.events)), events[:n]...), b.events...)
	b.bytes += bytes
	return events[n:]
}

func (b *backlog) size() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}
