package logtest

import (
	"errors"
	"slices"
	"testing"

	"github.com/liveim/im"
)

var eraseCases = []testCase{
	{"TheBodyIsGone", testErase},
	{"IDsAreRemembered", testEraseKeepsIDs},
	{"WhatIsNotThere", testEraseOfNothing},
	{"WhatWasHandedOutStays", testEraseChangesNoEvent},
	{"FollowersGetTheRest", testEraseAndFollow},
	{"PerRoom", testEraseRooms},
}

func (f *fixture) erase(room string, at ...im.Position) {
	f.Helper()
	l, ok := f.log.(im.Eraser)
	if !ok {
		f.Fatalf("logtest: the log is no Eraser, but another that Open returned is")
	}
	ctx, cancel := background()
	defer cancel()
	given := slices.Clone(at)
	if err := l.Erase(ctx, room, given); err != nil {
		f.Fatalf("Erase of %v in room %q: %v", at, room, err)
	}
	clear(given) // the slice belongs to the caller
}

// without returns copies of events of which some have no body.
func without(events []*im.Event, erased ...int) []*im.Event {
	list := slices.Clone(events)
	for _, i := range erased {
		bare := *events[i]
		bare.Body = nil
		list[i] = &bare
	}
	return list
}

func testErase(f *fixture) {
	events := append(Events(im.Critical, "a", "b"), Events(im.Volatile, "c", "d")...)
	events = append(events, Events(im.Normal, "e", "f")...)
	at := f.store(f.room, events...)
	f.erase(f.room, at[1], at[2], at[5])
	const rule = "Erase takes the Body of these events away, and nothing else"
	f.wantEvents(f.all(f.room), without(events, 1, 2, 5), rule)
	f.erase(f.room, at[2])
	f.erase(f.room)
	f.wantEvents(f.all(f.room), without(events, 1, 2, 5), "erasing again has no effect")
	if head := f.head(f.room); head != at[5] {
		f.Fatalf("after Erase the head is %s, want %s: erasing moves nothing", head, at[5])
	}
}

func testEraseKeepsIDs(f *fixture) {
	events := Events(im.Normal, "a", "b")
	at := f.store(f.room, events...)
	f.erase(f.room, at...)
	other := *events[1]
	other.Digest += "-other"
	got := f.append(f.room, events[0], &other)
	if got[0].Status != im.Duplicate || got[0].Pos != at[0] {
		f.Fatalf("the retry of an erased event is %s at %s, want duplicate at %s: erasing forgets no ID", got[0].Status, got[0].Pos, at[0])
	}
	if got[1].Status != im.Conflict || got[1].Pos != at[1] {
		f.Fatalf("another event under the ID of an erased one is %s at %s, want conflict at %s: erasing keeps the Digest", got[1].Status, got[1].Pos, at[1])
	}
	f.wantEvents(f.all(f.room), without(events, 0, 1), "the retry does not bring the Body back")
}

func testEraseOfNothing(f *fixture) {
	f.erase("no such room", im.Position{Epoch: "e", Seq: 1})
	events := Events(im.Normal, "a", "b")
	at := f.store(f.room, events...)
	f.erase(f.room, im.Position{Epoch: "no-such-epoch", Seq: at[0].Seq}, im.Position{Epoch: at[0].Epoch, Seq: at[1].Seq + 1},
		im.Position{}, im.Position{Epoch: at[0].Epoch}, im.Position{Epoch: at[0].Epoch, Seq: im.MaxSeq})
	f.wantEvents(f.all(f.room), events, "positions of another epoch or after the head are ignored")
}

func testEraseChangesNoEvent(f *fixture) {
	events := Events(im.Normal, "a")
	at := f.store(f.room, events...)
	got := f.all(f.room)
	f.erase(f.room, at...)
	f.wantEvents(got, events, "events that were handed out are never changed")
}

func testEraseAndFollow(f *fixture) {
	events := Events(im.Normal, "a", "b", "c")
	at := f.store(f.room, events...)
	f.erase(f.room, at[1])
	ctx, cancel := background()
	defer cancel()
	got := make(chan *im.Event, 10)
	stop, err := f.log.Follow(ctx, f.room, im.Position{}, func(list []*im.Event, err error) {
		if err != nil && !errors.Is(err, im.ErrGap) {
			f.Errorf("following ended: %v", err)
		}
		for _, e := range list {
			got <- e
		}
	})
	if err != nil {
		f.Fatalf("Follow: %v", err)
	}
	defer stop()
	var list []*im.Event
	for range events {
		select {
		case e := <-got:
			list = append(list, e)
		case <-ctx.Done():
			f.Fatalf("Follow has delivered %d of %d events", len(list), len(events))
		}
	}
	f.wantEvents(list, without(events, 1), "a Follow that begins after Erase gets no Body")
}

func testEraseRooms(f *fixture) {
	a, b := Events(im.Normal, "a"), Events(im.Normal, "a")
	at := f.store("a", a...)
	f.store("b", b...)
	f.erase("a", at...)
	f.wantEvents(f.all("a"), without(a, 0), "the event was erased")
	f.wantEvents(f.all("b"), b, "erasing is of one room")
}

// testErasedStaysSo checks that what was erased is not there after a restart.
func testErasedStaysSo(f *fixture, reopen func(t *testing.T, old im.Log) im.Log) {
	events := Events(im.Normal, "a", "b")
	at := f.store(f.room, events...)
	f.erase(f.room, at[0])
	f.log = reopen(f.t, f.log)
	f.wantEvents(f.all(f.room), without(events, 0), "what was erased is not found again after a restart")
}
