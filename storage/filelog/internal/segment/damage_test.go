package segment

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/liveim/im/storage/filelog/internal/disk"
	"github.com/liveim/im/storage/filelog/internal/disk/disktest"
)

// stride is how many bytes lie between the positions that are damaged: 1 with IM_SOAK=1.
func stride(usual, race int) int {
	switch {
	case os.Getenv("IM_SOAK") == "1":
		return 1
	case raceEnabled:
		return race
	}
	return usual
}

// bytesFile is a disk.File and a disk.FS of one file that never changes, and costs nothing to open.
type bytesFile struct {
	disk.FS
	*bytes.Reader
}

func inBytes(b []byte) bytesFile { return bytesFile{Reader: bytes.NewReader(b)} }

func (f bytesFile) Open(string) (disk.File, error)        { return f, nil }
func (f bytesFile) WriteAt([]byte, int64) (int, error)    { return 0, syscall.EROFS }
func (f bytesFile) Sync() error                           { return syscall.EROFS }
func (f bytesFile) Truncate(int64) error                  { return syscall.EROFS }
func (f bytesFile) Size() (int64, error)                  { return f.Reader.Size(), nil }
func (f bytesFile) Close() error                          { return nil }
func (f bytesFile) ReadAt(b []byte, o int64) (int, error) { return f.Reader.ReadAt(b, o) }

// activeFile is an active file of about 64 KiB, with one frame and one sync per group.
type activeFile struct {
	data    []byte
	records []Record
	encoded [][]byte
	byRef   map[Ref]int
	frame   []int   // of each record
	ends    []int64 // of each frame
}

func newActiveFile(t *testing.T) *activeFile {
	t.Helper()
	disk := newFS()
	a := create(t, disk, 1)
	w := newWritten(20)
	f := &activeFile{byRef: map[Ref]int{}}
	for a.Size() < 64<<10 {
		group := w.some(1 + w.r.IntN(12))
		for i, ref := range write(t, a, group...) {
			f.byRef[ref] = len(f.records)
			encoded, _ := appendRecord(nil, &group[i])
			f.records, f.encoded, f.frame = append(f.records, group[i]), append(f.encoded, encoded), append(f.frame, len(f.ends))
		}
		f.ends = append(f.ends, a.Size())
	}
	f.data = disk.Bytes(active(1))
	return f
}

// scan reads data and checks that every record that is served is right. It returns which frames are whole.
func (f *activeFile) scan(t *testing.T, at int, data []byte) (Recovery, []bool) {
	t.Helper()
	served := make([]bool, len(f.records))
	last := -1
	r, err := Scan(t.Context(), inBytes(data), active(1), func(rec Record, ref Ref) error {
		i, ok := f.byRef[ref]
		encoded, _ := appendRecord(nil, &rec)
		if !ok || i <= last || !bytes.Equal(encoded, f.encoded[i]) {
			t.Fatalf("damage at %d: record %+v at %v is not what was written there", at, rec, ref)
		}
		last, served[i] = i, true
		return nil
	})
	if err != nil {
		t.Fatalf("damage at %d: %v", at, err)
	}
	whole := slices.Repeat([]bool{true}, len(f.ends))
	for i, ok := range served {
		whole[f.frame[i]] = whole[f.frame[i]] && ok
	}
	return r, whole
}

func TestEveryByteOfAnActiveFile(t *testing.T) {
	f := newActiveFile(t)
	r := rand.New(rand.NewPCG(7, 8))
	data := slices.Clone(f.data)
	for at := r.IntN(stride(17, 499)); at < len(data); at += stride(17, 499) {
		data[at] ^= byte(1 + r.IntN(255))
		found, whole := f.scan(t, at, data)
		data[at] = f.data[at]

		damage := found.Damage
		if found.Tail != nil {
			damage = append(damage, *found.Tail)
		}
		if len(damage) != 1 || !covers(damage[0], at) {
			t.Fatalf("byte %d: damage %v", at, damage)
		}
		frame := len(f.ends) // none
		if at >= framesBegin {
			frame, _ = slices.BinarySearch(f.ends, int64(at)+1)
		}
		for i := range whole {
			if i != frame && !whole[i] {
				t.Fatalf("byte %d, in frame %d, costs frame %d: %v", at, frame, i, damage)
			}
		}
		lastOne := frame == len(f.ends)-1
		if damage[0].Lost != (at >= framesBegin) || damage[0].Torn != lastOne || (found.Tail != nil) != lastOne {
			t.Fatalf("byte %d, in frame %d of %d: %+v", at, frame, len(f.ends), damage[0])
		}
	}
}

func covers(d Damage, at int) bool {
	return d.Offset <= int64(at) && int64(at) < d.Offset+d.Length && d.Reason != ""
}

func TestEveryLengthOfAnActiveFile(t *testing.T) {
	f := newActiveFile(t)
	step := stride(31, 997)
	for n := len(f.data); n >= 0; n -= step {
		found, whole := f.scan(t, n, f.data[:n])
		frames, onEnd := slices.BinarySearch(f.ends, int64(n))
		if onEnd {
			frames++
		}
		for i := range whole {
			if whole[i] != (i < frames) {
				t.Fatalf("cut to %d: frame %d of %d is served: %v", n, i, frames, whole[i])
			}
		}
		switch {
		case onEnd || n == framesBegin:
			if found.Tail != nil || len(found.Damage) > 0 {
				t.Fatalf("cut to %d, the end of a frame: %+v", n, found)
			}
		case n < framesBegin:
			if len(found.Damage) == 0 {
				t.Fatalf("cut to %d: no damage", n)
			}
		case found.Tail == nil || found.Tail.Offset+found.Tail.Length != int64(n) || len(found.Damage) > 0:
			t.Fatalf("cut to %d: %+v", n, found)
		}
	}
}

// Recover cuts the torn end off, and the file goes on.
func TestRecoverGoesOn(t *testing.T) {
	f := newActiveFile(t)
	r := rand.New(rand.NewPCG(9, 10))
	for i := range 60 {
		data := slices.Clone(f.data[:r.IntN(len(f.data))])
		if i%3 == 0 && len(data) > 0 {
			data[r.IntN(len(data))] ^= 0x10
		}
		if i%7 == 0 {
			data = append(data, make([]byte, 5000)...)
		}
		disk := newFS()
		disk.SetBytes(active(1), data)
		count := func(Record, Ref) error { return nil }
		a, found, err := Recover(disk, active(1), count)
		if err != nil {
			t.Fatal(err)
		}
		if (found.Cut > 0) != (found.Tail != nil) {
			t.Errorf("cut %d, tail %v", found.Cut, found.Tail)
		}
		write(t, a, f.records[:3]...)
		a.Close()
		again, err := Scan(t.Context(), disk.Crash(nil), active(1), count)
		if err != nil || again.Tail != nil || again.Records != found.Records+3 || len(again.Damage) > len(found.Damage) {
			t.Fatalf("afterwards %+v, %v; before %+v", again, err, found)
		}
	}
}

// What cannot be read may come back: nothing is cut off.
func TestRecoverDoesNotCutWhatCannotBeRead(t *testing.T) {
	f := newActiveFile(t)
	disk := newFS()
	disk.SetBytes(active(1), f.data)
	remove := disk.Fail(disktest.Rule{Op: disktest.Read, Err: syscall.EIO})
	if _, _, err := Recover(disk, active(1), nil); err == nil {
		t.Fatal("no error")
	}
	remove()
	a, found, err := Recover(disk, active(1), func(Record, Ref) error { return nil })
	if err != nil || found.Records != len(f.records) {
		t.Fatalf("%+v, %v", found, err)
	}
	a.Close()
}

// Somebody may send as a message what looks like a frame, and then the frame that holds the message is damaged.
func TestBodiesDoNotPassForFrames(t *testing.T) {
	disk := newFS()
	a := create(t, disk, 1)
	w := newWritten(1)
	forged := reserveFrame(nil)
	trick := w.event("r")
	trick.Event.ID = "forged"
	forged, _ = appendChecked(forged, &trick)
	putFrame(forged, frameHeader{kind: recordFrame, salt: 4711, number: 2})
	carrier := w.event("r")
	carrier.Event.Body = slices.Repeat(forged, 8)
	write(t, a, w.event("r"))
	refs := write(t, a, carrier)
	write(t, a, w.event("r"))
	data := disk.Bytes(active(1))
	check := func(what string) {
		t.Helper()
		found, err := Scan(t.Context(), inBytes(data), active(1), func(r Record, _ Ref) error {
			if r.Event.ID == "forged" {
				t.Errorf("%s: the forged event is served", what)
			}
			return nil
		})
		if err != nil || found.Records != 2 {
			t.Errorf("%s: %+v, %v", what, found, err)
		}
	}
	clear(data[refs[0].Offset-frameHead : refs[0].Offset+20])
	check("a damaged frame")
	clear(data[:framesBegin])
	check("and both headers lost")
}

func TestLossOfPower(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 200 {
		disk := newFS()
		a := create(t, disk, 1)
		w := newWritten(5)
		var all []Record
		synced := 0
		for range 1 + r.IntN(20) {
			group := w.some(1 + r.IntN(200))
			if _, err := a.Write(group); err != nil {
				t.Fatal(err)
			}
			all = append(all, group...)
			if r.IntN(3) > 0 {
				if err := a.Sync(); err != nil {
					t.Fatal(err)
				}
				synced = len(all)
			}
		}
		after := disk.Crash(r)
		next := 0
		b, found, err := Recover(after, active(1), func(rec Record, _ Ref) error {
			for next < len(all) && all[next].Event.ID != rec.Event.ID {
				if next < synced {
					t.Fatalf("record %d of %d synced ones is missing", next, synced)
				}
				next++
			}
			if next == len(all) {
				t.Fatal("a record that nobody wrote, or one twice")
			}
			next++
			return nil
		})
		if err != nil || next < synced {
			t.Fatalf("%d of %d: %v", next, synced, err)
		}
		b.Close()
		for _, d := range found.Damage {
			if !d.Torn {
				t.Errorf("a torn write is taken for damage: %v", d)
			}
		}
	}
}

var _ io.ReaderAt = bytesFile{}
