package ledgertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/liveim/im/ledger"
)

var boundsCases = []testCase{
	{"UpToTheBounds", testWithin},
	{"BeyondTheBounds", testBeyond},
	{"Data", testData},
	{"LargeCommit", testLargeCommit},
	{"Queries", testBadQueries},
}

func testWithin(f *fixture) {
	long := strings.Repeat("\xff", ledger.MaxField)
	filler := strings.Repeat("x", ledger.MaxData-2)
	var stored []ledger.Entry
	for _, c := range []ledger.Entry{
		{Key: strings.Repeat("k", ledger.MaxKey), Kind: long, State: long, Room: long, User: long, Data: json.RawMessage(`"` + filler + `"`)},
		{Key: strings.Repeat("\xff", ledger.MaxKey), Room: strings.Repeat("\x00", ledger.MaxField), Due: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
		{Key: strings.Repeat("\xff", ledger.MaxKey-1), Due: time.Unix(0, 0)},
		{Key: "\x00", Due: time.Unix(0, 1000)},
	} {
		stored = append(stored, f.commit(ledger.Change{Entry: c})...)
	}
	for _, e := range stored {
		f.wantEntries([]ledger.Entry{f.get(e.Key)}, []ledger.Entry{e}, "a ledger takes all that lies within the bounds")
	}
	f.wantEntries(f.list(ledger.Query{Room: long, User: long, Kind: long, State: long}), stored[:1], "List with the longest fields")
	f.wantKeys(f.due(time.Unix(0, 1000), 10), []string{stored[2].Key, stored[3].Key}, "the first times that an entry may be due")
	f.wantKeys(f.due(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), 10), []string{stored[2].Key, stored[3].Key, stored[1].Key}, "the last time that an entry may be due")
}

// wantInvalid checks that a commit is refused, and that nothing of it happens.
func (f *fixture) wantInvalid(what string, changes ...ledger.Change) {
	f.Helper()
	if _, err := f.tryCommit(f.ledger, changes...); !errors.Is(err, ledger.ErrInvalid) {
		f.Fatalf("Commit with %s returned error %v, want one that wraps ErrInvalid; ledger.Check tells", what, err)
	}
}

func testBeyond(f *fixture) {
	stored := f.commit(change("key", 0, "first"))
	field := strings.Repeat("x", ledger.MaxField+1)
	for what, e := range map[string]ledger.Entry{
		"an empty key":        {},
		"a key too long":      {Key: strings.Repeat("k", ledger.MaxKey+1)},
		"a Kind too long":     {Key: "k", Kind: field},
		"a State too long":    {Key: "k", State: field},
		"a Room too long":     {Key: "k", Room: field},
		"a User too long":     {Key: "k", User: field},
		"Data too long":       {Key: "k", Data: json.RawMessage(strings.Repeat(" ", ledger.MaxData) + "1")},
		"a Due in 1969":       {Key: "k", Due: time.Unix(-1, 0)},
		"a Due in year 10000": {Key: "k", Due: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		f.wantInvalid(what, ledger.Change{Entry: e})
		f.wantInvalid(what+" after a good change", change("good", 0, ""), ledger.Change{Entry: e})
		f.wantInvalid(what+" after a stale change", change("stale", 5, ""), ledger.Change{Entry: e})
	}
	f.wantInvalid("a deletion of Version 0", remove("key", 0))
	f.wantInvalid("a deletion of an empty key", remove("", 1))
	f.wantInvalid("one key twice", change("twice", 0, "a"), change("twice", 0, "b"))
	f.wantInvalid("one key twice, in steps", change("twice", 0, "a"), change("other", 0, ""), change("twice", 1, "b"))
	f.wantInvalid("one key changed and deleted", change("key", 1, "a"), remove("key", 1))
	var many []ledger.Change
	for i := range ledger.MaxChanges + 1 {
		many = append(many, change(fmt.Sprint("many/", i), 0, ""))
	}
	f.wantInvalid("too many changes", many...)
	f.wantEntries(f.list(ledger.Query{}), stored, "a commit that is not valid has changed nothing")
	for _, key := range []string{"", strings.Repeat("k", ledger.MaxKey+1), strings.Repeat("\xff", 1<<16)} {
		f.wantNone(key, "no entry can have this key")
	}
}

func testData(f *fixture) {
	for i, data := range []string{
		`{}`, `[]`, `null`, `true`, `0`, `""`, ` { "b" : 1 , "a" : [ 2,  3 ] } `,
		`9007199254740993`, `-12345678901234567890123.5`, `1e300`, `1.10`, `0.1`,
		`"<&>'"`, `"\u003c\/"`, `"\u0000"`, `"\ud83d\ude00 😀 弹幕"`, `{"":0," ":1,"\u0000":2}`, "\t\n[1]\r\n",
		strings.Repeat("[", 500) + strings.Repeat("]", 500),
	} {
		key := fmt.Sprintf("data/%02d", i)
		stored := f.commit(ledger.Change{Entry: ledger.Entry{Key: key, Data: json.RawMessage(data)}})
		f.wantEntries([]ledger.Entry{f.get(key)}, stored, "Data may be any JSON value")
	}
	for _, data := range []string{
		` `, `{`, `nul`, `{} {}`, `1 2`, `'a'`, `{a:1}`, `[1,]`, `01`, `+1`, `NaN`, `"` + "\n" + `"`, "\"\x00\"", "\"\xff\"", "\"\xed\xa0\x80\"", "\ufeff1", "1\x00",
	} {
		f.wantInvalid(fmt.Sprintf("Data that is not a JSON value in UTF-8, %q", data), ledger.Change{Entry: ledger.Entry{Key: "bad", Data: json.RawMessage(data)}})
	}
}

func testLargeCommit(f *fixture) {
	data := func(n int) json.RawMessage {
		return append(append([]byte{'"'}, bytes.Repeat([]byte("y"), n-2)...), '"')
	}
	var changes []ledger.Change
	for i := range ledger.MaxCommit / ledger.MaxData {
		changes = append(changes, ledger.Change{Entry: ledger.Entry{Key: fmt.Sprintf("large/%03d", i), Data: data(ledger.MaxData)}})
	}
	tooMuch := append(changes[:len(changes):len(changes)], ledger.Change{Entry: ledger.Entry{Key: "one more", Data: data(2)}})
	f.wantInvalid("more Data than MaxCommit", tooMuch...)
	f.wantKeys(f.list(ledger.Query{}), nil, "a commit that is too large has changed nothing")
	stored := f.commit(changes...)
	f.wantEntries(f.list(ledger.Query{}), stored, "a commit may hold MaxCommit bytes of Data")
}

func testBadQueries(f *fixture) {
	f.commit(change("key", 0, ""))
	ctx, cancel := background()
	defer cancel()
	for _, max := range []int{0, -1, -1 << 31} {
		if out, err := f.ledger.Due(ctx, time.Now(), max); !errors.Is(err, ledger.ErrInvalid) {
			f.Fatalf("Due with max %d returned %d entries and error %v, want ErrInvalid", max, len(out), err)
		}
	}
	for _, max := range []int{-1, -1 << 31} {
		if out, err := f.ledger.List(ctx, ledger.Query{Max: max}); !errors.Is(err, ledger.ErrInvalid) {
			f.Fatalf("List with Max %d returned %d entries and error %v, want ErrInvalid", max, len(out), err)
		}
	}
	f.wantKeys(f.list(ledger.Query{Max: 1<<31 - 1}), []string{"key"}, "Max may be larger than any page")
	long := strings.Repeat("x", 1<<14)
	for _, q := range []ledger.Query{{Kind: long}, {State: long}, {Room: long}, {User: long}, {Prefix: long}, {After: long}} {
		f.wantKeys(f.list(q), nil, "a query may name what no entry can have, and selects nothing")
	}
}
