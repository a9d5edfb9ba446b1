package ledgertest

import (
	"slices"
	"strings"

	"github.com/liveim/im/ledger"
)

var nameCases = []testCase{
	{"KeysNeverMeet", testKeys},
	{"FieldsNeverMeet", testFields},
	{"KeysWithinRoomsAndUsers", testKeysWithin},
}

// hardNames are all single bytes, and names that clumsy escapes, separators,
// wildcards, path elements or letter case may bring together. All are different.
func hardNames() []string {
	var all []string
	for b := range 256 {
		all = append(all, string([]byte{byte(b)}))
	}
	all = append(all, pairs...)
	return append(all, strings.Repeat("x", 256), strings.Repeat("x", 255)+"y", strings.Repeat("%", 256), strings.Repeat("\xff", 256))
}

// pairs are names of several bytes; no two are the same.
var pairs = []string{
	"a.b", "a..b", ".a", "a.", "..", "a.*", "a.>", "a*", "a?", "[a]", "a:b", "a::b", "{a}", "a_b", "a%b", "a%", "_a", "__", "%%",
	"a/b", "a//b", "/a", "a/", "./a", "../a", `a\b`, `..\a`, `\\`, `\%`, `\_`, `\x61`, `\000`, `\0`, "a%2Fb", "a%2fb", "%00",
	"\x00a", "a\x00", "a\x00b", "\x00\x00", "a\x01", "a\nb", "a\n", "\r\n", "a\tb", " a", "a ", "  ", "a b",
	"AB", "Ab", "aB", "ab", "null", "NULL", "YQ==", "YQ", "61", "0x61", "-1", "00", "01", "1e3", "1000",
	"é", "e\u0301", "ß", "ss", "房间", "\xe6\x88", "\xff\xfe", "\xff\xff", "\xc0\x80", "\ufffd", "\xef\xbf", "\u2028", "\ufeffa",
	"a'b", `a"b`, "a;b", "a--", "a,b", "$1", `''`, "E'\\x61'",
}

func testKeys(f *fixture) {
	const rule = "keys may hold bytes of every value, two different ones never meet, and List sorts them by their bytes"
	keys := hardNames()
	stored := map[string]ledger.Entry{}
	for chunk := range slices.Chunk(keys, 100) {
		var changes []ledger.Change
		for _, key := range chunk {
			c := change(key, 0, key)
			c.Entry.Data, c.Entry.Due = nil, noon()
			changes = append(changes, c)
		}
		for _, e := range f.commit(changes...) {
			stored[e.Key] = e
		}
	}
	slices.Sort(keys)
	var want []ledger.Entry
	for _, key := range keys {
		f.wantEntries([]ledger.Entry{f.get(key)}, []ledger.Entry{stored[key]}, rule)
		want = append(want, stored[key])
	}
	f.wantEntries(f.all(ledger.Query{Max: 7}), want, rule)
	f.wantEntries(f.due(noon(), len(keys)), want, "Due sorts entries of the same time by the bytes of their keys")
	for _, prefix := range []string{"\x00", "a", "a\x00", "a%", "_", "\\", "\xff", "\xff\xff", "\xe6\x88", "é", "x"} {
		var has []ledger.Entry
		for _, e := range want {
			if strings.HasPrefix(e.Key, prefix) {
				has = append(has, e)
			}
		}
		f.wantEntries(f.all(ledger.Query{Prefix: prefix, Max: 3}), has, "List with prefix %q, which is taken byte by byte", prefix)
	}
}

func testFields(f *fixture) {
	const rule = "Kind, State, Room and User may hold bytes of every value, and two different ones never meet"
	names := hardNames()
	for chunk := range slices.Chunk(names, 100) {
		var changes []ledger.Change
		for _, name := range chunk {
			changes = append(changes, ledger.Change{Entry: ledger.Entry{Key: "k/" + name, Kind: name, State: name, Room: name, User: name}})
		}
		f.commit(changes...)
	}
	for _, name := range names {
		for _, q := range []ledger.Query{{Room: name}, {User: name}, {Kind: name, State: name, Room: name, User: name}} {
			f.wantKeys(f.list(q), []string{"k/" + name}, rule+", query %+v", q)
		}
	}
	for _, name := range pairs { // one by one these may be slow
		for _, q := range []ledger.Query{{Kind: name}, {State: name}} {
			f.wantKeys(f.list(q), []string{"k/" + name}, rule+", query %+v", q)
		}
	}
}

// testKeysWithin has names of which one with a key looks like another with another key.
func testKeysWithin(f *fixture) {
	names := []string{"a", "ab", "a\x00", "a\x00b", "a/", "a/b", "\x00", "\x00\x01", "\xff"}
	keys := []string{"b/c", "/b/c", "\x00b", "b", "c", "\x00", "\x01a", "\xff"}
	var changes []ledger.Change
	want := map[string][]string{}
	for i, name := range names {
		for _, key := range keys[:len(keys)-i%3] {
			key := key + "|" + name
			e := ledger.Entry{Key: key, Room: name, User: names[(i+1)%len(names)]}
			changes = append(changes, ledger.Change{Entry: e})
			want[name] = append(want[name], key)
		}
		slices.Sort(want[name])
	}
	f.commit(changes...)
	for i, name := range names {
		for page := range 4 {
			f.wantKeys(f.all(ledger.Query{Room: name, Max: page + 1}), want[name], "List of room %q in pages of %d", name, page+1)
			f.wantKeys(f.all(ledger.Query{User: names[(i+1)%len(names)], Max: page + 1}), want[name], "List of user %q in pages of %d", name, page+1)
		}
		f.wantKeys(f.list(ledger.Query{Room: name, User: name}), nil, "List of a room and a user that have no entry in common")
	}
}
