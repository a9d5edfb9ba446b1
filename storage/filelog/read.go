package filelog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/liveim/im"
)

// Read implements [im.Log].
func (l *Log) Read(ctx context.Context, room string, g im.Range) (im.Page, error) {
	if err := ctx.Err(); err != nil {
		return im.Page{}, fmt.Errorf("filelog: read room %q: %w", room, err)
	}
	if l.closing() {
		return im.Page{}, ErrClosed
	}
	p, err := l.read(room, g)
	if err != nil {
		return im.Page{}, fmt.Errorf("filelog: read room %q: %w", room, err)
	}
	return p, nil
}

// Head implements [im.Log]. After an unclean stop it is the highest position that may have been given.
func (l *Log) Head(ctx context.Context, room string) (im.Position, error) {
	if err := ctx.Err(); err != nil {
		return im.Position{}, fmt.Errorf("filelog: head of room %q: %w", room, err)
	}
	if l.closing() {
		return im.Position{}, ErrClosed
	}
	r := l.rooms.lockExisting(room)
	defer r.mu.Unlock()
	return im.Position{Epoch: r.epoch, Seq: r.positions.head}, nil
}

// moves is how often a read begins again because what it reads was sealed, rewritten or dropped meanwhile.
const maxMoves = 100

func (l *Log) read(name string, g im.Range) (im.Page, error) {
	var err error
	for range maxMoves {
		var p im.Page
		p, err = l.readOnce(name, g)
		if !isClosed(err) || l.closing() {
			return p, err
		}
	}
	return im.Page{}, fmt.Errorf("what it reads is always elsewhere; try again: %w", err)
}

func isClosed(err error) bool { return errors.Is(err, fs.ErrClosed) }

// readOnce reads the page from where things lie now.
func (l *Log) readOnce(name string, g im.Range) (im.Page, error) {
	v := l.view(name)
	limit := g.Max
	if limit <= 0 {
		limit = im.DefaultPage
	}
	last := v.head
	switch {
	case !g.After.IsZero() && (g.After.Epoch != v.epoch || g.After.Seq > v.head):
		return im.Page{}, fmt.Errorf("after %s: %w", g.After, im.ErrGap)
	case !g.Before.IsZero() && g.Before.Epoch != v.epoch:
		return im.Page{}, fmt.Errorf("before %s: %w", g.Before, im.ErrGap)
	case !g.Before.IsZero() && g.Before.Seq <= last:
		last = max(g.Before.Seq, 1) - 1
	}
	if !g.After.IsZero() {
		gap, err := v.gap(g.After.Seq)
		if err != nil {
			return im.Page{}, err
		}
		if gap {
			return im.Page{}, fmt.Errorf("after %s: %w", g.After, im.ErrGap)
		}
	}
	if g.After.Seq >= last {
		return im.Page{}, nil
	}
	found, err := v.collect(query{after: g.After.Seq, last: last, max: saturate(limit), newest: g.Newest})
	if err != nil {
		return im.Page{}, err
	}
	var p im.Page
	if p.More = len(found) > limit; p.More && g.Newest {
		found = found[len(found)-limit:]
	} else if p.More {
		found = found[:limit]
	}
	if p.Events, err = v.load(found); err != nil {
		return im.Page{}, err
	}
	if !g.After.IsZero() && !g.Newest {
		if p.More {
			last = found[len(found)-1].seq
		}
		p.Missed, err = v.missed(g.After.Seq, last, found)
	}
	return p, err
}

// saturate is one more than limit, to see whether there are more.
func saturate(limit int) int { return max(limit, limit+1) }

// load returns the events of entries.
func (v *view) load(found []entry) ([]*im.Event, error) {
	if len(found) == 0 {
		return nil, nil
	}
	events := make([]*im.Event, len(found))
	for i := range found {
		e := &found[i]
		if e.event == nil {
			rec, err := e.file.read(e.ref)
			if err != nil {
				return nil, err
			}
			e.event = rec.Event
		}
		events[i] = e.event
	}
	return events, nil
}

// query selects events of a room: those with after < seq <= last.
type query struct {
	after, last uint64
	max         int
	newest      bool // the newest max of them, not the oldest
	dead        bool // those too that are past their retention
}

// collect returns the events of a query in rising order of position. Those without event lie in their file.
func (v *view) collect(q query) ([]entry, error) {
	sources := make([]source, 0, len(v.parts)+1)
	for _, p := range v.parts {
		if p.events > 0 && p.last > q.after && p.first <= q.last {
			sources = append(sources, source{p.first, p.last, p.file})
		}
	}
	if v.tail.last > q.after && v.tail.first <= q.last {
		sources = append(sources, v.tail)
	}
	slices.SortFunc(sources, func(a, b source) int {
		if q.newest {
			a, b = source{first: b.last}, source{first: a.last}
		}
		return compare(a.first, b.first)
	})
	var found []entry
	for _, s := range sources {
		if len(found) >= q.max { // what lies beyond what is found already does not count
			if q.newest && s.last < found[0].seq || !q.newest && s.first > found[len(found)-1].seq {
				break
			}
			if q.newest {
				q.after = max(q.after, found[0].seq)
			} else {
				q.last = min(q.last, found[len(found)-1].seq)
			}
		}
		more, err := v.from(s, q)
		if err != nil {
			return nil, err
		}
		found = merge(found, more)
		if over := len(found) - q.max; over > 0 && q.newest {
			found = found[over:]
		} else if over > 0 {
			found = found[:q.max]
		}
	}
	return found, nil
}

// source is one place that holds events of a room: a sealed segment, or what is not sealed.
type source struct {
	first, last uint64
	file        *sealedFile
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// merge joins two lists in the order of positions. An event that is in both, because its write was repeated, counts once.
func merge(a, b []entry) []entry {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	case a[len(a)-1].seq < b[0].seq:
		return append(a, b...)
	case b[len(b)-1].seq < a[0].seq:
		return append(b, a...)
	}
	all := append(slices.Clone(a), b...)
	slices.SortStableFunc(all, func(x, y entry) int { return compare(x.seq, y.seq) })
	return slices.CompactFunc(all, func(x, y entry) bool { return x.seq == y.seq })
}
