package im_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/liveim/im"
)

// mapLog is an im.Log over a plain map. It keeps everything for ever, so that
// there is but one epoch and a gap is only what it never stored.
type mapLog struct {
	mu        sync.Mutex // protects the fields below, and is held while followers are called
	rooms     map[string][]*im.Event
	followers map[string]map[*byte]func([]*im.Event, error)
}

func newMapLog() *mapLog {
	return &mapLog{rooms: map[string][]*im.Event{}, followers: map[string]map[*byte]func([]*im.Event, error){}}
}

func (l *mapLog) Append(ctx context.Context, room string, events []*im.Event) ([]im.Appended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var out []im.Appended
	all := l.rooms[room]
	for _, e := range events {
		i, status := slices.IndexFunc(all, func(o *im.Event) bool { return o.ID == e.ID }), im.Duplicate
		if i < 0 {
			i, status = len(all), im.Stored
			stored := *e
			stored.Pos = l.position(i + 1)
			all = append(all, &stored)
		} else if all[i].Digest != e.Digest {
			status = im.Conflict
		}
		out = append(out, im.Appended{Pos: l.position(i + 1), Status: status})
	}
	if fresh := all[len(l.rooms[room]):]; len(fresh) > 0 {
		l.rooms[room] = all
		for _, deliver := range l.followers[room] {
			deliver(fresh, nil)
		}
	}
	return out, nil
}

func (l *mapLog) position(seq int) im.Position { return im.Position{Epoch: "only", Seq: uint64(seq)} }

// after returns the events after a position. The caller holds mu.
func (l *mapLog) after(ctx context.Context, room string, p im.Position) ([]*im.Event, error) {
	all := l.rooms[room]
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !p.IsZero() && p.Epoch != "only" || p.Seq > uint64(len(all)) {
		return nil, fmt.Errorf("room %q after %s: %w", room, p, im.ErrGap)
	}
	return all[p.Seq:], nil
}

func (l *mapLog) Read(ctx context.Context, room string, r im.Range) (im.Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	events, err := l.after(ctx, room, r.After)
	if b := r.Before; err == nil && b.Epoch == "only" {
		events = events[:min(len(events), max(int(b.Seq)-int(r.After.Seq)-1, 0))]
	} else if err == nil && !b.IsZero() {
		err = fmt.Errorf("room %q before %s: %w", room, b, im.ErrGap)
	}
	if err != nil {
		return im.Page{}, err
	}
	n := min(len(events), cmp.Or(max(r.Max, 0), im.DefaultPage))
	page := im.Page{Events: slices.Clip(events[:n]), More: n < len(events)}
	if r.Newest {
		page.Events = slices.Clip(events[len(events)-n:])
	}
	return page, nil
}

func (l *mapLog) Head(ctx context.Context, room string) (im.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.position(len(l.rooms[room])), ctx.Err()
}

func (l *mapLog) Follow(ctx context.Context, room string, after im.Position, deliver func([]*im.Event, error)) (func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	stored, err := l.after(ctx, room, after)
	if err != nil {
		return nil, err
	}
	if len(stored) > 0 {
		deliver(stored, nil)
	}
	if l.followers[room] == nil {
		l.followers[room] = map[*byte]func([]*im.Event, error){}
	}
	me := new(byte)
	l.followers[room][me] = deliver
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.followers[room], me)
	}, nil
}

// A Log may be anything that keeps events in order: this one is a map and
// passes the suite imtest/logtest.
func ExampleLog() {
	ctx := context.Background()
	var log im.Log = newMapLog()

	stop, _ := log.Follow(ctx, "42", im.Position{}, func(events []*im.Event, _ error) {
		for _, e := range events {
			fmt.Println("delivered", e.ID, "at", e.Pos)
		}
	})
	defer stop()

	hello := &im.Event{ID: "alice-1", Kind: im.Chat, Class: im.Normal, Body: []byte(`{"text":"hello"}`), Digest: "d1"}
	for range 2 { // the second is a retry
		results, _ := log.Append(ctx, "42", []*im.Event{hello})
		fmt.Println(results[0].Status, results[0].Pos)
	}
	page, _ := log.Read(ctx, "42", im.Range{Newest: true, Max: 10})
	fmt.Println(len(page.Events), "event in the newest page")
	// Output:
	// delivered alice-1 at only.1
	// stored only.1
	// duplicate only.1
	// 1 event in the newest page
}
