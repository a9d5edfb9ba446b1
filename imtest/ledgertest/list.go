package ledgertest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/liveim/im/ledger"
)

var listCases = []testCase{
	{"Pages", testPages},
	{"Filters", testFilters},
	{"PrefixAndAfter", testPrefix},
}

func testPages(f *fixture) {
	var want []string
	for i := range 3*ledger.DefaultPage + 5 {
		want = append(want, fmt.Sprintf("key/%04d", i))
	}
	for chunk := range slices.Chunk(want, 50) {
		var changes []ledger.Change
		for _, key := range slices.Backward(chunk) {
			changes = append(changes, change(key, 0, ""))
		}
		f.commit(changes...)
	}
	f.wantKeys(f.list(ledger.Query{}), want[:ledger.DefaultPage], "a query that names no Max gets DefaultPage entries")
	for _, size := range []int{1, 2, 99, 101, len(want) - 1, len(want), len(want) + 1} {
		q := ledger.Query{Max: size}
		page := f.list(q)
		f.wantKeys(page, want[:min(size, len(want))], "the first page of %d", size)
		if size == 1 {
			continue // the rest takes long
		}
		f.wantKeys(f.all(q), want, "all pages of %d", size)
	}
	f.wantKeys(f.list(ledger.Query{After: want[len(want)-1]}), nil, "the page after the last key")
	f.wantKeys(f.list(ledger.Query{After: "key/0001x", Max: 2}), want[2:4], "After need not be a key that is there")
	f.commit(remove(want[1], 1))
	f.wantKeys(f.list(ledger.Query{After: want[1], Max: 2}), want[2:4], "After may be a key that was deleted meanwhile")
}

func testFilters(f *fixture) {
	var all []ledger.Entry
	for i := range 48 {
		pick := func(name string, bit int) string { return []string{"", name + " 1", name + " 2"}[i>>bit%3] }
		all = append(all, f.commit(ledger.Change{Entry: ledger.Entry{
			Key:  fmt.Sprintf("%s/%02d", []string{"a", "b"}[i%2], i),
			Kind: pick("kind", 0), State: pick("state", 1), Room: pick("room", 2), User: pick("user", 3),
		}})...)
	}
	slices.SortFunc(all, func(a, b ledger.Entry) int { return strings.Compare(a.Key, b.Key) })
	values := func(name string) []string { return []string{"", name + " 1", name + " 2", name + " of nobody"} }
	for _, kind := range values("kind") {
		for _, state := range values("state") {
			for _, room := range values("room") {
				for _, user := range values("user") {
					for _, prefix := range []string{"", "b/"} {
						q := ledger.Query{Kind: kind, State: state, Room: room, User: user, Prefix: prefix, Max: 5}
						f.wantEntries(f.all(q), selected(all, q), "List of %+v, all pages", q)
					}
				}
			}
		}
	}
}

// selected are those of the entries that q selects, whatever its Max.
func selected(all []ledger.Entry, q ledger.Query) []ledger.Entry {
	var out []ledger.Entry
	for _, e := range all {
		if strings.HasPrefix(e.Key, q.Prefix) && e.Key > q.After &&
			(q.Kind == "" || e.Kind == q.Kind) && (q.State == "" || e.State == q.State) &&
			(q.Room == "" || e.Room == q.Room) && (q.User == "" || e.User == q.User) {
			out = append(out, e)
		}
	}
	return out
}

func testPrefix(f *fixture) {
	keys := []string{"a", "a/", "a/1", "a/1/x", "a/2", "a0", "b", "b\xff", "b\xff\xff", "b\xff\xffc", "c", "\xff", "\xff\xff", "\xff\xffz"}
	var changes []ledger.Change
	for i, key := range keys {
		c := change(key, 0, "")
		c.Entry.Room = []string{"room", "other"}[i%2]
		changes = append(changes, c)
	}
	all := f.commit(changes...) // whose order is that of the keys
	for _, prefix := range append([]string{"", "a/1", "a/3", "b\xff\xff\xff", "bb", "\xfe", "\xff\xff\xff"}, keys...) {
		for _, after := range append([]string{"", "\x00", "a/\xff", "b\xff\xff\xff", "\xfe", "\xff\xff\xff"}, keys...) {
			for _, room := range []string{"", "room"} {
				q := ledger.Query{Prefix: prefix, After: after, Room: room}
				f.wantEntries(f.list(q), selected(all, q), "List of %+v: Prefix and After are two conditions, wherever one lies in the other", q)
			}
		}
	}
}
