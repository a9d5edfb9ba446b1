package ledgertest

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/liveim/im/ledger"
)

var staleCases = []testCase{
	{"OtherVersions", testStale},
	{"AllOrNothing", testAllOrNothing},
	{"RetryOfACommit", testRetry},
}

// wantStale checks that a commit is refused for the version of one of the keys.
func (f *fixture) wantStale(have map[string]uint64, changes ...ledger.Change) {
	f.Helper()
	_, err := f.tryCommit(f.ledger, changes...)
	var stale *ledger.StaleError
	if !errors.Is(err, ledger.ErrStale) || !errors.As(err, &stale) {
		f.Fatalf("Commit with a change that names another version than is stored returned error %v, want a *StaleError, which wraps ErrStale", err)
	}
	i := slices.IndexFunc(changes, func(c ledger.Change) bool { return c.Entry.Key == stale.Key })
	if i < 0 {
		f.Fatalf("the StaleError names key %.80q, which no change has", stale.Key)
	}
	named, stored := changes[i].Entry.Version, have[stale.Key]
	if named == stored {
		f.Fatalf("the StaleError names key %.80q, whose change names version %d, which is the one that is stored", stale.Key, named)
	}
	if stale.Want != named || stale.Have != stored {
		f.Fatalf("the StaleError of key %.80q has Want %d and Have %d; the change named %d, and %d is stored (0: none)", stale.Key, stale.Want, stale.Have, named, stored)
	}
}

func testStale(f *fixture) {
	f.commit(change("key", 0, "1"))
	f.commit(change("key", 1, "2"))
	three := f.commit(change("key", 2, "3"))
	have := map[string]uint64{"key": 3}
	for _, version := range []uint64{0, 1, 2, 4, 5, math.MaxInt32, math.MaxUint32, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64} {
		f.wantStale(have, change("key", version, "stale"))
		if version != 0 {
			f.wantStale(have, remove("key", version))
			f.wantStale(have, change("nothing", version, "stale"))
			f.wantStale(have, remove("nothing", version))
		}
	}
	f.wantEntries(f.list(ledger.Query{}), three, "a commit that was refused has changed nothing")
	f.commit(remove("key", 3))
	for version := range uint64(5) {
		if version > 0 {
			f.wantStale(nil, change("key", version, "stale"))
			f.wantStale(nil, remove("key", version))
		}
	}
	f.wantNone("key", "it was deleted, and no commit since was good")
}

// testAllOrNothing puts one stale change at each place among good ones.
func testAllOrNothing(f *fixture) {
	var before []ledger.Entry
	for i := range 3 {
		c := change(fmt.Sprint("old/", i), 0, "before")
		c.Entry.Room, c.Entry.User, c.Entry.Due = "room", "user", noon()
		before = append(before, f.commit(c)...)
	}
	have := map[string]uint64{"old/0": 1, "old/1": 1, "old/2": 1}
	good := func() []ledger.Change {
		c := change("new", 0, "after")
		c.Entry.Room, c.Entry.Due = "room", noon()
		return []ledger.Change{c, change("old/0", 1, "after"), remove("old/1", 1), change("a new one", 0, "after")}
	}
	for name, bad := range map[string]ledger.Change{
		"an old version":               change("old/2", 2, "after"),
		"a key that is taken":          change("old/2", 0, "after"),
		"an entry that is not there":   change("none", 1, "after"),
		"a deletion of an old version": remove("old/2", 7),
	} {
		for at := range len(good()) + 1 {
			f.wantStale(have, slices.Insert(good(), at, bad)...)
			const rule = "one stale change, %s, in place %d, and nothing of the commit has happened"
			f.wantEntries(f.list(ledger.Query{}), before, rule, name, at)
			f.wantEntries(f.list(ledger.Query{Room: "room"}), before, rule, name, at)
			f.wantEntries(f.list(ledger.Query{User: "user"}), before, rule, name, at)
			f.wantEntries(f.due(noon(), 10), before, rule, name, at)
		}
	}
	f.commit(good()...) // as nothing is left of all that
	f.wantKeys(f.list(ledger.Query{}), []string{"a new one", "new", "old/0", "old/2"}, "the good changes alone are carried out")
}

// testRetry is what a caller does that got no answer.
func testRetry(f *fixture) {
	changes := []ledger.Change{change("order", 0, "paid"), change("outbox", 0, "to do")}
	stored := f.commit(changes...)
	have := map[string]uint64{"order": 1, "outbox": 1}
	f.wantStale(have, changes...)
	f.wantEntries(f.list(ledger.Query{}), stored, "the repetition of a commit has no effect")
}
