package segment

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/disk/disktest"
)

// kinds is one record of each type, with what is unusual.
func kinds() []Record {
	long := strings.Repeat("\x00漢\xff", 40)
	return []Record{
		{Type: Event, Room: "r", Epoch: "e", Seq: 1, Event: &im.Event{Pos: im.Position{Epoch: "e", Seq: 1}, ID: "1", At: time.Time{}}},
		{Type: Event, Room: long, Epoch: long[:64], Seq: im.MaxSeq, Volatiles: 1 << 62, Durables: 1<<64 - 1, Event: &im.Event{
			Pos: im.Position{Epoch: long[:64], Seq: im.MaxSeq}, ID: long, Kind: "k", Class: im.Merged, At: start, N: -7,
			From: im.Author{ID: long, Name: "\x00"}, Body: []byte("{}"), Digest: "d",
		}},
		{Type: Event, Room: "r", Epoch: "e", Seq: 3, Event: &im.Event{Pos: im.Position{Epoch: "e", Seq: 3}, ID: "3", At: time.Unix(1<<40, 5).UTC(), Body: []byte{}}},
		{Type: Snapshot, Room: "r", Epoch: "e", Seq: 4, Data: []byte(strings.Repeat("state", 50_000))},
		{Type: Snapshot, Room: "r2", Epoch: "e", Seq: 0},
		{Type: Abort, Room: "r", Epoch: "e", Seq: 3},
		{Type: Reserve, Room: "r", Epoch: "e", Seq: 1 << 20},
		{Type: Meta, Room: "gone", Epoch: "e", Seq: 99, Trimmed: 98, Volatiles: 7, Durables: 8},
		{Type: Closed},
	}
}

func TestActive(t *testing.T) {
	disk := newFS()
	a := create(t, disk, 12)
	want := kinds()
	refs := write(t, a, want[:4]...)
	refs = append(refs, write(t, a, want[4:]...)...)
	for i, ref := range refs {
		got, err := a.Read(ref)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "read by ref", got, want[i])
	}
	if _, err := Create(disk, dir, 12); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second Create: %v, want ErrExist", err)
	}

	var got []Record
	again, r, err := Recover(disk, active(12), func(rec Record, ref Ref) error {
		if ref != refs[len(got)] {
			t.Errorf("record %d is at %v, was at %v", len(got), ref, refs[len(got)])
		}
		got = append(got, rec)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for i := range want {
		same(t, "recovered", got[i], want[i])
	}
	if !r.Closed || r.Records != len(want) || r.Cut != 0 || r.Tail != nil || r.Damage != nil || r.Number != 12 || again.Number() != 12 {
		t.Errorf("recovery: %+v", r)
	}
	if again.Size() != a.Size() {
		t.Errorf("size %d, was %d", again.Size(), a.Size())
	}
	// It goes on, and is no longer closed.
	refs = write(t, again, want[0])
	if got, err := again.Read(refs[0]); err != nil || got.Seq != 1 {
		t.Errorf("read after recovery: %v, %v", got, err)
	}
	if r, err := Scan(t.Context(), disk, active(12), func(Record, Ref) error { return nil }); err != nil || r.Closed || r.Records != len(want)+1 {
		t.Errorf("scan: %+v, %v", r, err)
	}
}

func TestWriteIsOneCallAndManyFrames(t *testing.T) {
	disk := newFS()
	a := create(t, disk, 1)
	before := disk.Count(disktest.Write, "")
	want := newWritten(10).some(2000)
	refs := write(t, a, want...)
	if n := disk.Count(disktest.Write, "") - before; n != 1 {
		t.Errorf("%d writes, want 1", n)
	}
	if a.number < 4 {
		t.Errorf("%d frames for %d bytes", a.number, a.Size())
	}
	for i := range want {
		got, err := a.Read(refs[i])
		if err != nil {
			t.Fatal(err)
		}
		if !same(t, "read", got, want[i]) {
			break
		}
	}
	for _, ref := range []Ref{{}, {Offset: refs[0].Offset + 1, Length: refs[0].Length}, {Offset: refs[0].Offset, Length: refs[0].Length - 1}, {Offset: 1 << 40, Length: 9}} {
		if _, err := a.Read(ref); !errors.Is(err, ErrDamaged) {
			t.Errorf("read of %v: %v, want ErrDamaged", ref, err)
		}
	}
}

func TestRefusedRecordsWriteNothing(t *testing.T) {
	disk := newFS()
	a := create(t, disk, 1)
	good := newWritten(1).event("r")
	for name, bad := range map[string]Record{
		"too large": {Type: Snapshot, Room: "r", Data: make([]byte, MaxRecord)},
		"no event":  {Type: Event, Room: "r"},
		"no type":   {Room: "r"},
	} {
		size := a.Size()
		_, err := a.Write([]Record{good, bad})
		if err == nil || a.Size() != size || errors.Is(err, ErrTooLarge) != (name == "too large") {
			t.Errorf("%s: %v, size %d, was %d", name, err, a.Size(), size)
		}
	}
	write(t, a, good)
	if r, err := Scan(t.Context(), disk, active(1), func(Record, Ref) error { return nil }); err != nil || r.Records != 1 || r.Tail != nil || r.Damage != nil {
		t.Errorf("afterwards: %+v, %v", r, err)
	}
}

func TestFailedWriteIsCutBack(t *testing.T) {
	tests := map[string]struct {
		rules   []disktest.Rule
		cutBack bool
	}{
		"nothing written": {[]disktest.Rule{{Op: disktest.Write, Err: syscall.EIO, Times: 1}}, true},
		"half written":    {[]disktest.Rule{{Op: disktest.Write, Err: syscall.ENOSPC, Times: 1, Short: 300}}, true},
		"cannot truncate": {[]disktest.Rule{{Op: disktest.Write, Err: syscall.EIO, Times: 1, Short: 300}, {Op: disktest.Truncate, Err: syscall.EIO}}, false},
		"cannot sync":     {[]disktest.Rule{{Op: disktest.Write, Err: syscall.EIO, Times: 1, Short: 300}, {Op: disktest.Sync, Err: syscall.EIO}}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			disk := newFS()
			a := create(t, disk, 1)
			w := newWritten(3)
			first := w.some(5)
			refs := write(t, a, first...)
			for _, r := range test.rules {
				defer disk.Fail(r)()
			}
			var failed *WriteError
			if _, err := a.Write(w.some(5)); !errors.As(err, &failed) || failed.CutBack != test.cutBack || !errors.Is(err, test.rules[0].Err) {
				t.Fatalf("write: %v", err)
			}
			if got, err := a.Read(refs[4]); err != nil || got.Seq != first[4].Seq {
				t.Errorf("read of what was there: %v", err)
			}
			_, err := a.Write(w.some(5))
			if test.cutBack != (err == nil) || err != nil && !errors.Is(err, ErrBroken) {
				t.Fatalf("the next write: %v", err)
			}
			if !test.cutBack {
				if err := a.Sync(); !errors.Is(err, ErrBroken) {
					t.Errorf("sync: %v", err)
				}
				return
			}
			if err := a.Sync(); err != nil {
				t.Fatal(err)
			}
			if r, err := Scan(t.Context(), disk.Crash(nil), active(1), func(Record, Ref) error { return nil }); err != nil || r.Records != 10 || r.Tail != nil || r.Damage != nil {
				t.Errorf("after a loss of power: %+v, %v", r, err)
			}
		})
	}
}

func TestFailedSyncEndsTheSegment(t *testing.T) {
	disk := newFS()
	a := create(t, disk, 1)
	refs, err := a.Write(newWritten(3).some(3))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Fail(disktest.Rule{Op: disktest.Sync, Err: syscall.EIO, Times: 1})()
	if err := a.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if err := a.Sync(); !errors.Is(err, ErrBroken) {
		t.Errorf("a second sync: %v", err)
	}
	if n := disk.Count(disktest.Sync, ""); n != 2 {
		t.Errorf("%d syncs, want 2: one of Create and the one that failed", n)
	}
	if _, err := a.Write(newWritten(1).some(1)); !errors.Is(err, ErrBroken) {
		t.Errorf("write: %v", err)
	}
	if _, err := a.Read(refs[2]); err != nil {
		t.Errorf("read: %v", err)
	}
}

func TestCreateThatFailsLeavesNothing(t *testing.T) {
	for _, op := range []disktest.Op{disktest.Create, disktest.Write, disktest.Sync, disktest.SyncDir} {
		disk := newFS()
		remove := disk.Fail(disktest.Rule{Op: op, Err: syscall.EROFS})
		if _, err := Create(disk, dir, 1); !errors.Is(err, syscall.EROFS) {
			t.Errorf("%d: %v", op, err)
		}
		remove()
		create(t, disk, 1)
	}
}

func TestNewerVersionIsRefused(t *testing.T) {
	disk := newFS()
	h := newHead(ActiveFile, 1)
	h.version = 2
	disk.SetBytes(active(1), h.append(nil))
	h.kind = SealedFile
	disk.SetBytes(sealed(2), h.append(nil))
	if _, _, err := Recover(disk, active(1), nil); !errors.Is(err, ErrVersion) {
		t.Errorf("active: %v", err)
	}
	if _, _, err := Open(disk, sealed(2), nil); !errors.Is(err, ErrVersion) {
		t.Errorf("sealed: %v", err)
	}
	if _, _, err := Seal(context.Background(), disk, dir, 1, nil, nil); !errors.Is(err, ErrVersion) {
		t.Errorf("seal: %v", err)
	}
	if names, _ := disk.ReadDir(dir); len(names) != 2 {
		t.Errorf("left: %q", names)
	}
}
