package audit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// tamperLog makes a log of 100 entries and the one about the erasure of 20 of them, with checkpoints at 30, 60, 90 and 101.
func tamperLog(t testing.TB) (k keys, s snapshot, kept []byte) {
	t.Helper()
	k = newKeys(t)
	dir := t.TempDir()
	o := k.options()
	o.CheckpointEvery = 30
	l := mustOpen(t, dir, o)
	fill(t, l, 100)
	if n, err := l.Erase(t.Context(), func(e Entry) bool { return e.Text("user") == "u3" }); n != 20 || err != nil {
		t.Fatal(n, err)
	}
	kept, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	if r := mustVerify(t, k, dir, kept); r.Entries != 101 || r.Checkpoints != 5 || r.Erased != 20 || r.Newest.Size != 101 || r.Torn {
		t.Fatalf("%+v", r)
	}
	return k, readFiles(t, dir), kept
}

// TestFlipEveryByte changes each byte of each file of a log, one at a time: Verify names the entry. It is
// every fifth byte unless IM_SOAK is set.
func TestFlipEveryByte(t *testing.T) {
	k, s, _ := tamperLog(t)
	step := 5
	if soak() {
		step = 1
	}
	for name, data := range s {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s.write(t, dir)
			file, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			place := places(t, s, name)
			for at := 0; at < len(data); at += step {
				put(t, file, at, data[at]^1<<(at%8))
				r, err := Verify(t.Context(), dir, k.known)
				want := place(at)
				f, isFault := errors.AsType[*Fault](err)
				// The end of the last checkpoint: Open would cut it, as if the log had been killed while it wrote that.
				torn := name == checkpointsName && want == 90 && err == nil && r.Torn && r.Newest.Size == 90
				if !torn && (!isFault || f.Index != want) {
					t.Fatalf("%s, byte %d: %v and %+v; it belongs to entry %d", name, at, err, r, want)
				}
				put(t, file, at, data[at])
			}
		})
	}
}

func put(t *testing.T, f *os.File, at int, b byte) {
	if _, err := f.WriteAt([]byte{b}, int64(at)); err != nil {
		t.Fatal(err)
	}
}

// places tells to which entry a byte of a file belongs.
func places(t testing.TB, s snapshot, name string) func(at int) int64 {
	var ends []int // of each entry
	switch name {
	case entriesName:
		return func(at int) int64 { return int64(at / recordSize) }
	case treeName:
		for i := range int64(len(s[entriesName]) / recordSize) {
			ends = append(ends, int(tlog.StoredHashCount(i+1))*tlog.HashSize)
		}
	case detailsName:
		for b := s[entriesName]; len(b) > 0; b = b[recordSize:] {
			r, err := parseRecord(b[:recordSize])
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, int(r.end()))
		}
	case checkpointsName:
		notes, _ := splitNotes(s[name])
		end := 0
		for _, n := range notes {
			end += len(n) + 1
			ends = append(ends, end)
		}
		return func(at int) int64 {
			i, exact := slices.BinarySearch(ends, at)
			if exact {
				i++
			}
			return []int64{0, 30, 60, 90}[i]
		}
	}
	return func(at int) int64 {
		i, exact := slices.BinarySearch(ends, at)
		if exact {
			i++
		}
		return int64(i)
	}
}

// changed applies f to a copy.
func changed(b []byte, f func(b []byte)) []byte {
	b = bytes.Clone(b)
	f(b)
	return b
}

// forge makes the checksum of a record right again.
func forge(b []byte) {
	binary.BigEndian.PutUint32(b[124:], crc32.Checksum(b[:124], crc32.MakeTable(crc32.Castagnoli)))
}

func entryAt(b []byte, i int) []byte { return b[i*recordSize : (i+1)*recordSize] }

// treeOf makes the file tree of entries.
func treeOf(entries []byte) (out []byte) {
	var e edge
	for ; len(entries) >= recordSize; entries = entries[recordSize:] {
		for _, h := range e.push(tlog.RecordHash(entries[:leafSize]), nil) {
			out = append(out, h[:]...)
		}
	}
	return out
}

func TestTampered(t *testing.T) {
	k, s, kept := tamperLog(t)
	other := newKeys(t)
	entries, details, tree := s[entriesName], s[detailsName], s[treeName]
	notes, _ := splitNotes(s[checkpointsName])
	rewritten := changed(entries, func(b []byte) { entryAt(b, 40)[80]++; forge(entryAt(b, 40)) })
	r40, err := parseRecord(entryAt(entries, 40))
	if err != nil {
		t.Fatal(err)
	}
	foreign := changed(entryAt(entries, 40), func(b []byte) { b[3]++; forge(b) })
	for _, tt := range []struct {
		name  string
		s     snapshot
		kept  [][]byte
		index int64
		kind  Kind
	}{
		{"an entry is removed", s.with(entriesName, slices.Delete(bytes.Clone(entries), 40*recordSize, 41*recordSize)), nil, 40, Missing},
		{"two entries are swapped", s.with(entriesName, changed(entries, func(b []byte) {
			copy(entryAt(b, 40), entryAt(entries, 45))
			copy(entryAt(b, 45), entryAt(entries, 40))
		})), nil, 40, Reordered},
		{"an entry is moved forward", s.with(entriesName, changed(entries, func(b []byte) {
			copy(b[40*recordSize:], entryAt(entries, 45))
			copy(b[41*recordSize:46*recordSize], entries[40*recordSize:])
		})), nil, 40, Reordered},
		{"an entry is copied", s.with(entriesName, slices.Insert(bytes.Clone(entries), 40*recordSize, entryAt(entries, 10)...)), nil, 40, Inserted},
		{"an entry is made up", s.with(entriesName, slices.Insert(bytes.Clone(entries), 40*recordSize, foreign...)), nil, 40, Inserted},
		{"an entry is rewritten", s.with(entriesName, rewritten), nil, 40, Rewritten},
		{"an entry and the tree are rewritten, and its detail removed", s.with(entriesName, rewritten).with(treeName, treeOf(rewritten)).with(detailsName, changed(details, func(b []byte) {
			copy(b[r40.off:], make([]byte, saltSize+r40.n))
		})), nil, 30, Rewritten},
		{"an action and the tree are rewritten", func() snapshot {
			b := changed(entries, func(b []byte) { entryAt(b, 40)[3]++; forge(entryAt(b, 40)) })
			return s.with(entriesName, b).with(treeName, treeOf(b))
		}(), nil, 30, Rewritten},
		{"a detail is changed", s.with(detailsName, changed(details, func(b []byte) { b[r40.off+40]++ })), nil, 40, Detail},
		{"a detail is removed without an erasure", s.with(detailsName, changed(details, func(b []byte) { clear(b[r40.off:r40.end()]) })), nil, 40, Detail},
		{"the record of the erasure is erased", s.with(detailsName, changed(details, func(b []byte) {
			r, _ := parseRecord(entryAt(entries, 100))
			clear(b[r.off:r.end()])
		})), nil, 100, Detail},
		{"entries are cut", s.with(entriesName, entries[:70*recordSize]), nil, 70, Truncated},
		{"entries are cut within one", s.with(entriesName, entries[:70*recordSize+50]), nil, 70, Truncated},
		{"everything but the tree is cut", s.with(entriesName, entries[:95*recordSize]).with(checkpointsName, bytes.Join(append(slices.Clone(notes[:3]), nil), []byte("\n"))), nil, 95, Truncated},
		{"everything is cut, and a checkpoint was kept", func() snapshot {
			b := entries[:95*recordSize]
			return s.with(entriesName, b).with(treeName, treeOf(b)).with(checkpointsName, bytes.Join(append(slices.Clone(notes[:3]), nil), []byte("\n")))
		}(), [][]byte{kept}, 95, Truncated},
		{"the entries are gone", s.with(entriesName, nil), nil, 0, Truncated},
		{"the tree is gone", s.with(treeName, nil), nil, 0, Tree},
		{"the tree is cut", s.with(treeName, tree[:len(tree)/2]), nil, 51, Tree},
		{"the details are cut", s.with(detailsName, details[:r40.end()-1]), nil, 40, Detail},
		{"the checkpoints are gone, and the tree was kept", s.with(checkpointsName, nil).with(entriesName, entries[:95*recordSize]), nil, 95, Truncated},
		{"a checkpoint of another key", func() snapshot {
			_, o, _ := tamperLogWith(t, other)
			theirs, _ := splitNotes(o[checkpointsName])
			return s.with(checkpointsName, bytes.Join([][]byte{notes[0], theirs[1], notes[2], nil}, []byte("\n")))
		}(), nil, 30, Unsigned},
		{"checkpoints out of order", s.with(checkpointsName, bytes.Join([][]byte{notes[1], notes[0], nil}, []byte("\n"))), nil, 60, Unsigned},
		{"a first fault and a later bad checkpoint", s.with(checkpointsName, bytes.Join([][]byte{notes[0], notes[1][:50], []byte("\n— x\n"), nil}, []byte("\n"))).with(entriesName, changed(entries, func(b []byte) { b[5*recordSize]++ })), nil, 5, Damaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "log")
			tt.s.write(t, dir)
			r, err := Verify(t.Context(), dir, k.known, tt.kept...)
			f, ok := errors.AsType[*Fault](err)
			if !ok || f.Index != tt.index || f.Kind != tt.kind {
				t.Errorf("%v and %+v; it is entry %d, %s", err, r, tt.index, tt.kind)
			}
		})
	}
}

func tamperLogWith(t *testing.T, k keys) (keys, snapshot, error) {
	dir := t.TempDir()
	o := k.options()
	o.CheckpointEvery = 30
	l := mustOpen(t, dir, o)
	fill(t, l, 100)
	mustClose(t, l)
	return k, readFiles(t, dir), nil
}

func TestKeptMustBeGood(t *testing.T) {
	k, s, kept := tamperLog(t)
	dir := t.TempDir()
	s.write(t, dir)
	forged := bytes.Replace(kept, []byte("101"), []byte("100"), 1)
	if _, err := Verify(t.Context(), dir, k.known, forged); err == nil || !strings.Contains(err.Error(), "signature") {
		t.Errorf("a forged checkpoint: %v", err)
	}
	if _, err := Verify(t.Context(), dir, newKeys(t).known); err == nil || !strings.Contains(err.Error(), "bad (unsigned)") {
		t.Errorf("a key that nobody used: %v", err)
	}
}

// TestOpenChecks: what Open sees and what it heals.
func TestOpenChecks(t *testing.T) {
	k, s, kept := tamperLog(t)
	entries := s[entriesName]
	for _, tt := range []struct {
		name string
		s    snapshot
		heal bool
	}{
		{"as it was", s, true},
		{"the tree is gone", s.with(treeName, nil), true},
		{"the tree is of zeros", s.with(treeName, make([]byte, len(s[treeName]))), true},
		{"part of a checkpoint", s.with(checkpointsName, append(bytes.Clone(s[checkpointsName]), "test.example\n1"...)), true},
		{"part of an entry", s.with(entriesName, append(bytes.Clone(entries), entries[:77]...)), true},
		{"a whole entry without its detail", s.with(entriesName, append(bytes.Clone(entries), changed(entryAt(entries, 100), func(b []byte) {
			binary.BigEndian.PutUint64(b[64:], 101)
			binary.BigEndian.PutUint64(b[112:], uint64(len(s[detailsName])))
			forge(b)
		})...)), true},
		{"zeros at the end of all", s.with(entriesName, append(bytes.Clone(entries), make([]byte, 4096)...)).
			with(detailsName, append(bytes.Clone(s[detailsName]), make([]byte, 4096)...)).
			with(treeName, append(bytes.Clone(s[treeName]), make([]byte, 4096)...)), true},
		{"entries are cut", s.with(entriesName, entries[:70*recordSize]), false},
		{"details are cut", s.with(detailsName, s[detailsName][:1000]), false},
		{"the last entry is changed", s.with(entriesName, changed(entries, func(b []byte) { entryAt(b, 100)[70]++ })), false},
		{"an entry after the last checkpoint is changed", s.with(checkpointsName, nil).with(entriesName, changed(entries, func(b []byte) { entryAt(b, 50)[70]++ })), false},
		{"and forged", s.with(checkpointsName, nil).with(entriesName, changed(entries, func(b []byte) { entryAt(b, 50)[79]++; forge(entryAt(b, 50)) })), false},
		{"entries after the last checkpoint are cut", s.with(checkpointsName, nil).with(entriesName, entries[:70*recordSize]), false},
		{"the last checkpoint says something else", s.with(checkpointsName, bytes.Replace(s[checkpointsName], []byte("\n101\n"), []byte("\n100\n"), 1)), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.s.write(t, dir)
			l, err := Open(dir, k.options())
			if !tt.heal {
				if !errors.Is(err, ErrCorrupt) {
					t.Errorf("opened, with the error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if n := l.Len(); n != 101 {
				t.Errorf("%d entries", n)
			}
			fill(t, l, 3)
			mustClose(t, l)
			if r := mustVerify(t, k, dir, kept); r.Entries != 104 || r.Erased != 20 || r.Torn {
				t.Errorf("%+v", r)
			}
		})
	}
}
