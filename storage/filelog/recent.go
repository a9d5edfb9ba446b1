package filelog

import "sync"

// recent bounds the memory of events that were published last and are on disk too. It is safe for concurrent use.
type recent struct {
	max int64 // bytes

	mu    sync.Mutex // protects the fields below
	items []recentItem
	first int
	bytes int64
}

// recentItem is the events of a room up to a position.
type recentItem struct {
	room  *room
	upTo  uint64
	bytes int64
}

// add takes an item over, and returns up to where the events of rooms must leave memory: many at once, and seldom.
func (q *recent) add(it recentItem) (leave map[*room]uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes += it.bytes
	q.items = append(q.items, it)
	if q.bytes <= q.max {
		return nil
	}
	leave = map[*room]uint64{}
	for q.bytes > q.max-q.max/8 {
		old := &q.items[q.first]
		q.bytes -= old.bytes
		leave[old.room] = max(leave[old.room], old.upTo)
		*old = recentItem{}
		q.first++
	}
	if q.first > 1024 && q.first > len(q.items)/2 {
		n := copy(q.items, q.items[q.first:])
		clear(q.items[n:])
		q.items, q.first = q.items[:n], 0
	}
	return leave
}

// remember keeps the events of a room up to a position in memory until newer ones need the place.
func (l *Log) remember(r *room, upTo uint64, bytes int64) {
	if bytes == 0 {
		return
	}
	for old, upTo := range l.recent.add(recentItem{r, upTo, bytes}) {
		l.counters.unwritten.Add(old.evict(upTo))
	}
}

// evict drops from memory what is on disk, up to a position, and drops for good what will not be written. It returns how many
// events that is.
func (r *room) evict(upTo uint64) (lost uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := false
	for i, end := r.tail.after(r.evicted), r.tail.after(upTo); i < end; i++ {
		e := &r.tail.entries[i]
		switch {
		case e.file != nil:
			e.event = nil
		case e.unwritable:
			lost++
			gone = true
			r.trimmed.volatiles = max(r.trimmed.volatiles, e.seq)
			r.forget(e.event.ID, e.seq)
		}
	}
	r.evicted = max(r.evicted, upTo)
	if gone {
		r.volatiles -= lost
		r.tail.remove(func(e *entry) bool { return e.unwritable && e.seq <= upTo })
	}
	return lost
}
