package segment

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/liveim/im/storage/filelog/internal/disk/disktest"
)

// activeFile is an active file of about 64 KiB, with one frame per group. Each frame of the first three quarters was synced,
// and no later one.
type activeFile struct {
	data    []byte
	records []Record
	encoded [][]byte
	byRef   map[Ref]int
	frame   []int   // of each record
	ends    []int64 // of each frame
	synced  int64   // the end of the last frame that was: what lies before it was acknowledged
}

func newActiveFile(t *testing.T) *activeFile {
	t.Helper()
	disk := newFS()
	a := create(t, disk, 1)
	w := newWritten(20)
	f := &activeFile{byRef: map[Ref]int{}}
	for a.Size() < 64<<10 {
		group := w.some(1 + w.r.IntN(12))
		refs, err := a.Write(group)
		if err == nil && a.Size() < 48<<10 {
			err = a.Sync()
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, ref := range refs {
			f.byRef[ref] = len(f.records)
			encoded, _ := appendRecord(nil, &group[i])
			f.records, f.encoded, f.frame = append(f.records, group[i]), append(f.encoded, encoded), append(f.frame, len(f.ends))
		}
		f.ends, f.synced = append(f.ends, a.Size()), a.Synced()
	}
	f.data = disk.Bytes(active(1))
	return f
}

// frameAt returns the number of the frame that holds a byte, or how many frames there are if none does.
func (f *activeFile) frameAt(at int) int {
	if at < framesBegin {
		return len(f.ends)
	}
	frame, _ := slices.BinarySearch(f.ends, int64(at)+1)
	return frame
}

// activeRun recovers the same file again and again, damaged in ever other ways.
type activeRun struct {
	*activeFile
	scratch []byte
	whole   []bool // of each frame, whether all its records were served the last time
}

// recover recovers the file from data. It checks that every record that is served is right and that nothing is left behind the last
// frame that is whole.
func (f *activeRun) recover(t *testing.T, at int, data []byte) Recovery {
	t.Helper()
	f.whole = slices.Repeat([]bool{true}, len(f.ends))
	next := 0
	skip := func(to int) {
		for ; next < to; next++ {
			f.whole[f.frame[next]] = false
		}
	}
	file := &memoryFile{data: data}
	a, found, err := Recover(file, active(1), func(rec Record, ref Ref) error {
		i, ok := f.byRef[ref]
		f.scratch, _ = appendRecord(f.scratch[:0], &rec)
		if !ok || i < next || !bytes.Equal(f.scratch, f.encoded[i]) {
			t.Fatalf("damage at %d: record %+v at %v is not what was written there", at, rec, ref)
		}
		skip(i)
		next = i + 1
		return nil
	})
	if err != nil {
		t.Fatalf("damage at %d: %v", at, err)
	}
	skip(len(f.records))
	end := int64(framesBegin)
	for i, whole := range f.whole {
		if whole {
			end = f.ends[i]
		}
	}
	if a.Size() != end || int64(len(file.data)) != end || file.unsynced || found.Cut != max(0, int64(len(data))-end) {
		t.Fatalf("damage at %d: of %d bytes %d are left, the last whole frame ends at %d: %+v", at, len(data), len(file.data), end, found)
	}
	a.Close()
	return found
}

func TestEveryByteOfAnActiveFile(t *testing.T) {
	f := newActiveFile(t)
	places(t, len(f.data), 17, 499, func(t *testing.T, r *rand.Rand, share []int) {
		run := activeRun{activeFile: f}
		data := slices.Clone(f.data)
		for _, at := range share {
			data[at] ^= byte(1 + r.IntN(255))
			found := run.recover(t, at, data)
			data[at] = f.data[at]
			run.checkByte(t, at, &found)
		}
	})
}

// checkByte checks what was found after one byte was changed.
func (f *activeRun) checkByte(t *testing.T, at int, found *Recovery) {
	t.Helper()
	damage := found.Damage
	if found.Tail != nil {
		damage = append(damage, *found.Tail)
	}
	if len(damage) != 1 || !covers(damage[0], at) {
		t.Fatalf("byte %d: damage %v", at, damage)
	}
	frame := f.frameAt(at)
	for i := range f.whole {
		if f.whole[i] != (i != frame) {
			t.Fatalf("byte %d, in frame %d: frame %d is whole: %v; %v", at, frame, i, f.whole[i], damage)
		}
	}
	inFrame, last := at >= framesBegin, frame == len(f.ends)-1
	// What was synced is told apart from a torn write as long as a later frame says so.
	torn := inFrame && (last || int64(at) >= f.synced)
	if damage[0].Lost != inFrame || damage[0].Torn != torn || (found.Tail != nil) != last {
		t.Fatalf("byte %d, in frame %d of %d, %d were synced: %+v", at, frame, len(f.ends), f.synced, damage[0])
	}
}

func covers(d Damage, at int) bool {
	return d.Offset <= int64(at) && int64(at) < d.Offset+d.Length && d.Reason != ""
}

func TestEveryLengthOfAnActiveFile(t *testing.T) {
	f := newActiveFile(t)
	places(t, len(f.data)+1, 31, 997, func(t *testing.T, _ *rand.Rand, share []int) {
		run := activeRun{activeFile: f}
		for _, n := range share {
			found := run.recover(t, n, f.data[:n:n])
			run.checkLength(t, n, &found)
		}
	})
}

// checkLength checks what was found after the file was cut to a length: all frames that end before it are served. So what was
// acknowledged is lost only if the file is cut below it, which a loss of power does not do.
func (f *activeRun) checkLength(t *testing.T, n int, found *Recovery) {
	t.Helper()
	frames, onEnd := slices.BinarySearch(f.ends, int64(n))
	if onEnd {
		frames++
	}
	for i := range f.whole {
		if f.whole[i] != (i < frames) {
			t.Fatalf("cut to %d: frame %d of %d is served: %v", n, i, frames, f.whole[i])
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
	case found.Tail == nil || !found.Tail.Torn || found.Tail.Offset+found.Tail.Length != int64(n) || len(found.Damage) > 0:
		t.Fatalf("cut to %d: %+v", n, found)
	}
}

// Recover cuts the torn end off, and the file goes on.
func TestRecoverGoesOn(t *testing.T) {
	f := newActiveFile(t)
	r := rand.New(rand.NewPCG(9, 10))
	rounds := 60
	if soak() {
		rounds = 10_000
	}
	for i := range rounds {
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
	rounds := 200
	if soak() {
		rounds = 5000
	}
	for range rounds {
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
