package filelog

import (
	"runtime"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/segment"
)

const (
	// writeDelay is for how long volatile events gather before they are written if nothing else is.
	writeDelay = 10 * time.Millisecond
	// syncDelay is for how long what was written of them waits for its fsync.
	syncDelay = time.Second
	// retryDelay is for how long a disk that failed is left alone.
	retryDelay = 250 * time.Millisecond
)

// committer is the one goroutine that writes. It takes what waits, gives it its places, writes it, has it synced, and publishes
// it: a round.
type committer struct {
	log  *Log
	file *activeFile // what is written to; nil if there is none that takes it
	next uint64      // the number of the next segment

	writeAt, syncAt, retryAt time.Time // when something is due, zero if nothing is
	failed                   bool
	fault                    error            // the last one, while failed
	aborts                   []segment.Record // of withdrawn events, not on disk yet
	dirty                    map[*room]uint64 // what was written since the last sync: the highest position of each room

	// What follows belongs to one round; it is kept for its memory.
	records []segment.Record
	rooms   []*room // that have a flight
}

// run commits until the log closes.
func (c *committer) run() {
	defer close(c.log.committed)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(c.wait())
		select {
		case <-c.log.queue.kick:
			c.gather()
			c.round()
		case <-c.log.soon:
			if c.writeAt.IsZero() {
				c.writeAt = time.Now().Add(writeDelay)
			}
		case <-timer.C:
			c.due()
		case <-c.log.stop:
			c.finish()
			return
		}
	}
}

// gatherTurns is how often the committer lets others run before a round, while that brings more to share its fsync: those
// whom the last round woke are about to append again. With gatherEnough it goes ahead: the rest append while the disk is busy
// with these, where otherwise either the disk or the processors would wait.
const (
	gatherTurns  = 8
	gatherEnough = 128
)

// fewRequests is below how many a round lets others run once more before it waits for the disk. Whoever got a lock from the
// committer is to run where the committer does, and the runtime takes a processor away from a system call only after a while:
// they would miss the next fsync too. Where there are many requests, others are awake who run them.
const fewRequests = 32

func (c *committer) gather() {
	before, _ := c.log.queue.depth()
	for range gatherTurns {
		if before >= gatherEnough {
			return
		}
		runtime.Gosched()
		now, _ := c.log.queue.depth()
		if now == before {
			return
		}
		before = now
	}
}

// wait is for how long there is nothing to do.
func (c *committer) wait() time.Duration {
	due := []time.Time{c.writeAt, c.syncAt}
	if c.failed {
		due = []time.Time{c.retryAt}
	}
	wait := time.Hour
	for _, at := range due {
		if !at.IsZero() {
			wait = min(wait, max(0, time.Until(at)))
		}
	}
	return wait
}

func isDue(at time.Time) bool { return !at.IsZero() && time.Until(at) <= 0 }

// due does what its time has come for.
func (c *committer) due() {
	if c.failed {
		if isDue(c.retryAt) {
			c.recover()
		}
		return
	}
	if isDue(c.writeAt) || isDue(c.syncAt) {
		c.round()
	}
}

// round commits all that waits.
func (c *committer) round() {
	requests := c.log.queue.take()
	if c.failed {
		c.refuse(requests, c.fault)
		return
	}
	if err := c.roll(); err != nil {
		c.fail(err)
		c.refuse(requests, err)
		return
	}
	c.writeAt = time.Time{}
	backlog := c.log.backlog.take()
	c.records, c.rooms = c.records[:0], c.rooms[:0]
	for i := range backlog {
		c.records = append(c.records, backlog[i].record())
	}
	c.placeAll(requests)
	wait := len(c.records) > len(backlog) || isDue(c.syncAt)
	if len(c.records) > 0 {
		refs, err := c.file.active.Write(c.records)
		if err != nil {
			c.withdraw(requests, backlog, err)
			return
		}
		c.wrote(backlog, refs)
		defer clear(c.records)
		if wait {
			if len(requests) < fewRequests {
				runtime.Gosched()
			}
			if err := c.sync(); err != nil {
				c.withdraw(requests, nil, err)
				return
			}
		}
		c.land(requests, refs)
		return
	}
	if wait {
		if err := c.sync(); err != nil {
			c.withdraw(requests, nil, err)
			return
		}
	}
	c.land(requests, nil)
}

// placeAll places requests. It keeps the lock of a room from one request to the next: if it gave it back each time, the many who
// are about to append to the room would take turns with it.
func (c *committer) placeAll(requests []*request) {
	var held *room
	for _, q := range requests {
		if q.room != held {
			if held != nil {
				held.mu.Unlock()
			}
			held = q.room
			held.mu.Lock()
		}
		c.place(held, q)
	}
	if held != nil {
		held.mu.Unlock()
	}
}

// place gives the events of a request their places and records. r.mu is held.
func (c *committer) place(r *room, q *request) {
	q.first = len(c.records)
	if q.records != nil {
		c.records = append(c.records, q.records...)
		q.count = len(q.records)
		c.board(r, q)
		return
	}
	for r.moves != q.moves && q.err == nil {
		moves, parts := r.moves, r.parts
		r.mu.Unlock()
		_, q.err = c.log.recall(r, parts, q.events, q.out)
		r.mu.Lock()
		q.moves = moves
	}
	if q.err != nil {
		q.err = notStored(q.err)
		return
	}
	c.records = r.placeDurable(q.events, q.out, c.records)
	q.count = len(c.records) - q.first
	c.board(r, q)
}

// board notes the request with the flight of its room.
func (c *committer) board(r *room, q *request) {
	if len(r.flight) == 0 {
		c.rooms = append(c.rooms, r)
	}
	r.flight = append(r.flight, q)
	q.boarded = true
}

// wrote notes where volatile events lie.
func (c *committer) wrote(backlog []unwritten, refs []segment.Ref) {
	for i := range backlog {
		u := &backlog[i]
		seq := u.event.Pos.Seq
		u.room.mu.Lock()
		if e := u.room.tail.find(seq); e != nil {
			e.file, e.ref = c.file, refs[i]
			if seq <= u.room.evicted {
				e.event = nil
			}
		}
		u.room.anchor, u.room.written = c.file.number, max(u.room.written, seq)
		u.room.mu.Unlock()
		c.dirty[u.room] = max(c.dirty[u.room], seq)
	}
	if len(backlog) > 0 && c.syncAt.IsZero() {
		c.syncAt = time.Now().Add(syncDelay)
	}
}

// sync has all that was written on disk.
func (c *committer) sync() error {
	began := time.Now()
	if err := c.file.active.Sync(); err != nil {
		return err
	}
	c.log.counters.synced(time.Since(began))
	c.syncAt = time.Time{}
	for r, seq := range c.dirty {
		r.mu.Lock()
		r.positions.synced(seq)
		r.mu.Unlock()
	}
	clear(c.dirty)
	return nil
}

// land publishes what a round stored, and wakes those who wait for it.
func (c *committer) land(requests []*request, refs []segment.Ref) {
	now := c.log.clock.read()
	for _, r := range c.rooms {
		var bytes int64
		r.mu.Lock()
		for _, q := range r.flight {
			bytes += q.bytes
			c.publish(r, q, refs, now)
		}
		if r.positions.low != 0 {
			r.positions.landed()
			r.written = r.positions.head
		}
		r.flown = counts{}
		top := r.positions.head
		r.anchor = c.file.number
		r.waiting -= len(r.flight)
		r.mu.Unlock()
		clear(r.flight)
		r.flight = r.flight[:0]
		c.log.remember(r, top, bytes)
	}
	c.answer(requests)
}

// publish puts the events of a request into its room. r.mu is held.
func (c *committer) publish(r *room, q *request, refs []segment.Ref, now int64) {
	mine := refs[q.first : q.first+q.count]
	if q.settle != nil {
		q.settle(c.file, mine)
		return
	}
	r.used = now
	for i, e := range q.events {
		if q.out[i].Status == im.Stored {
			r.publish(entry{seq: e.Pos.Seq, stored: now, event: e, file: c.file, ref: mine[0], volatile: e.Class == im.Volatile})
			mine = mine[1:]
		}
	}
}

// answer wakes those who wait. For those who do no more it delivers what they would have. Rooms count no more who was on
// their flight.
func (c *committer) answer(requests []*request) {
	for _, q := range requests {
		r := q.room
		if !q.boarded {
			r.mu.Lock()
			r.waiting--
			r.mu.Unlock()
		}
		if !q.answer() {
			r.deliverPending()
		}
	}
}
