package audit

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Query says which entries to read. The zero value is all, the oldest first. What an entry must have in its detail, let the
// caller look at with [Entry.Text].
type Query struct {
	// Action is an action, or, with a dot at its end, all that begin so: "gift." finds "gift.charged". "" is all.
	Action string

	// Since and Until bound the time: Since is in, Until is out. The zero time does not bound.
	Since, Until time.Time

	// From and To bound the index: From is in, To is out. To of 0 does not bound. For the next page of a staff page that
	// shows the newest first, set To to the last index shown, and stop if that is 0.
	From, To int64

	// Newest has the newest first.
	Newest bool
}

func (q *Query) wants(r *record) bool {
	at := time.Unix(0, r.at)
	return (q.Since.IsZero() || !at.Before(q.Since)) && (q.Until.IsZero() || at.Before(q.Until)) &&
		(q.Action == "" || r.action == q.Action || strings.HasSuffix(q.Action, ".") && strings.HasPrefix(r.action, q.Action))
}

// Entries reads entries that were stored before the loop began. It may be left early. An error comes last. Entries may be
// recorded and erased from within the loop.
func (l *Log) Entries(ctx context.Context, q Query) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		const page = 256
		from, to := max(q.From, 0), l.Len()
		if q.To > 0 {
			to = min(to, q.To)
		}
		buf := make([]byte, page*recordSize)
		for from < to {
			begin := from
			if q.Newest {
				begin = max(from, to-page)
			}
			n := min(page, to-begin)
			err := l.readRecords(ctx, buf[:n*recordSize], begin)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for k := range n {
				i := k
				if q.Newest {
					i = n - 1 - k
				}
				e, wanted, err := l.wanted(&q, buf[i*recordSize:(i+1)*recordSize], begin+i)
				if (wanted || err != nil) && !yield(e, err) || err != nil {
					return
				}
			}
			if q.Newest {
				to = begin
			} else {
				from += n
			}
		}
	}
}

func (l *Log) readRecords(ctx context.Context, b []byte, begin int64) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("audit: the context of the call has ended: %w", err)
	}
	l.reading.RLock()
	defer l.reading.RUnlock()
	if l.files == nil {
		return ErrClosed
	}
	if _, err := l.files.entries.ReadAt(b, begin*recordSize); err != nil {
		return fmt.Errorf("%w: reading entries from %d: %w", ErrCorrupt, begin, err)
	}
	return nil
}

// wanted makes an Entry of a record if the query wants it.
func (l *Log) wanted(q *Query, b []byte, index int64) (e Entry, wanted bool, err error) {
	r, err := parseRecord(b)
	if err == nil && r.index != index {
		err = fmt.Errorf("it says that it is entry %d", r.index)
	}
	if err != nil {
		return e, false, fmt.Errorf("%w: entry %d: %w", ErrCorrupt, index, err)
	}
	if !q.wants(&r) {
		return e, false, nil
	}
	l.reading.RLock()
	defer l.reading.RUnlock()
	if l.files == nil {
		return e, false, ErrClosed
	}
	e, err = l.files.whole(&r)
	return e, true, err
}
