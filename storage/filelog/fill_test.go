package filelog

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/disk/disktest"
	"github.com/liveim/im/storage/filelog/internal/segment"
)

// newest is the name of the active segment with the highest number.
func newest(names []string) string {
	last := ""
	for _, name := range names {
		if kind, _ := segment.ParseName(name); kind == segment.ActiveFile {
			last = max(last, name)
		}
	}
	return last
}

// TestTornAmongZeros tears a write into a file that was filled with zeros before, in all the ways in which sectors of it may be
// there or not. What was acknowledged before is there, the torn events are there as a whole or not at all, and their places
// are not given again.
func TestTornAmongZeros(t *testing.T) {
	const sector = 512
	fsys := disktest.New()
	l := openFS(t, fsys, Options{})
	must(t, l, "r", gift("first"))
	name := filepath.Join("log", newest(names(t, fsys)))
	before := fsys.Bytes(name)
	if len(bytes.TrimRight(before, "\x00")) == len(before) {
		t.Fatal("no zeros were written ahead")
	}
	big := gift("big")
	big.Body = fmt.Appendf(nil, `{"n":%q}`, bytes.Repeat([]byte("7"), 3*sector))
	given := must(t, l, "r", gift("a"), big, gift("b"))
	after := fsys.Bytes(name)
	l.crash()
	from := len(bytes.TrimRight(before, "\x00"))
	to := len(bytes.TrimRight(after, "\x00"))
	r := rand.New(rand.NewPCG(5, 6))
	for round := range 200 {
		torn := slices.Clone(before)
		for at := from; at < to; at = at/sector*sector + sector {
			there := r.IntN(2) == 0
			switch round { // the two ends, and prefixes
			case 0:
				there = false
			case 1:
				there = true
			case 2, 3, 4, 5:
				there = at/sector-from/sector < round-1
			}
			if end := min(at/sector*sector+sector, to); there {
				copy(torn[at:end], after[at:end])
			}
		}
		lost := fsys.Kill()
		lost.SetBytes(name, torn)
		l := openFS(t, lost, Options{})
		got := ids(all(t, l, "r"))
		switch whole := bytes.Equal(torn, after[:len(torn)]); {
		case whole && got != "first a big b ", !whole && got != "first ":
			t.Errorf("round %d, whole %v: %q is there", round, whole, got)
		}
		if damage := l.Damage(); len(damage) > 0 {
			t.Errorf("round %d: what was never acknowledged is damage: %v", round, damage)
		}
		if again := must(t, l, "r", gift("next")); again[0] <= given[len(given)-1] {
			t.Errorf("round %d: position %d was given before", round, again[0])
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if size := len(lost.Bytes(name)); size > to+4*sector {
			t.Errorf("round %d: the file has %d bytes after Close, zeros and all", round, size)
		}
	}
}

func names(t *testing.T, fsys *disktest.FS) []string {
	t.Helper()
	all, err := fsys.ReadDir("log")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestKillAmongZeros kills a process whose segment has zeros ahead, and puts the start of a write behind its last frame, as a
// loss of power would have: what was acknowledged is there, and the zeros are no damage.
func TestKillAmongZeros(t *testing.T) {
	dir := t.TempDir()
	acked, named := map[string]string{}, map[string]string{}
	zeros := 0
	for i := range 4 {
		killOnce(t, dir, acked)
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var files []string
		for _, e := range entries {
			files = append(files, e.Name())
		}
		path := filepath.Join(dir, newest(files))
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		used := len(bytes.TrimRight(data, "\x00"))
		zeros += len(data) - used
		if i%2 == 1 && len(data) > used+200 {
			copy(data[used:], data[128:328]) // the start of a frame, none of which is whole
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := Verify(context.Background(), dir)
		if err != nil || len(r.Damage) > 0 || r.Clean {
			t.Errorf("after kill %d Verify finds %+v, %v", i, r, err)
		}
		l := openDir(t, dir, Options{SegmentBytes: 256 << 10})
		checkAcked(t, l, acked, named)
		l.crash()
	}
	if zeros == 0 {
		t.Error("no kill met zeros that were written ahead")
	}
	t.Logf("%d events were acknowledged, and %d zeros were found behind them", len(acked), zeros)
}

// TestFullDiskBehindZeros fills the disk while zeros are ahead: what fits into them is taken, the rest is refused, and neither
// is otherwise after the log was opened again.
func TestFullDiskBehindZeros(t *testing.T) {
	fsys := disktest.New()
	l := openFS(t, fsys, Options{})
	must(t, l, "r", gift("first"))
	fsys.SetCapacity(1)
	want, refusals := "first ", 0
	for i := range 5000 {
		id := fmt.Sprint("g", i)
		_, err := l.Append(context.Background(), "r", []*im.Event{gift(id)})
		if err != nil {
			refused(t, err)
			if refusals++; refusals == 3 {
				break
			}
			continue
		}
		want += id + " "
	}
	if refusals == 0 || want == "first " {
		t.Fatalf("%d refusals, and %d bytes of ids were taken", refusals, len(want))
	}
	if got := ids(all(t, l, "r")); got != want {
		t.Errorf("%d bytes of ids are there, want %d", len(got), len(want))
	}
	l.crash()
	fsys.SetCapacity(0)
	l = openFS(t, fsys.Kill(), Options{})
	if got := ids(all(t, l, "r")); got != want {
		t.Errorf("after opening %d bytes of ids are there, want %d", len(got), len(want))
	}
	must(t, l, "r", gift("last"))
}
