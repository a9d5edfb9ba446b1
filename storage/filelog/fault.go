package filelog

import (
	"errors"
	"fmt"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/segment"
)

// notStored says that nothing of a call is or will be there.
func notStored(err error) error { return fmt.Errorf("%w: %w", im.ErrNotStored, err) }

// refuse answers requests for which nothing was done.
func (c *committer) refuse(requests []*request, why error) {
	for _, q := range requests {
		q.err = notStored(why)
	}
	c.answer(requests)
}

// withdraw ends a round that failed. What it wrote is cut off already, or is taken back by an abort record in another
// segment; if the disk does not take that either, the outcome is not known until it does.
func (c *committer) withdraw(requests []*request, backlog []unwritten, err error) {
	for _, r := range c.rooms {
		r.mu.Lock()
		for _, q := range r.flight {
			for i, e := range q.events {
				if q.err == nil && q.out[i].Status == im.Stored {
					r.forget(e.ID, e.Pos.Seq)
					c.aborts = append(c.aborts, segment.Record{Type: segment.Abort, Room: r.name, Epoch: r.epoch, Seq: e.Pos.Seq})
				}
			}
		}
		r.positions.withdrawn()
		r.flown = counts{}
		r.waiting -= len(r.flight)
		r.mu.Unlock()
		clear(r.flight)
		r.flight = r.flight[:0]
	}
	c.unwritable(c.log.backlog.putBack(backlog))
	clear(c.records)
	known := c.fail(err)
	for _, q := range requests {
		switch {
		case q.err != nil:
		case known:
			q.err = notStored(err)
		default:
			q.err = fmt.Errorf("the disk failed, so the outcome is not known: %w", err)
		}
	}
	c.answer(requests)
}

// unwritable marks volatile events for which there is no room until the disk is back.
func (c *committer) unwritable(events []unwritten) {
	for _, u := range events {
		u.room.mu.Lock()
		if e := u.room.tail.find(u.event.Pos.Seq); e != nil {
			e.unwritable = true
		}
		u.room.mu.Unlock()
	}
}

// fail has durable appends refused until the disk works again, and reports whether it is sure that nothing of the round
// will be there. A segment that can be written to no more is left behind, and another begun at once.
func (c *committer) fail(err error) (known bool) {
	if w, ok := errors.AsType[*segment.WriteError](err); ok {
		known = w.CutBack
	}
	c.failed, c.fault = true, err
	if c.log.queue.refuse(err) {
		c.log.opts.Logger.Error("the disk fails; critical, normal and merged events are refused until it works again", "dir", c.log.dir, "error", err)
	}
	if !known {
		c.abandonFile(true)
		c.recover()
		return !c.failed
	}
	c.retryAt = time.Now().Add(retryDelay)
	return true
}

// abandonFile leaves a segment behind that takes no more writes. What is in it is read, and sealed, as if it were full.
func (c *committer) abandonFile(broken bool) {
	if c.file != nil {
		c.file.broken = broken
		c.log.keeper.retire(c.file)
		c.file = nil
	}
	clear(c.dirty) // of what a sync failed for, no later one makes anything lasting
	c.syncAt = time.Time{}
}

// recover tries whether the disk works: it begins another segment if there is none, and writes which events do not count.
func (c *committer) recover() {
	c.retryAt = time.Now().Add(retryDelay)
	if err := c.begin(); err != nil {
		c.fault = err
		c.log.queue.refuse(err)
		return
	}
	c.failed, c.retryAt = false, time.Time{}
	if c.log.queue.refuse(nil) {
		c.log.opts.Logger.Info("the disk works again", "dir", c.log.dir)
	}
	c.log.queue.wake()
}

// begin has a segment to write to, with the abort records in it.
func (c *committer) begin() error {
	if c.file == nil {
		f, err := c.create()
		if err != nil {
			return err
		}
		c.file = f
	}
	if len(c.aborts) > 0 {
		if _, err := c.file.active.Write(c.aborts); err != nil {
			c.leave(err)
			return err
		}
	}
	if err := c.file.active.Sync(); err != nil {
		c.leave(err)
		return err
	}
	c.aborts = nil
	return nil
}

// leave abandons the file after an error that it does not get over.
func (c *committer) leave(err error) {
	if w, ok := errors.AsType[*segment.WriteError](err); !ok || !w.CutBack {
		c.abandonFile(true)
	}
}

// create makes the next segment.
func (c *committer) create() (*activeFile, error) {
	a, err := segment.Create(c.log.opts.fs, c.log.dir, c.next)
	c.next++ // a name that failed once may be there
	if err != nil {
		return nil, err
	}
	a.Fill(c.log.opts.SegmentBytes)
	f := newActiveFile(a)
	c.log.files.add(f)
	return f, nil
}

// roll begins another segment when the one that is written to is full.
func (c *committer) roll() error {
	if c.file != nil && c.file.active.Size() < c.log.opts.SegmentBytes {
		return nil
	}
	if c.file != nil {
		if len(c.dirty) > 0 {
			if err := c.sync(); err != nil {
				return err
			}
		}
		c.file.active.Trim()
		c.abandonFile(false)
	}
	return c.begin()
}
