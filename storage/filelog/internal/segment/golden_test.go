package segment

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

var writeGolden = flag.Bool("write-golden", false, "write the files of the current version into testdata, once, when the version changes")

// The files of every version that was released are read for ever.
func TestGolden(t *testing.T) {
	const version = "testdata/version1"
	want := append(kinds()[:len(kinds())-1], newWritten(20).some(600)...)
	want[3].Data = []byte("the state of a room")
	want = append(want, Record{Type: Closed})
	if *writeGolden {
		golden(t, version, want)
	}
	var fsys disk.OS
	n := 0
	found, err := Scan(t.Context(), fsys, filepath.Join(version, ActiveName(1)), func(r Record, _ Ref) error {
		same(t, "active", r, want[n])
		n++
		return nil
	})
	if err != nil || !found.Closed || n != len(want) || len(found.Damage) > 0 || found.Tail != nil {
		t.Errorf("active: %+v, %v", found, err)
	}
	s, damage, err := Open(fsys, filepath.Join(version, SealedName(1)), NewCache(1<<20))
	if err != nil || len(damage) > 0 {
		t.Fatal(damage, err)
	}
	defer s.Close()
	for _, w := range want {
		if w.Type != Event {
			continue
		}
		page, err := s.Read(Query{Room: w.Room, Epoch: w.Epoch, After: w.Seq - 1, Before: w.Seq + 1, Max: 1})
		if err != nil || len(page.Records) != 1 || !same(t, "sealed", page.Records[0], w) {
			t.Fatalf("sealed: %v, %v", page, err)
		}
		if rec, ok, err := s.FindID(w.Room, w.Event.ID, nil); err != nil || !ok || rec.Seq != w.Seq {
			t.Fatalf("find %q: %v, %v", w.Event.ID, ok, err)
		}
	}
	if snap, ok, err := s.Snapshot("r", "e"); err != nil || !ok || !same(t, "snapshot", snap, want[3]) {
		t.Errorf("snapshot: %v, %v", ok, err)
	}
	if damage, err := s.Verify(t.Context()); err != nil || len(damage) > 0 {
		t.Errorf("verify: %v, %v", damage, err)
	}
}

func golden(t *testing.T, dir string, records []Record) {
	var fsys disk.OS
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	a, err := Create(fsys, dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	write(t, a, records[:300]...)
	write(t, a, records[300:]...)
	s, _, err := Seal(t.Context(), fsys, dir, 1, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, name := range []string{ActiveName(1), SealedName(1)} {
		if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
