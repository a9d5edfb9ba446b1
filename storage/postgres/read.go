package postgres

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/liveim/im"
)

// view is a room and some of its events at one moment.
type view struct {
	room    int64 // the row, 0 if there is none
	epoch   string
	head    uint64
	trimmed uint64 // of the newest event other than volatile that was dropped
	events  []*im.Event
	more    bool
}

// span says which events a view has.
type span struct {
	after, before uint64 // excluded; before 0 is no bound
	max           int
	newest        bool
}

// view reads a room by its row, or by its name if row is 0.
func (l *Log) view(ctx context.Context, name string, row int64, s span) (view, error) {
	var id any
	if row != 0 {
		id = row
	}
	before := int64(math.MaxInt64)
	if s.before != 0 {
		before = int64(min(s.before, math.MaxInt64))
	}
	limit := int64(s.max)
	if limit > 0 && limit < math.MaxInt64 {
		limit++ // tells whether there is more
	}
	rows, err := l.pool.Query(ctx, l.sql.read, []byte(name), id, int64(min(s.after, math.MaxInt64)), before, limit, s.newest)
	if err != nil {
		return view{}, err
	}
	v, err := scanView(rows)
	if err != nil {
		return view{}, err
	}
	if len(v.events) > s.max {
		v.more = true
		if s.newest {
			v.events = v.events[1:]
		} else {
			v.events = v.events[:s.max]
		}
	}
	return v, nil
}

// scanView reads the rows of read_1: first the room, then its events.
func scanView(rows pgx.Rows) (v view, err error) {
	defer rows.Close()
	var (
		room, head, trimmed, seq, n        *int64
		epoch                              *string
		id, digest, kind, from, name, body []byte
		class                              *int16
		at                                 *time.Time
	)
	for first := true; rows.Next(); first = false {
		if err := rows.Scan(&room, &epoch, &head, &trimmed, &seq, &id, &digest, &class, &kind, &at, &from, &name, &body, &n); err != nil {
			return view{}, err
		}
		if first {
			v = view{epoch: *epoch, head: uint64(*head), trimmed: uint64(*trimmed)}
			if room != nil {
				v.room = *room
			}
			continue
		}
		e := &im.Event{
			Pos:    im.Position{Epoch: v.epoch, Seq: uint64(*seq)},
			ID:     string(id),
			Kind:   im.Kind(kind),
			Class:  im.Class(*class),
			At:     *at,
			From:   im.Author{ID: string(from), Name: string(name)},
			Body:   body, // each row has its own
			N:      int(*n),
			Digest: string(digest),
		}
		v.events = append(v.events, e)
	}
	return v, rows.Err()
}

// reaches returns ErrGap if the room cannot go on after p without a hole.
func (v *view) reaches(p im.Position) error {
	if !p.IsZero() && (p.Epoch != v.epoch || p.Seq > v.head || p.Seq < v.trimmed) {
		return im.ErrGap
	}
	return nil
}

// Read implements [im.Log].
func (l *Log) Read(ctx context.Context, room string, r im.Range) (im.Page, error) {
	if err := l.usable(ctx, "read", room); err != nil {
		return im.Page{}, err
	}
	if r.Max <= 0 {
		r.Max = im.DefaultPage
	}
	s := span{after: r.After.Seq, before: r.Before.Seq, max: r.Max, newest: r.Newest}
	if !r.Before.IsZero() && (r.Before.Seq == 0 || r.After.Seq >= r.Before.Seq) {
		s.max = 0 // nothing lies between, but it may be a gap
	}
	v, err := l.view(ctx, room, 0, s)
	if err != nil {
		return im.Page{}, failed(ctx, fmt.Sprintf("read room %q", room), err)
	}
	if err := v.reaches(r.After); err != nil {
		return im.Page{}, fmt.Errorf("postgres: read room %q after %s: %w", room, r.After, err)
	}
	if !r.Before.IsZero() && r.Before.Epoch != v.epoch {
		return im.Page{}, fmt.Errorf("postgres: read room %q before %s: %w", room, r.Before, im.ErrGap)
	}
	p := im.Page{Events: v.events, More: v.more}
	if !r.After.IsZero() && !r.Newest {
		p.Missed = v.missed(r, p)
	}
	return p, nil
}

// missed counts the places after r.After, up to the end of the page, whose
// events are not on the page. Places have no holes, and what is missing other than
// volatile events would be a gap.
func (v *view) missed(r im.Range, p im.Page) int {
	last := v.head
	if !r.Before.IsZero() && r.Before.Seq <= last {
		last = max(r.Before.Seq, 1) - 1
	}
	if p.More {
		last = p.Events[len(p.Events)-1].Pos.Seq
	}
	if last <= r.After.Seq {
		return 0
	}
	return int(last-r.After.Seq) - len(p.Events)
}

// Head implements [im.Log].
func (l *Log) Head(ctx context.Context, room string) (im.Position, error) {
	if err := l.usable(ctx, "head of", room); err != nil {
		return im.Position{}, err
	}
	v, err := l.view(ctx, room, 0, span{})
	if err != nil {
		return im.Position{}, failed(ctx, fmt.Sprintf("head of room %q", room), err)
	}
	return im.Position{Epoch: v.epoch, Seq: v.head}, nil
}
