package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/liveim/im/ledger"
)

var contextCases = []testCase{
	{"EndedBefore", testContextEnded},
	{"EndsDuring", testContextEnds},
}

// calls are all methods, each with a call that succeeds.
func (f *fixture) calls(ctx context.Context) map[string]func() error {
	return map[string]func() error{
		"Commit": func() error {
			_, err := f.ledger.Commit(ctx, change("commit", 0, ""))
			return err
		},
		"Get": func() error {
			_, err := f.ledger.Get(ctx, "key")
			return err
		},
		"Due": func() error {
			_, err := f.ledger.Due(ctx, time.Now(), 1)
			return err
		},
		"List": func() error {
			_, err := f.ledger.List(ctx, ledger.Query{})
			return err
		},
	}
}

func testContextEnded(f *fixture) {
	stored := f.commit(change("key", 0, ""))
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	expired, cancel := context.WithDeadline(context.Background(), time.Unix(1, 0))
	defer cancel()
	for _, ctx := range []context.Context{canceled, expired} {
		for name, call := range f.calls(ctx) {
			if err := call(); !errors.Is(err, ctx.Err()) {
				f.Errorf("%s with a context that has ended (%v) returned error %v, want one that wraps ctx.Err()", name, ctx.Err(), err)
			}
		}
	}
	f.wantEntries(f.list(ledger.Query{}), stored, "a commit whose context had ended before has not happened")
}

// testContextEnds breaks commits off at different points and repeats them.
func testContextEnds(f *fixture) {
	for i := range 50 {
		a, b := fmt.Sprintf("a/%02d", i), fmt.Sprintf("b/%02d", i)
		changes := []ledger.Change{change(a, 0, "made"), change(b, 0, "made")}
		ctx, cancel := background()
		broken := make(chan struct{})
		go func() {
			defer close(broken)
			defer cancel()
			for range i { // later and later
				_, _ = f.ledger.Get(context.Background(), "no such key")
			}
		}()
		_, err := f.ledger.Commit(ctx, changes...)
		<-broken
		if err != nil && !errors.Is(err, context.Canceled) {
			f.Fatalf("Commit whose context ended returned error %v, want one that wraps ctx.Err()", err)
		}
		_, again := f.tryCommit(f.ledger, changes...)
		if again != nil && !errors.Is(again, ledger.ErrStale) {
			f.Fatalf("the repetition of a commit that was broken off returned error %v, want none or ErrStale", again)
		}
		if err == nil && again == nil {
			f.Fatalf("a commit that had succeeded was carried out again")
		}
		for _, key := range []string{a, b} {
			if e := f.get(key); e.Version != 1 || e.State != "made" {
				f.Fatalf("entry %q is %+v after a commit was broken off and repeated: it happens once, in whole", key, e)
			}
		}
	}
}
