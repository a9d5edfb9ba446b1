package im_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/liveim/im"
)

// mapLog is an im.Log over plain maps. It keeps everything for ever: there is
// one epoch, "only", and the n-th event of a room stands at position n.
type mapLog struct {
	mu        sync.Mutex // protects the fields below, and is held while followers are called
	rooms     map[string][]*im.Event
	byID      map[[2]string]*im.Event   // by room and ID
	followers map[string][]*deliverFunc // by room
}

type deliverFunc = func(events []*im.Event, err error)

func newMapLog() *mapLog {
	return &mapLog{rooms: map[string][]*im.Event{}, byID: map[[2]string]*im.Event{}, followers: map[string][]*deliverFunc{}}
}

func (l *mapLog) Append(ctx context.Context, room string, events []*im.Event) ([]im.Appended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	results := make([]im.Appended, len(events))
	for i, e := range events {
		first, status := l.byID[[2]string{room, e.ID}], im.Duplicate
		if first == nil {
			first, status = l.store(room, *e), im.Stored
		} else if first.Digest != e.Digest {
			status = im.Conflict
		}
		results[i] = im.Appended{Pos: first.Pos, Status: status}
	}
	return results, nil
}

// store gives an event, a copy of the caller's, the next place and delivers it.
func (l *mapLog) store(room string, e im.Event) *im.Event {
	e.Pos = im.Position{Epoch: "only", Seq: uint64(len(l.rooms[room]) + 1)}
	l.rooms[room], l.byID[[2]string{room, e.ID}] = append(l.rooms[room], &e), &e
	for _, deliver := range l.followers[room] {
		(*deliver)([]*im.Event{&e}, nil)
	}
	return &e
}

func (l *mapLog) Read(ctx context.Context, room string, r im.Range) (im.Page, error) {
	head, err := l.Head(ctx, room)
	if err != nil {
		return im.Page{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return im.PageOf(l.rooms[room], head, r)
}

func (l *mapLog) Head(ctx context.Context, room string) (im.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return im.Position{Epoch: "only", Seq: uint64(len(l.rooms[room]))}, ctx.Err()
}

func (l *mapLog) Follow(ctx context.Context, room string, after im.Position, deliver func([]*im.Event, error)) (func(), error) {
	head, err := l.Head(ctx, room)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	stored, err := im.PageOf(l.rooms[room], head, im.Range{After: after, Max: math.MaxInt})
	if err != nil {
		return nil, err
	}
	if len(stored.Events) > 0 {
		deliver(stored.Events, nil)
	}
	l.followers[room] = append(l.followers[room], &deliver)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.followers[room] = slices.DeleteFunc(l.followers[room], func(f *deliverFunc) bool { return f == &deliver })
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
