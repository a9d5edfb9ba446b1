package logtest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/liveim/im"
)

var contextCases = []testCase{
	{"EveryMethodHeedsIt", testContext},
	{"FollowOutlivesIt", testFollowContext},
}

func testContext(f *fixture) {
	f.store(f.room, Events(im.Normal, "a")...)
	head := f.head(f.room)
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	expired, cancel := context.WithDeadline(context.Background(), time.Unix(1, 0))
	defer cancel()
	for _, ctx := range []context.Context{canceled, expired} {
		calls := map[string]func() error{
			"Append": func() error {
				_, err := f.log.Append(ctx, f.room, Events(im.Normal, "b"))
				return err
			},
			"Read": func() error {
				_, err := f.log.Read(ctx, f.room, im.Range{})
				return err
			},
			"Head": func() error {
				_, err := f.log.Head(ctx, f.room)
				return err
			},
			"Follow": func() error {
				stop, err := f.log.Follow(ctx, f.room, head, func([]*im.Event, error) {})
				if err == nil {
					stop()
				}
				return err
			},
		}
		f.addOnCalls(ctx, calls)
		for name, call := range calls {
			if err := call(); !errors.Is(err, ctx.Err()) {
				f.Errorf("%s with a context that has ended (%v) returned error %v, want one that wraps ctx.Err()", name, ctx.Err(), err)
			}
		}
	}
	for _, a := range f.append(f.room, Events(im.Normal, "b")...) {
		if a.Status == im.Conflict {
			f.Fatalf("a call may be repeated after its context ended, but the retry is answered conflict")
		}
	}
	if got := idsOf(f.all(f.room)); !slices.Equal(got, []string{"a", "b"}) {
		f.Fatalf("the room holds %q, want a and b: a call whose context ended and its retry store each event once", got)
	}
}

// addOnCalls adds the calls of the abilities that the log has.
func (f *fixture) addOnCalls(ctx context.Context, calls map[string]func() error) {
	if l, ok := f.log.(im.SnapshotLog); ok {
		calls["SaveSnapshot"] = func() error { return l.SaveSnapshot(ctx, f.room, im.Snapshot{}) }
		calls["LoadSnapshot"] = func() error {
			_, _, err := l.LoadSnapshot(ctx, f.room)
			return err
		}
	}
	if l, ok := f.log.(im.TrimLog); ok {
		calls["Trim"] = func() error { return l.Trim(ctx, time.Now()) }
	}
	if l, ok := f.log.(im.CensusLog); ok {
		calls["Report"] = func() error { return l.Report(ctx, "node", nil, time.Minute) }
		calls["Online"] = func() error {
			_, err := l.Online(ctx, f.room)
			return err
		}
	}
}

func testFollowContext(f *fixture) {
	w := &tail{f: f, more: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	stop, err := f.log.Follow(ctx, f.room, im.Position{}, w.deliver)
	if err != nil {
		f.Fatalf("Follow: %v", err)
	}
	f.t.Cleanup(stop)
	f.store(f.room, Events(im.Normal, "before")...)
	w.until("before")
	cancel()
	f.end()
	if got := w.until("last"); len(got) != 2 {
		f.Fatalf("the follower got %q: ctx bounds the call of Follow, following goes on until stop", idsOf(got))
	}
}
