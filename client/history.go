package client

import (
	"context"
	"iter"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

// HistoryOptions say which page of a room's log to return: by position, by time, by
// kind, all of them at once if need be. The zero value is the oldest page that is kept.
type HistoryOptions struct {
	// After and Before bound the page by position, both exclusive. Zero means no bound.
	After, Before im.Position
	// From and To bound it by im.Event.At, to the millisecond: From is inclusive, To is
	// not. Zero means no bound.
	From, To time.Time
	// Kinds are those that are wanted, up to 32. Empty means all.
	Kinds []im.Kind
	// Max is how many events there may be. Defaults to what the server likes; up to 500.
	Max int
	// Newest asks for the newest events within the bounds in place of the oldest.
	Newest bool
}

// Page is a page of a room's log.
type Page struct {
	// Events are in order, the oldest first.
	Events []*im.Event
	// More says that there may be more in the direction of the request: after the
	// last event, or with Newest before the first. Such a page may be empty, if few events are
	// of the wanted kinds.
	More bool
	// Next is where to go on if More is set: After of the next request, or Before with Newest.
	Next im.Position
	// Missed is how many volatile events of the page are not kept any more.
	Missed int
}

// History returns a page of the room's log. It does not touch the updates; a [Removed] that comes while the
// request is under way may be of events on the page.
// opts may be nil.
func (r *Room) History(ctx context.Context, opts *HistoryOptions) (Page, error) {
	req := wire.Request{Op: wire.OpHistory, Room: r.name}
	if opts != nil {
		req.Max, req.Newest = opts.Max, opts.Newest
		req.After, req.Before = bound(opts.After), bound(opts.Before)
		req.From, req.To = millis(opts.From), millis(opts.To)
		for _, k := range opts.Kinds {
			req.Kinds = append(req.Kinds, string(k))
		}
	}
	a, err := r.c.do(ctx, &call{req: req, room: r, keep: true})
	if err != nil {
		return Page{}, err
	}
	page := Page{More: a.msg.More, Missed: a.msg.Missed}
	for i := range a.msg.Events {
		page.Events = append(page.Events, event(a.msg.Epoch, &a.msg.Events[i]))
	}
	switch n := len(page.Events); {
	case !page.More:
	case a.msg.Next != 0:
		page.Next = im.Position{Epoch: a.msg.Epoch, Seq: a.msg.Next}
	case n == 0: // a server that knows nothing of Next has no empty pages before the end
		page.More = false
	case req.Newest:
		page.Next = page.Events[0].Pos
	default:
		page.Next = page.Events[n-1].Pos
	}
	return page, nil
}

// Pages yields page after page, from the oldest to the newest or, with Newest, the
// other way round, until nothing is left or an error, which comes last. Empty pages
// are left out. opts may be nil.
//
//	for page, err := range room.Pages(ctx, &client.HistoryOptions{From: yesterday, Kinds: []im.Kind{im.Chat}}) {
func (r *Room) Pages(ctx context.Context, opts *HistoryOptions) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		var o HistoryOptions
		if opts != nil {
			o = *opts
		}
		for {
			page, err := r.History(ctx, &o)
			if err != nil {
				yield(Page{}, err)
				return
			}
			if len(page.Events) > 0 && !yield(page, nil) || !page.More {
				return
			}
			if o.Newest {
				o.Before = page.Next
			} else {
				o.After = page.Next
			}
		}
	}
}

func bound(p im.Position) *wire.Position {
	if p.IsZero() {
		return nil
	}
	w := wire.Position(p)
	return &w
}

// millis is a time as the wire has it, 0 for none. It is rounded up: an event of a whole
// millisecond lies before a time that is later by less than that.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Add(time.Millisecond - 1).UnixMilli()
}
