package audit

import (
	"encoding/json"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// TestProofs: an outsider with a checkpoint needs nothing else of the log.
func TestProofs(t *testing.T) {
	k := newKeys(t)
	l := mustOpen(t, t.TempDir(), k.options())
	defer mustClose(t, l)
	var checkpoints []Checkpoint
	for range 20 {
		fill(t, l, 3)
		signed, err := l.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := ReadCheckpoint(signed, k.known)
		if err != nil {
			t.Fatal(err)
		}
		checkpoints = append(checkpoints, c)
	}
	var entries []Entry
	for e, err := range l.Entries(t.Context(), Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(e)
		var there Entry
		if err == nil {
			err = json.Unmarshal(b, &there)
		}
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, there)
	}
	for i, c := range checkpoints {
		for _, e := range entries[:c.Size] {
			p, err := l.ProveRecord(c.Size, e.Index)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.CheckRecord(p, e); err != nil {
				t.Error(err)
			}
			e.Action += "x"
			if err := c.CheckRecord(p, e); err == nil {
				t.Errorf("entry %d with another action is accepted", e.Index)
			}
		}
		for _, older := range checkpoints[:i+1] {
			p, err := l.ProveTree(c.Size, older.Size)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.CheckTree(p, older); err != nil {
				t.Error(err)
			}
			older.Root[3]++
			if err := c.CheckTree(p, older); err == nil || !strings.Contains(err.Error(), "rewritten") {
				t.Errorf("%d does not continue another log of %d: %v", c.Size, older.Size, err)
			}
		}
	}
	checkForgedDetails(t, l, checkpoints[19], entries[7])
}

func checkForgedDetails(t *testing.T, l *Log, c Checkpoint, e Entry) {
	p, err := l.ProveRecord(c.Size, e.Index)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(e *Entry){
		"another detail":        func(e *Entry) { e.Detail = []byte(`{}`) },
		"no detail":             func(e *Entry) { e.Detail = nil },
		"erased, with a detail": func(e *Entry) { e.Erased = true },
		"beyond":                func(e *Entry) { e.Index = c.Size },
		"negative":              func(e *Entry) { e.Index = -1 },
		"a long action":         func(e *Entry) { e.Action = strings.Repeat("x", 300) },
	} {
		x := e
		change(&x)
		if err := c.CheckRecord(p, x); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	e.Erased, e.Detail, e.Salt = true, nil, nil
	if err := c.CheckRecord(p, e); err != nil {
		t.Errorf("erased: %v", err)
	}
	for _, x := range [][2]int64{{c.Size + 1, 0}, {5, 5}, {5, -1}, {0, 0}} {
		if _, err := l.ProveRecord(x[0], x[1]); err == nil {
			t.Errorf("a proof of entry %d of %d", x[1], x[0])
		}
	}
	for _, x := range [][2]int64{{c.Size + 1, 1}, {5, 6}, {5, 0}, {-1, -2}} {
		if _, err := l.ProveTree(x[0], x[1]); err == nil {
			t.Errorf("a proof that %d continues %d", x[0], x[1])
		}
	}
	if err := c.CheckTree(nil, Checkpoint{Origin: "another", Size: 1}); err == nil || !strings.Contains(err.Error(), "another") {
		t.Errorf("of another log: %v", err)
	}
	if err := c.CheckTree(nil, Checkpoint{Origin: c.Origin}); err == nil {
		t.Error("of nothing")
	}
}

// TestEdge compares the streaming tree with tlog's own.
func TestEdge(t *testing.T) {
	var e edge
	var stored []tlog.Hash
	r := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, x := range indexes {
			out = append(out, stored[x])
		}
		return out, nil
	})
	for n := int64(0); n < 300; n++ {
		want, err := tlog.TreeHash(n, r)
		if err != nil || e.root() != want {
			t.Fatalf("the root of %d leaves is %v, not %v (%v)", n, e.root(), want, err)
		}
		again, err := readEdge(r, n)
		if err != nil || again.root() != want || again.n != n {
			t.Fatalf("read again, the root of %d leaves is %v, not %v (%v)", n, again.root(), want, err)
		}
		leaf := tlog.RecordHash([]byte{byte(n), byte(n >> 8)})
		hashes, err := tlog.StoredHashesForRecordHash(n, leaf, r)
		if err != nil {
			t.Fatal(err)
		}
		out := e.push(leaf, nil)
		if len(out) != len(hashes) || out[len(out)-1] != hashes[len(hashes)-1] {
			t.Fatalf("leaf %d: %v, not %v", n, out, hashes)
		}
		stored = append(stored, out...)
	}
}
