package logtest

import (
	"context"
	"fmt"

	"github.com/liveim/im"
)

var idempotenceCases = []testCase{
	{"RetryGetsTheFirstPosition", testRetry},
	{"OtherDigestIsAConflict", testConflict},
	{"WithinOneCall", testRepeatInCall},
	{"OldAndNewInOneCall", testMixedCall},
	{"After1000Events", testOldRetry},
	{"PerRoom", testSameIDInTwoRooms},
	{"ConcurrentCallersStoreOnce", testConcurrentRetry},
	{"RetryAfterAnError", testRetryAfterError},
}

// wantAppended checks what became of one event.
func (f *fixture) wantAppended(got im.Appended, status im.AppendStatus, pos im.Position, rule string) {
	f.Helper()
	if got.Status != status || got.Pos != pos {
		f.Fatalf("Append answers %s at %s, want %s at %s: %s", got.Status, got.Pos, status, pos, rule)
	}
}

func testRetry(f *fixture) {
	for _, class := range allClasses {
		id := "retry " + class.String()
		at := f.store(f.room, Events(class, id, id+", later")...)
		for range 3 {
			again := Events(class, id)
			again[0].Pos = im.Position{Epoch: "ignored", Seq: 7}
			again[0].At = again[0].At.Add(1e9)
			f.wantAppended(f.append(f.room, again...)[0], im.Duplicate, at[0], "the same ID with the same Digest is a retry, whatever Pos and At, and gets the first position")
		}
		if head := f.head(f.room); head != at[1] {
			f.Fatalf("a retry moved the head from %s to %s: it stores nothing", at[1], head)
		}
	}
	if n := len(f.all(f.room)); n != 2*len(allClasses) {
		f.Fatalf("there are %d events after retries of %d", n, 2*len(allClasses))
	}
}

func testConflict(f *fixture) {
	first := Event(im.Gift, im.Critical, "gift-1", `{"n":1}`)
	at := f.store(f.room, first)[0]
	const rule = "the same ID with another Digest is a conflict, and is not stored"
	f.wantAppended(f.append(f.room, Event(im.Gift, im.Critical, "gift-1", `{"n":100}`))[0], im.Conflict, at, rule)
	f.wantAppended(f.append(f.room, Event(im.Chat, im.Normal, "gift-1", `{"n":1}`))[0], im.Conflict, at, rule+", in another class too")
	f.wantAppended(f.append(f.room, Event(im.Gift, im.Critical, "gift-1", `{"n":1}`))[0], im.Duplicate, at, "a conflict does not take the place of the first event")
	f.wantEvents(f.all(f.room), []*im.Event{first}, rule)
}

func testRepeatInCall(f *fixture) {
	a, b := Event(im.Gift, im.Critical, "a", `1`), Event(im.Gift, im.Critical, "b", `1`)
	other := Event(im.Gift, im.Critical, "a", `2`)
	out := f.append(f.room, a, b, a, other, b)
	const rule = "an ID that is repeated within one call counts as one that is there already"
	if out[0].Status != im.Stored || out[1].Status != im.Stored {
		f.Fatalf("the first of each ID is answered %s and %s, want stored: %s", out[0].Status, out[1].Status, rule)
	}
	f.wantAppended(out[2], im.Duplicate, out[0].Pos, rule)
	f.wantAppended(out[3], im.Conflict, out[0].Pos, rule)
	f.wantAppended(out[4], im.Duplicate, out[1].Pos, rule)
	f.wantEvents(f.all(f.room), []*im.Event{a, b}, rule)
}

func testMixedCall(f *fixture) {
	events := Events(im.Normal, names("e", 6)...)
	at := f.store(f.room, events[1], events[3])
	out := f.append(f.room, events...)
	const rule = "events of one call are judged one by one: those that are there already do not keep the others out"
	for i, a := range out {
		switch i {
		case 1, 3:
			f.wantAppended(a, im.Duplicate, at[i/2], rule)
		default:
			if a.Status != im.Stored {
				f.Fatalf("event %d is answered %s, want stored: %s", i, a.Status, rule)
			}
		}
	}
	f.wantEvents(f.all(f.room), []*im.Event{events[1], events[3], events[0], events[2], events[4], events[5]}, rule)
}

func testOldRetry(f *fixture) {
	at := f.store(f.room, Event(im.Gift, im.Critical, "old", `1`))[0]
	for i := range 10 {
		f.store(f.room, Events(im.Normal, names(fmt.Sprint("between-", i), 100)...)...)
	}
	out := f.append(f.room, Event(im.Gift, im.Critical, "old", `1`), Event(im.Gift, im.Critical, "old", `2`))
	const rule = "an ID is remembered at least as long as its event is kept"
	f.wantAppended(out[0], im.Duplicate, at, rule)
	f.wantAppended(out[1], im.Conflict, at, rule)
}

func testSameIDInTwoRooms(f *fixture) {
	f.store("room one", Event(im.Chat, im.Normal, "id", `1`))
	f.store("room two", Event(im.Chat, im.Normal, "id", `1`))
	f.store("room three", Event(im.Chat, im.Normal, "id", `2`))
	for _, room := range []string{"room one", "room two", "room three"} {
		if n := len(f.all(room)); n != 1 {
			f.Fatalf("room %q has %d events, want 1: IDs of different rooms are different", room, n)
		}
	}
}

func testConcurrentRetry(f *fixture) {
	events := Events(im.Critical, names("id", 20)...)
	answers := make([][]im.Appended, f.h.Concurrency)
	f.concurrently(func(g int) {
		for _, e := range events {
			out, err := f.tryAppend(f.room, e)
			if err != nil {
				f.Errorf("Append: %v", err)
				return
			}
			answers[g] = append(answers[g], out...)
		}
	})
	for i, e := range events {
		stored := 0
		for g := range answers {
			switch a := answers[g][i]; {
			case a.Pos != answers[0][i].Pos:
				f.Fatalf("callers that sent %q at once were told %s and %s: all get the position of the one that was stored", e.ID, a.Pos, answers[0][i].Pos)
			case a.Status == im.Stored:
				stored++
			case a.Status != im.Duplicate:
				f.Fatalf("a concurrent retry of %q was answered %s", e.ID, a.Status)
			}
		}
		if stored != 1 {
			f.Fatalf("%d of %d callers that sent %q at once were told stored: exactly one is", stored, len(answers), e.ID)
		}
	}
	f.wantEvents(f.all(f.room), events, "concurrent retries store one event each")
}

// testRetryAfterError breaks calls off at different points and repeats them.
func testRetryAfterError(f *fixture) {
	var want []*im.Event
	for i := range 50 {
		events := Events(im.Critical, names(fmt.Sprintf("call-%03d", i), 3)...)
		want = append(want, events...)

		ctx, cancel := background()
		broken := make(chan struct{})
		go func() {
			for range i { // later and later
				_, _ = f.log.Head(context.Background(), f.room)
			}
			cancel()
			close(broken)
		}()
		first, err := f.log.Append(ctx, f.room, events)
		if err == nil {
			f.checkAppended(first, len(events))
		}
		<-broken

		again := f.append(f.room, events...)
		for k, a := range again {
			if a.Status == im.Conflict {
				f.Fatalf("the retry of a call that was broken off is answered conflict: repeating it with the same IDs is safe")
			}
			if err == nil {
				f.wantAppended(a, im.Duplicate, first[k].Pos, "a call that returned no error has stored its events")
			}
		}
	}
	f.wantEvents(f.all(f.room), want, "after an error any prefix of the events is stored or none; the retry stores the rest, in order, and nothing twice")
}
