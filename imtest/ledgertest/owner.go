package ledgertest

import (
	"encoding/json"
	"slices"

	"github.com/liveim/im/ledger"
)

var ownerCases = []testCase{
	{"WhatIsPassedIn", testGiven},
	{"WhatIsReturned", testReturned},
}

func testGiven(f *fixture) {
	data := json.RawMessage(`{"amount":100}`)
	changes := []ledger.Change{change("a", 0, ""), change("b", 0, "")}
	changes[0].Entry.Data, changes[1].Entry.Data = data, data
	given := slices.Clone(changes)
	f.commit(changes...)
	for i, c := range changes {
		if c.Entry.Version != given[i].Entry.Version || c.Delete != given[i].Delete || !c.Entry.Created.IsZero() {
			f.Fatalf("Commit has changed a Change that it was given: it belongs to the caller")
		}
	}
	changes[0] = ledger.Change{}
	copy(data, `{"amount":999}`)
	for _, key := range []string{"a", "b"} {
		if e := f.get(key); !sameJSON(e.Data, json.RawMessage(`{"amount":100}`)) {
			f.Fatalf("entry %q has Data %s after the caller changed its slice: the ledger keeps a copy", key, e.Data)
		}
	}
}

func testReturned(f *fixture) {
	c := change("key", 0, "")
	c.Entry.Room, c.Entry.Due, c.Entry.Data = "room", noon(), json.RawMessage(`{"amount":100}`)
	scribble := func(entries []ledger.Entry, from string) {
		for i := range entries {
			for j := range entries[i].Data {
				entries[i].Data[j] = 'x'
			}
			_ = append(entries[i].Data, "yyyy"...)
			entries[i] = ledger.Entry{Key: "changed"}
		}
		for _, e := range [][]ledger.Entry{{f.get("key")}, f.list(ledger.Query{Room: "room"}), f.due(noon(), 1)} {
			if len(e) != 1 || !sameJSON(e[0].Data, c.Entry.Data) {
				f.Fatalf("the ledger holds %+v after the caller changed what %s had returned: the ledger keeps a copy", e, from)
			}
		}
	}
	scribble(f.commit(c), "Commit")
	scribble([]ledger.Entry{f.get("key")}, "Get")
	scribble(f.list(ledger.Query{}), "List")
	scribble(f.due(noon(), 1), "Due")
}
