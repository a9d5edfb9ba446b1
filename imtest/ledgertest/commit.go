package ledgertest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/liveim/im/ledger"
)

var commitCases = []testCase{
	{"EmptyLedger", testEmpty},
	{"NothingDoesNothing", testCommitNothing},
	{"EntriesComeBackAsTheyWere", testRoundTrip},
	{"VersionsRiseByOne", testVersions},
	{"AllOfAnEntryMayChange", testChangeAll},
	{"ManyInOne", testMany},
	{"Delete", testDelete},
}

func testEmpty(f *fixture) {
	f.wantNone("key", "nothing was committed")
	f.wantKeys(f.list(ledger.Query{}), nil, "List of an empty ledger")
	f.wantKeys(f.due(time.Now().AddDate(100, 0, 0), 10), nil, "Due of an empty ledger")
}

func testCommitNothing(f *fixture) {
	if out := f.commit([]ledger.Change{}...); len(out) != 0 {
		f.Fatalf("Commit of no changes returned %d entries", len(out))
	}
}

// noon is a time with more digits than a ledger keeps, not in UTC.
func noon() time.Time {
	return time.Date(2026, 7, 1, 12, 30, 59, 987_654_321, time.FixedZone("", 8*3600))
}

func testRoundTrip(f *fixture) {
	full := ledger.Entry{
		Key: "order/1", Kind: "gift.order", State: "charged", Room: "房间 42", User: "alice",
		Data: json.RawMessage(`{"gift":"rose","n":3}`), Due: noon(),
		Created: noon(), Updated: noon(), // are ignored
	}
	bare := ledger.Entry{Key: "order/2"}
	before := time.Now().Add(-time.Hour)
	stored := f.commit(ledger.Change{Entry: full}, ledger.Change{Entry: bare})
	for _, e := range stored {
		if e.Version != 1 {
			f.Fatalf("a new entry has version %d, want 1", e.Version)
		}
		if e.Created.Before(before) || e.Created.After(before.Add(2*time.Hour)) {
			f.Fatalf("a new entry has Created %s, want about now: the ledger sets it by its clock, whatever the change says", e.Created)
		}
		f.wantEntries([]ledger.Entry{f.get(e.Key)}, []ledger.Entry{e}, "Get returns what Commit stored")
	}
	if string(stored[1].Data) != "null" || string(f.get("order/2").Data) != "null" {
		f.Fatalf("empty Data came back from Commit as %q, want null: whoever decodes it needs a JSON value", stored[1].Data)
	}
	f.wantEntries(f.list(ledger.Query{}), stored, "List returns what Commit stored")
	f.wantEntries(f.due(noon(), 10), stored[:1], "Due returns what Commit stored")
}

func testVersions(f *fixture) {
	var last ledger.Entry
	for i := range uint64(20) {
		e := f.commit(change("key", i, fmt.Sprint("state ", i)))[0]
		if i > 0 && !e.Created.Equal(last.Created) {
			f.Fatalf("version %d of an entry has Created %s, version %d had %s: it is the time of the first change", e.Version, e.Created, last.Version, last.Created)
		}
		last = e
		f.wantEntries([]ledger.Entry{f.get("key")}, []ledger.Entry{e}, "an entry is as its last change left it")
	}
	f.commit(change("other", 0, ""))
	if e := f.get("key"); e.Version != 20 {
		f.Fatalf("20 changes have made version %d: each adds 1, and those of other entries nothing", e.Version)
	}
}

// testChangeAll changes each field, to a value and to none, and looks for what is left behind.
func testChangeAll(f *fixture) {
	a := ledger.Entry{Key: "key", Kind: "kind a", State: "state a", Room: "room a", User: "user a", Data: json.RawMessage(`"a"`), Due: noon()}
	b := ledger.Entry{Key: "key", Kind: "kind b", State: "state b", Room: "room b", User: "user b", Data: json.RawMessage(`"b"`), Due: noon().Add(time.Hour)}
	none := ledger.Entry{Key: "key"}
	queries := func(e ledger.Entry) []ledger.Query {
		return []ledger.Query{{Kind: e.Kind}, {State: e.State}, {Room: e.Room}, {User: e.User}, {Room: e.Room, User: e.User}}
	}
	var old *ledger.Entry
	for i, e := range []ledger.Entry{a, b, a, none, b, none, a} {
		e.Version = uint64(i)
		now := f.commit(ledger.Change{Entry: e})
		for _, q := range queries(e) {
			f.wantEntries(f.list(q), now, "List finds an entry by what its last change made of it, query %+v", q)
		}
		if old != nil && old.Kind != "" {
			for _, q := range queries(*old) {
				f.wantKeys(f.list(q), nil, "List does not find an entry by what it was before its last change, query %+v", q)
			}
		}
		if e.Due.IsZero() {
			f.wantKeys(f.due(noon().AddDate(10, 0, 0), 10), nil, "an entry whose last change set no Due is not due")
		} else {
			f.wantEntries(f.due(e.Due, 10), now, "an entry is due as its last change says")
			f.wantKeys(f.due(e.Due.Add(-time.Second), 10), nil, "an entry is not due before the time that its last change says")
		}
		old = &e
	}
}

func testMany(f *fixture) {
	var changes []ledger.Change
	for i := range ledger.MaxChanges {
		c := change(fmt.Sprintf("key/%04d", (i*7)%ledger.MaxChanges), 0, fmt.Sprint(i))
		c.Entry.Room, c.Entry.Due = "room", noon()
		changes = append(changes, c)
	}
	out := f.commit(changes...) // which checks that they come back in the order of the changes
	if got := f.all(ledger.Query{Room: "room"}); len(got) != len(changes) {
		f.Fatalf("List finds %d entries after a Commit of %d", len(got), len(changes))
	}
	for i, e := range out {
		changes[i] = over(e, func(e *ledger.Entry) { e.State = "second" })
	}
	f.commit(changes...)
	for i, e := range out {
		changes[i] = remove(e.Key, 2)
	}
	f.commit(changes...)
	f.wantKeys(f.list(ledger.Query{}), nil, "all entries were deleted in one Commit")
}

func testDelete(f *fixture) {
	make := func() ledger.Entry {
		c := change("key", 0, "new")
		c.Entry.Room, c.Entry.User, c.Entry.Due = "room", "user", noon()
		return f.commit(c, change("key/other", f.version("key/other"), ""))[0]
	}
	for range 3 {
		if e := make(); e.Version != 1 {
			f.Fatalf("a key that was taken anew after a deletion begins with version %d, want 1", e.Version)
		}
		f.commit(change("key", 1, "changed"))
		out := f.commit(remove("key", 2))
		if out[0].Version != 0 {
			f.Fatalf("the deletion of an entry returned version %d, want 0: there is none", out[0].Version)
		}
		f.wantNone("key", "it was deleted")
		f.wantKeys(f.list(ledger.Query{}), []string{"key/other"}, "a deletion removes the entry, and no other")
		f.wantKeys(f.list(ledger.Query{Room: "room"}), nil, "a deleted entry belongs to no room")
		f.wantKeys(f.list(ledger.Query{User: "user"}), nil, "a deleted entry belongs to no user")
		f.wantKeys(f.due(noon(), 10), nil, "a deleted entry is not due")
	}
	make()
	bad := remove("key", 1)
	bad.Entry.Data, bad.Entry.Kind = json.RawMessage("no JSON"), "any kind"
	f.commit(bad) // of a deletion only Key and Version count
	f.wantNone("key", "of a deletion only Key and Version count")
}

// version is the one that a change of the key must name.
func (f *fixture) version(key string) uint64 {
	for _, e := range f.list(ledger.Query{Prefix: key}) {
		if e.Key == key {
			return e.Version
		}
	}
	return 0
}
