package segment

import (
	"math/rand/v2"
	"testing"

	"github.com/liveim/im/storage/filelog/internal/disk/disktest"
)

func fillable(t *testing.T, fsys *disktest.FS, limit int64) (*Active, *written) {
	t.Helper()
	a := create(t, fsys, 1)
	a.Fill(limit)
	w := newWritten(3)
	write(t, a, w.some(5)...)
	return a, w
}

func none(Record, Ref) error { return nil }

// A kill leaves zeros after the last frame. They are no torn write, and neither is a byte of them that flips.
func TestKillLeavesZeros(t *testing.T) {
	fsys := newFS()
	a, _ := fillable(t, fsys, 1<<20)
	size := a.Size()
	for _, flip := range []int64{-1, size, size + 1, size + 700, int64(len(fsys.Bytes(active(1)))) - 1} {
		after := newFS()
		data := fsys.Bytes(active(1))
		if int64(len(data)) <= size {
			t.Fatal("nothing was filled")
		}
		if flip >= 0 {
			data[flip] ^= 0x10
		}
		after.SetBytes(active(1), data)
		if r, err := Scan(t.Context(), after, active(1), none); err != nil || r.Tail != nil || r.Damage != nil || r.Records != 5 {
			t.Errorf("flip at %d: scan %+v, %v", flip, r, err)
		}
		b, r, err := Recover(after, active(1), none)
		if err != nil || r.Tail != nil || r.Damage != nil || r.Cut != 0 || b.Size() != size {
			t.Fatalf("flip at %d: recovered %+v, %v", flip, r, err)
		}
		b.Close()
		if n := int64(len(after.Crash(nil).Bytes(active(1)))); n != size {
			t.Errorf("flip at %d: %d bytes after recovery, want %d", flip, n, size)
		}
	}
}

// Sealing takes no harm from zeros that nobody cut off, and leaves none.
func TestSealPassesZeros(t *testing.T) {
	fsys := newFS()
	a, w := fillable(t, fsys, 1<<20)
	write(t, a, w.some(40)...)
	if len(fsys.Bytes(active(1))) <= int(a.Size()) {
		t.Fatal("nothing was filled")
	}
	events := 0
	for info, err := range seal(t, fsys, 1, nil).Rooms() {
		if err != nil {
			t.Fatal(err)
		}
		events += info.Events
	}
	if events != 45 {
		t.Errorf("%d events, want 45", events)
	}
}

// A frame that is torn before the zeros is a torn tail, and none of the zeros are.
func TestTornBeforeZeros(t *testing.T) {
	fsys := newFS()
	a, w := fillable(t, fsys, 1<<20)
	size := a.Size()
	write(t, a, w.some(10)...)
	data := fsys.Bytes(active(1))
	clear(data[size+600:])
	fsys.SetBytes(active(1), data)
	r, err := Scan(t.Context(), fsys, active(1), none)
	if err != nil || r.Tail == nil || !r.Tail.Torn || r.Tail.Offset != size || r.Tail.Length > 600+sectorBytes || r.Records != 5 || r.Damage != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// Small segments do not become large files, and no file more than the limit and a bit.
func TestFillIsBounded(t *testing.T) {
	for _, limit := range []int64{2 << 10, 100 << 10, 1 << 20, 4 << 20} {
		fsys := newFS()
		a, w := fillable(t, fsys, limit)
		for a.Size() < limit {
			if n := int64(len(fsys.Bytes(active(1)))); n > max(limit, a.Size())+min(maxStep, limit/4) || n > a.Size()+maxStep {
				t.Fatalf("limit %d: %d bytes of %d", limit, n, a.Size())
			}
			write(t, a, w.some(1+int(limit>>14))...)
		}
		a.Trim()
		if n := int64(len(fsys.Bytes(active(1)))); n != a.Size() {
			t.Errorf("limit %d: %d bytes after Trim, want %d", limit, n, a.Size())
		}
	}
}

// A disk with room for the records and none for zeros takes the records.
func TestFullDiskIsNotFilled(t *testing.T) {
	fsys := newFS()
	fsys.SetCapacity(8 << 10)
	a, w := fillable(t, fsys, 1<<20)
	write(t, a, w.some(2)...)
	if n := int64(len(fsys.Bytes(active(1)))); n != a.Size() {
		t.Errorf("%d bytes, want %d", n, a.Size())
	}
}

// What was synced outlives a loss of power, wherever the zeros are by then.
func TestLossOfPowerAmongZeros(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for range 300 {
		fsys := newFS()
		a, w := fillable(t, fsys, int64(2<<10)<<r.IntN(8))
		records, synced := 5, 5
		for range r.IntN(12) {
			n := 1 + r.IntN(60)
			if _, err := a.Write(w.some(n)); err != nil {
				t.Fatal(err)
			}
			records += n
			if r.IntN(3) > 0 {
				if err := a.Sync(); err != nil {
					t.Fatal(err)
				}
				synced = records
			}
		}
		after := fsys.Crash(r)
		b, found, err := Recover(after, active(1), none)
		if err != nil || found.Records < synced || found.Records > records {
			t.Fatalf("%d records, %d were synced: %v", found.Records, synced, err)
		}
		for _, d := range found.Damage {
			if !d.Torn {
				t.Errorf("a torn write is taken for damage: %v", d)
			}
		}
		write(t, b, w.some(2)...)
		b.Close()
		if again, err := Scan(t.Context(), after.Crash(nil), active(1), none); err != nil || again.Tail != nil || again.Records != found.Records+2 {
			t.Fatalf("afterwards %+v, %v", again, err)
		}
	}
}
