package postgres

import (
	"context"
	"fmt"
	"math"

	"github.com/liveim/im"
)

// pageOf is how many events a follower that lags is given at a time.
const pageOf = 500

// Follow implements [im.Log]. What is stored already is delivered before Follow
// returns.
func (l *Log) Follow(ctx context.Context, room string, after im.Position, deliver func(events []*im.Event, err error)) (stop func(), err error) {
	if err := l.usable(ctx, "follow", room); err != nil {
		return nil, err
	}
	if n := len(room); n == 0 || n > maxName {
		return nil, fmt.Errorf("postgres: the name of a room has %d bytes: want 1 to %d", n, maxName)
	}
	w := &follower{deliver: deliver}
	row, err := l.approach(ctx, room, after, w)
	if err != nil {
		return nil, err
	}
	if w.done { // deliver panicked
		return func() {}, nil
	}
	f, err := l.join(row, w)
	if err != nil {
		return nil, fmt.Errorf("postgres: follow room %q: %w", room, err)
	}
	l.kick(f, always) // for what was stored between the last page and now
	return func() { l.leave(f, w) }, nil
}

// approach gives a new follower, which nobody else knows yet, what is stored,
// and returns the row of the room, which it makes if there is none.
func (l *Log) approach(ctx context.Context, room string, after im.Position, w *follower) (row int64, err error) {
	w.epoch, w.at = after.Epoch, after.Seq
	spared := uint64(0) // what was dropped before a start from the oldest is no gap
	for first := true; ; first = false {
		v, err := l.view(ctx, room, 0, span{after: w.at, max: pageOf})
		if err != nil {
			return 0, failed(ctx, fmt.Sprintf("follow room %q", room), err)
		}
		if first && after.IsZero() {
			w.epoch, spared = v.epoch, v.trimmed
		}
		if v.epoch != w.epoch || w.at > v.head || w.at < v.trimmed && v.trimmed > spared {
			return 0, fmt.Errorf("postgres: follow room %q after %s.%d: %w", room, w.epoch, w.at, im.ErrGap)
		}
		w.give(v.events, v.reached())
		if w.done {
			return 0, nil
		}
		if v.more {
			continue
		}
		if v.room != 0 {
			return v.room, nil
		}
		return l.settle(ctx, room, first && after.IsZero(), w)
	}
}

// settle makes a row for a room that has none, so that it keeps its epoch as
// long as it is followed.
func (l *Log) settle(ctx context.Context, room string, anywhere bool, w *follower) (row int64, err error) {
	var epoch string
	var head int64
	if err := l.pool.QueryRow(ctx, l.sql.follow, []byte(room), l.shift()).Scan(&row, &epoch, &head); err != nil {
		return 0, failed(ctx, fmt.Sprintf("follow room %q", room), err)
	}
	if epoch != w.epoch && !anywhere {
		return 0, fmt.Errorf("postgres: follow room %q after %s.%d: %w", room, w.epoch, w.at, im.ErrGap)
	}
	w.epoch = epoch
	return row, nil
}

// join adds a follower to those of a row.
func (l *Log) join(row int64, w *follower) (*feed, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, ErrClosed
	}
	f := l.feeds[row]
	if f == nil {
		f = &feed{row: row}
		l.feeds[row] = f
	}
	f.refs++
	if !l.listening {
		l.listening = true
		l.spawn(l.listen)
		l.spawn(l.watch)
	}
	l.mu.Unlock()

	f.turn.Lock()
	defer f.turn.Unlock()
	if f.ended {
		return nil, ErrClosed
	}
	w.round = f.round
	f.followers = append(f.followers, w)
	f.settle()
	return f, nil
}

// leave ends a follower. After it returned, deliver is not called again.
func (l *Log) leave(f *feed, w *follower) {
	f.turn.Lock()
	defer f.turn.Unlock()
	w.done = true
	l.tidy(f)
}

// stored gives the followers what a group has stored, and lets other processes
// know. A follower that does not stand where the group begins is served from
// the table.
func (l *Log) stored(g *group) {
	events := g.fresh()
	head := g.before + uint64(len(events))
	l.mu.Lock()
	f := l.feeds[g.room]
	l.mu.Unlock()
	if f != nil && l.pass(f, g, events, head) {
		l.kick(f, head)
	}
	if len(events) > 0 {
		l.announce(g.room, head)
	}
}

// pass reports whether a follower is left that lags.
func (l *Log) pass(f *feed, g *group, events []*im.Event, head uint64) (lags bool) {
	f.turn.Lock()
	defer f.turn.Unlock()
	for _, w := range f.followers {
		switch {
		case w.epoch != g.epoch:
			w.end(im.ErrGap)
		case w.at >= g.before:
			w.give(events, head)
		default:
			lags = true
		}
	}
	l.tidy(f)
	return lags
}

// catchUp reads what the followers of a feed lack, if that is known to be there:
// up to want, or whatever it is.
func (l *Log) catchUp(f *feed, want uint64) {
	for {
		from, round, ok := f.begin()
		if !ok || from >= want && want != always {
			return
		}
		ctx, cancel := context.WithTimeout(l.ctx, l.opts.Timeout)
		v, err := l.view(ctx, "", f.row, span{after: from, max: pageOf})
		cancel()
		if err != nil {
			f.missed.Store(true) // the next poll comes back to it
			return
		}
		l.hand(f, from, round, &v)
		if !v.more {
			return
		}
		want = always
	}
}

// hand gives a view to the followers that were there when it was read, and
// for whom it leaves nothing out.
func (l *Log) hand(f *feed, from, round uint64, v *view) {
	f.turn.Lock()
	defer f.turn.Unlock()
	for _, w := range f.followers {
		switch {
		case w.round >= round || w.at < from:
		case v.room == 0 || w.epoch != v.epoch || w.at < v.trimmed:
			w.end(im.ErrGap)
		default:
			w.give(v.events, v.reached())
		}
	}
	l.tidy(f)
}

// compare holds a feed against what the poll found, of which ok false says that
// the room is gone. round and high are of before the poll.
func (l *Log) compare(f *feed, round, high uint64, epoch string, head uint64, ok bool) {
	f.turn.Lock()
	for _, w := range f.followers {
		if w.round < round && (!ok || w.epoch != epoch || high > head && w.at > head) {
			w.end(im.ErrGap)
		}
	}
	l.tidy(f)
	f.turn.Unlock()
	if missed := f.missed.Swap(false); ok && (missed || f.low.Load() < head) {
		l.kick(f, always)
	}
}

// endAll ends every follower of a feed, and those that are just coming.
func (l *Log) endAll(f *feed, err error) {
	f.turn.Lock()
	defer f.turn.Unlock()
	f.ended = true
	for _, w := range f.followers {
		w.end(err)
	}
	l.tidy(f)
}

// tidy takes followers that are done off the list. f.turn is held.
func (l *Log) tidy(f *feed) {
	gone := f.drop()
	f.settle()
	if gone == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.refs -= gone; f.refs == 0 {
		delete(l.feeds, f.row)
	}
}

// always is the head that kick is told if the feed is to be read in any case.
const always = math.MaxUint64
