package audit

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// modelEntry is what the model knows of an entry.
type modelEntry struct {
	action, user string
	erased       bool
}

// TestModel compares a log with a slice, over records, erasures, checkpoints, closing and opening, and tails that a crash
// has torn.
func TestModel(t *testing.T) {
	k := newKeys(t)
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		o := k.options()
		o.CheckpointEvery = int64(rapid.IntRange(1, 20).Draw(t, "every"))
		m := &model{k: k, dir: dir, o: o, log: openUnsynced(t, dir, o)}
		t.Repeat(map[string]func(*rapid.T){
			"record": m.record, "erase": m.erase, "checkpoint": m.checkpoint, "reopen": m.reopen, "verify": m.verify, "": m.check,
		})
		mustClose(t, m.log)
		m.verify(t)
	})
}

// openUnsynced spares the disk: it is not what the model is about.
func openUnsynced(t *rapid.T, dir string, o *Options) *Log {
	options := *o
	err := options.validate()
	if err != nil {
		t.Fatal(err)
	}
	l, err := open(dir, options, func(*os.File) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

type model struct {
	k       keys
	dir     string
	o       *Options
	log     *Log
	entries []modelEntry
	kept    [][]byte
}

func (m *model) record(t *rapid.T) {
	for range rapid.IntRange(1, 5).Draw(t, "n") {
		e := modelEntry{action: fmt.Sprint("a.", rapid.IntRange(0, 2).Draw(t, "action")), user: fmt.Sprint(rapid.IntRange(0, 4).Draw(t, "user"))}
		if err := m.log.Record(t.Context(), e.action, map[string]string{"user": e.user}); err != nil {
			t.Fatal(err)
		}
		m.entries = append(m.entries, e)
	}
}

func (m *model) erase(t *rapid.T) {
	user, want := fmt.Sprint(rapid.IntRange(0, 4).Draw(t, "user")), int64(0)
	for i := range m.entries {
		if e := &m.entries[i]; e.user == user && !e.erased {
			e.erased = true
			want++
		}
	}
	n, err := m.log.Erase(t.Context(), func(e Entry) bool { return e.Text("user") == user })
	if err != nil || n != want {
		t.Fatalf("erased %d, not %d: %v", n, want, err)
	}
	if n > 0 {
		m.entries = append(m.entries, modelEntry{action: eraseAction})
	}
}

func (m *model) checkpoint(t *rapid.T) {
	signed, err := m.log.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := ReadCheckpoint(signed, m.k.known)
	if err != nil || c.Size != int64(len(m.entries)) {
		t.Fatalf("%+v of %d entries: %v", c, len(m.entries), err)
	}
	m.kept = append(m.kept, signed)
}

// reopen closes the log and opens it again, perhaps with a torn tail.
func (m *model) reopen(t *rapid.T) {
	mustClose(t, m.log)
	if rapid.Bool().Draw(t, "torn") {
		for _, name := range []string{entriesName, detailsName, checkpointsName} {
			f, err := os.OpenFile(m.dir+"/"+name, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = f.Write(rapid.SliceOfN(rapid.ByteRange('0', 'z'), 0, 300).Draw(t, name)); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		m.verify(t)
	}
	m.log = openUnsynced(t, m.dir, m.o)
}

func (m *model) check(t *rapid.T) {
	newest := rapid.Bool().Draw(t, "newest")
	i := 0
	want := slices.Clone(m.entries)
	if newest {
		slices.Reverse(want)
	}
	for e, err := range m.log.Entries(t.Context(), Query{Newest: newest}) {
		if err != nil {
			t.Fatal(err)
		}
		w := want[i]
		if e.Action != w.action || e.Erased != w.erased || !w.erased && e.Text("user") != w.user {
			t.Fatalf("%+v, not %+v", e, w)
		}
		i++
	}
	if i != len(want) {
		t.Fatalf("%d entries, not %d", i, len(want))
	}
}

func (m *model) verify(t *rapid.T) {
	erased := int64(0)
	for _, e := range m.entries {
		if e.erased {
			erased++
		}
	}
	r, err := Verify(t.Context(), m.dir, m.k.known, m.kept...)
	if err != nil || r.Entries != int64(len(m.entries)) || r.Erased != erased {
		t.Fatalf("%+v of %d entries, %d erased: %v", r, len(m.entries), erased, err)
	}
}
