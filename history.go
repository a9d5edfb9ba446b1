package im

import (
	"context"
	"iter"
	"slices"
	"time"
)

// HistoryQuery selects events of a room's log: by position, by time, by kind, all
// of them at once if need be. The zero HistoryQuery selects the oldest DefaultPage
// events that are kept.
type HistoryQuery struct {
	// After and Before bound the page by position, both exclusive. Zero means no
	// bound. To go on paging, put HistoryPage.Next here: into After, or with Newest
	// into Before.
	After, Before Position
	// From and To bound it by Event.At: From is inclusive, To is not. Zero means no
	// bound. A From that lies before what is kept is no gap: the page begins with
	// the oldest event.
	//
	// Events are in the order of their positions, and the clocks of nodes differ a
	// little, so the order of At is not quite the same. Nothing is missed for as long as
	// no event is stamped more than 10 s later than one that comes after it.
	From, To time.Time
	// Kinds are those that are wanted. Empty means all.
	Kinds []Kind
	// Max bounds the page. Zero or less means DefaultPage.
	Max int
	// Newest takes the newest Max events instead of the oldest. The order within
	// the page rises all the same.
	Newest bool
}

// HistoryPage is a page of a room's log as viewers see it, oldest event first.
type HistoryPage struct {
	Events []*Event
	// Missed is how many volatile events between After, or From, and the end of the page
	// are no longer kept, of whatever kind: never more than there are, 0 if there are none. It
	// is 0 if neither bound is set, and with Newest.
	Missed int
	// More reports that there may be further events in the direction of the query. A
	// page with More may be short, and even empty: see [Room.History].
	More bool
	// Next is where to go on if More is set: After of the next query, or Before with Newest.
	Next Position
}

// historySlack is by how much the order of Event.At may differ from that of
// positions: what a log may take to store an event, and what the clocks of nodes may differ by.
const historySlack = 10 * time.Second

// History returns a page of the room's log as viewers see it, without asking
// Options.Admit. An error that wraps [ErrGap] means that the log does not reach
// back to q.After.
//
// One call looks at no more than 5,000 events of the log (or Max, if that is more). If that
// does not fill the page, because few events are of the wanted kinds, the page has More
// set and says in Next where to go on, even if it is empty. A time is found by
// reading about as many single events as the number of events has binary digits.
func (r *Room) History(ctx context.Context, q HistoryQuery) (HistoryPage, error) {
	c, err := r.hub.core(ctx, r.id)
	if err != nil {
		return HistoryPage{}, err
	}
	defer c.release()
	page, _, err := c.history(ctx, q, 0)
	return page, err
}

// Pages yields the pages of q one after the other, from the oldest to the newest or,
// with Newest, the other way round, until nothing is left or an error, which comes last.
// Max is the size of a page; empty pages are left out.
func (r *Room) Pages(ctx context.Context, q HistoryQuery) iter.Seq2[HistoryPage, error] {
	return func(yield func(HistoryPage, error) bool) {
		for {
			page, err := r.History(ctx, q)
			if err != nil {
				yield(HistoryPage{}, err)
				return
			}
			if len(page.Events) > 0 && !yield(page, nil) || !page.More {
				return
			}
			if q.Newest {
				q.Before = page.Next
			} else {
				q.After = page.Next
			}
		}
	}
}

// history answers a query with about so many bytes, and says of which epoch the page is. With 0
// the bytes do not matter.
func (c *core) history(ctx context.Context, q HistoryQuery, bytes int) (page HistoryPage, epoch string, err error) {
	for _, k := range q.Kinds {
		if _, ok := c.hub.kinds[k]; !ok {
			return page, "", errorf(CodeNotFound, "kind %q is neither built in nor in Options.Kinds", k)
		}
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return page, "", errorf(CodeBadRequest, "From must be before To")
	}
	s := &scan{r: Range{After: q.After, Before: q.Before, Max: q.Max, Newest: q.Newest}, bytes: bytes}
	s.narrow(&q)
	if err := c.seekRange(ctx, s, &q); err != nil {
		return page, "", err
	}
	if err := c.scan(ctx, s); err != nil {
		return page, "", err
	}
	page = HistoryPage{Events: s.events, More: s.more, Missed: s.missed}
	if s.more {
		page.Next = s.next
	}
	if len(q.Kinds) > 0 && !slices.ContainsFunc(q.Kinds, func(k Kind) bool { return c.hub.kinds[k].Class == Volatile }) {
		page.Missed = 0
	}
	return page, s.r.Before.Epoch, nil // the scan has given it one
}

// narrow makes the scan one for the events that q wants.
func (s *scan) narrow(q *HistoryQuery) {
	from, to := q.From, q.To
	if len(q.Kinds) > 0 || !from.IsZero() || !to.IsZero() {
		s.wants = func(e *Event) bool {
			return (len(q.Kinds) == 0 || slices.Contains(q.Kinds, e.Kind)) &&
				(from.IsZero() || !e.At.Before(from)) && (to.IsZero() || e.At.Before(to))
		}
	}
	s.sparse = len(q.Kinds) > 0
	switch {
	case q.Newest && !from.IsZero():
		least := from.Add(-historySlack)
		s.ends = func(e *Event) bool { return e.At.Before(least) }
	case !q.Newest && !to.IsZero():
		most := to.Add(historySlack)
		s.ends = func(e *Event) bool { return !e.At.Before(most) }
	}
}
