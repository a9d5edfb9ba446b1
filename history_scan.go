package im

import (
	"context"
	"errors"
	"slices"
	"time"
)

// scan is a walk through the events of a room, and what it has found.
type scan struct {
	r      Range             // Max: of events that are wanted
	wants  func(*Event) bool // nil: all that viewers see
	ends   func(*Event) bool // tells an event beyond which none is wanted; nil: there is none such
	sparse bool              // few may be wanted
	bytes  int               // that the events may have together, roughly; 0: any number

	// guessed says that r.After is a place that seek has found. Where the log does not
	// go on from there, since only volatile events are kept around it or since it was trimmed just
	// now, the scan begins at what was given.
	guessed bool
	given   Position

	want   int
	read   int // events of the log
	size   int // bytes of events
	events []*Event
	missed int
	more   bool
	next   Position // all up to it were looked at, in the direction of the walk
}

// Bounds of a scan, in events.
const (
	scanMost   = 5000 // in all, unless more are wanted
	scanChunk  = 500  // at a time, where few are wanted
	scanAgain  = 100  // at least at a time, where some were hidden
	scanBefore = 1024 // to make room for beforehand
)

// read is Log.Read without what viewers do not see, up to where this node has
// folded: what is hidden further on is not known yet. It fills the page from
// further events if there are such. hide, if not nil, hides more.
func (c *core) read(ctx context.Context, r Range, hide func(*Event) bool) (Page, error) {
	s := &scan{r: r}
	if hide != nil {
		s.wants = func(e *Event) bool { return !hide(e) }
	}
	if err := c.scan(ctx, s); err != nil {
		return Page{}, err
	}
	return Page{Events: s.events, Missed: s.missed, More: s.more}, nil
}

// scan walks until the page is full, the range is at its end, or enough was read.
func (c *core) scan(ctx context.Context, s *scan) error {
	s.want = s.r.Max
	if s.want <= 0 {
		s.want = DefaultPage
	}
	most := max(scanMost, s.want+1)
	epoch, head := c.foldedTo()
	if end := (Position{epoch, head + 1}); s.r.Before.IsZero() || s.r.Before.Epoch == end.Epoch && s.r.Before.Seq > end.Seq {
		s.r.Before = end
	}
	s.next = s.r.After
	if s.r.Newest {
		s.next = s.r.Before
	}
	deletions := c.deletions.Load()
	s.events = make([]*Event, 0, min(s.want, scanBefore))
	// One more than is wanted tells whether there is more.
	for size := s.want + 1; ; size = max(s.want+1-len(s.events), scanAgain) {
		if s.sparse {
			size = max(size, scanChunk)
		}
		s.r.Max = min(size, most-s.read)
		page, err := c.hub.opts.Log.Read(ctx, c.id, s.r)
		if errors.Is(err, ErrGap) && s.guessed && s.read == 0 {
			s.r.After, s.next, s.guessed = s.given, s.given, false
			page, err = c.hub.opts.Log.Read(ctx, c.id, s.r)
		}
		if err != nil {
			return err
		}
		s.read += len(page.Events)
		done, err := c.take(ctx, s, &page)
		if err != nil {
			return err
		}
		if done {
			break
		}
		if s.r.Newest {
			s.r.Before = s.next
		} else {
			s.r.After = s.next
		}
		if s.more = true; s.read >= most {
			break
		}
	}
	if s.r.Newest {
		slices.Reverse(s.events)
	}
	s.events = c.withoutDeleted(s.events, deletions)
	return nil
}

// take takes what is wanted of a page of the log, and reports whether nothing more is to be read.
func (c *core) take(ctx context.Context, s *scan, page *Page) (done bool, err error) {
	n := len(page.Events)
	cut, full := n, false // the first event that is not a part of the page, in the direction of the walk
	c.mu.Lock()
	if n > 0 && page.Events[0].Pos.Epoch != c.epoch {
		c.mu.Unlock()
		return true, ErrGap // of another log than the fold
	}
	for i := range n {
		e := page.Events[i]
		if s.r.Newest {
			e = page.Events[n-1-i]
		}
		if s.ends != nil && s.ends(e) {
			cut = i
			break
		}
		if !c.fold.hides(e) && (s.wants == nil || s.wants(e)) {
			if full = !s.fits(e); full {
				cut = i
				break
			}
			s.events = append(s.events, e)
			s.size += wireSize(e)
		}
		s.next = e.Pos
	}
	c.mu.Unlock()
	if cut == n {
		s.missed += page.Missed
		s.more = page.More
		return !page.More || n == 0, nil
	}
	s.more = full
	if page.Missed > 0 && cut > 0 {
		// Only the log knows how many of those that it misses lie before the cut.
		r := s.r
		r.Before, r.Max = Position{s.next.Epoch, s.next.Seq + 1}, cut
		part, err := c.hub.opts.Log.Read(ctx, c.id, r)
		if err != nil && !errors.Is(err, ErrGap) { // trimmed just now: it is known of what was read before
			return true, err
		}
		s.missed += part.Missed
	}
	return true, nil
}

// fits reports whether another event belongs on the page. One always does.
func (s *scan) fits(e *Event) bool {
	return len(s.events) < s.want && (s.bytes == 0 || len(s.events) == 0 || s.size+wireSize(e) <= s.bytes)
}

// wireSize is about how many bytes an event has on the wire.
func wireSize(e *Event) int {
	return len(e.Body) + len(e.ID) + len(e.Kind) + len(e.From.ID) + len(e.From.Name) + 96
}

// foldedTo returns the position up to which the room is folded.
func (c *core) foldedTo() (epoch string, seq uint64) {
	c.folded(func(*fold) { epoch, seq = c.epoch, c.feed.Seq() })
	return epoch, seq
}

// seekRange narrows the scan by the times of q on the side where it begins. On the other
// side it finds the end by itself.
func (c *core) seekRange(ctx context.Context, s *scan, q *HistoryQuery) error {
	epoch, head := c.foldedTo()
	switch {
	case q.Newest && !q.To.IsZero() && (q.Before.IsZero() || q.Before.Epoch == epoch):
		t, hi := q.To.Add(historySlack), head+1
		if !q.Before.IsZero() {
			hi = min(hi, q.Before.Seq)
			if e, err := c.lastUpTo(ctx, Position{epoch, hi - 1}); err != nil || e == nil || e.At.Before(t) {
				return err
			}
		}
		_, later, err := c.seek(ctx, epoch, t, 0, hi)
		s.r.Before = Position{epoch, later}
		return err
	case !q.Newest && !q.From.IsZero() && (q.After.IsZero() || q.After.Epoch == epoch):
		t, lo := q.From.Add(-historySlack), q.After.Seq
		if !q.After.IsZero() {
			if e, err := c.lastUpTo(ctx, q.After); err != nil || e != nil && !e.At.Before(t) {
				return err
			}
		}
		earlier, _, err := c.seek(ctx, epoch, t, lo, head+1)
		if earlier > lo {
			s.given, s.r.After = q.After, Position{epoch, earlier}
			s.guessed = true
		}
		return err
	}
	return nil
}

// seek halves the log between two places until it has found a time: earlier is an event before
// it, or lo, and later one that is not, or hi. Where the order of times is not that of
// positions there are several such places; whoever asks for a time that is off by
// historySlack to the safe side misses nothing: no event before earlier is later than that, and
// none after later is earlier.
func (c *core) seek(ctx context.Context, epoch string, t time.Time, lo, hi uint64) (earlier, later uint64, err error) {
	earlier, later = lo, hi
	for lo+1 < hi {
		mid := lo + (hi-lo)/2
		e, err := c.lastUpTo(ctx, Position{epoch, mid})
		switch {
		case err != nil:
			return 0, 0, err
		case e == nil:
			lo = mid
		case e.At.Before(t):
			lo, earlier = mid, max(earlier, e.Pos.Seq)
		default:
			hi, later = e.Pos.Seq, e.Pos.Seq
		}
	}
	return earlier, later, nil
}

// lastUpTo returns the newest event up to a position that is kept, nil if there is none.
// Reading backwards is never a gap, as long as the epoch is the same.
func (c *core) lastUpTo(ctx context.Context, p Position) (*Event, error) {
	page, err := c.hub.opts.Log.Read(ctx, c.id, Range{Before: Position{p.Epoch, p.Seq + 1}, Newest: true, Max: 1})
	if err != nil || len(page.Events) == 0 {
		return nil, err
	}
	return page.Events[0], nil
}
