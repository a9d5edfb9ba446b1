package im

import (
	"cmp"
	"fmt"
	"slices"
)

// PageOf returns what [Log.Read] answers for a range of a room of which events are all that were ever stored, in order of
// their positions, and head is what [Log.Head] says. It is for logs that keep their events in memory and drop none; the page
// shares the slice. It costs two binary searches.
func PageOf(events []*Event, head Position, r Range) (Page, error) {
	known := func(p Position) bool { return p.IsZero() || p.Epoch == head.Epoch }
	if !known(r.After) || !known(r.Before) || r.After.Seq > head.Seq {
		return Page{}, fmt.Errorf("from %s to %s, where the head is %s: %w", r.After, r.Before, head, ErrGap)
	}
	place := func(seq uint64) int {
		i, _ := slices.BinarySearchFunc(events, seq, func(e *Event, seq uint64) int { return cmp.Compare(e.Pos.Seq, seq) })
		return i
	}
	if !r.Before.IsZero() {
		events = events[:place(r.Before.Seq)]
	}
	if !r.After.IsZero() {
		events = events[min(place(r.After.Seq+1), len(events)):]
	}
	n := r.Max
	if n <= 0 {
		n = DefaultPage
	}
	n = min(n, len(events))
	page := Page{Events: events[:n], More: n < len(events)}
	if r.Newest {
		page.Events = events[len(events)-n:]
	}
	return page, nil
}
