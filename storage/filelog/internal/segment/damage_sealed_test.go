package segment

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// sealedFile is a sealed file of about 64 KiB, of four blocks.
type sealedFile struct {
	data    []byte
	blocks  []span
	begin   int64 // of the directory
	records []Record
	encoded [][]byte
	block   []int            // of each record, its place in blocks
	rooms   map[string][]int // the records of each room, in order
}

func newSealedFile(t *testing.T) *sealedFile {
	t.Helper()
	disk := newFS()
	a := create(t, disk, 1)
	f := &sealedFile{records: newWritten(60).some(600), rooms: map[string][]int{}}
	for i := range f.records { // what compresses well makes more blocks of as many bytes
		f.records[i].Event.Body = fmt.Appendf(nil, `{"text":%s,"again":"%s"}`, f.records[i].Event.Body, strings.Repeat("6", 200))
	}
	write(t, a, f.records...)
	s := seal(t, disk, 1, nil)
	f.data, f.blocks = disk.Bytes(sealed(1)), s.dir.Load().blocks
	last := f.blocks[len(f.blocks)-1]
	f.begin = last.offset + int64(last.length)
	for i, r := range f.records {
		encoded, _ := appendRecord(nil, &r)
		f.encoded = append(f.encoded, encoded)
		f.rooms[r.Room] = append(f.rooms[r.Room], i)
		f.block = append(f.block, blockOf(t, s, &r))
	}
	if len(f.blocks) != 4 || len(f.data) < 64<<10 {
		t.Errorf("%d bytes, %d blocks", len(f.data), len(f.blocks))
	}
	return f
}

// blockOf returns the number of the block that holds a record.
func blockOf(t *testing.T, s *Sealed, r *Record) int {
	t.Helper()
	entries, err := s.room(r.Room)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		for _, p := range e.events {
			if p.first <= r.Seq && r.Seq <= p.last {
				return int(p.block)
			}
		}
	}
	t.Fatalf("%q %d is in no block", r.Room, r.Seq)
	return 0
}

// sealedRun opens the same file again and again, damaged in ever other ways.
type sealedRun struct {
	*sealedFile
	scratch []byte
	missing []bool // of each record, the last time
}

// read opens data and reads all of it. It checks that all that is served is right, and that what is missing is what lay in
// the blocks that are lost, all of it and nothing else. It returns the damage that was met on the way.
func (f *sealedRun) read(t *testing.T, at int, data []byte, lost func(block int) bool) []Damage {
	t.Helper()
	s, _, err := Open(inBytes(data), sealed(1), NewCache(1<<20))
	if err != nil {
		t.Fatalf("damage at %d: %v", at, err)
	}
	defer s.Close()
	f.missing = make([]bool, len(f.records))
	for room, events := range f.rooms {
		page, err := s.Read(Query{Room: room, Epoch: "e1", Max: 10_000})
		if err != nil || page.More {
			t.Fatalf("damage at %d: read %q: %v", at, room, err)
		}
		f.check(t, at, events, page.Records)
	}
	for i, missing := range f.missing {
		if missing != lost(f.block[i]) {
			t.Fatalf("damage at %d: %q %d, in block %d, is missing: %v", at, f.records[i].Room, f.records[i].Seq, f.block[i], missing)
		}
	}
	// Other ids at each place: all of them together would cost more than the rest.
	const ids = 5
	for i := range ids {
		i := (at + i*len(f.records)/ids) % len(f.records)
		want := &f.records[i]
		got, ok, err := s.FindID(want.Room, want.Event.ID, nil)
		if err != nil || ok == f.missing[i] || ok && !f.is(&got, i) {
			t.Fatalf("damage at %d: find %q in %q: %v, %v, %+v", at, want.Event.ID, want.Room, ok, err, got)
		}
	}
	return s.Damage()
}

// check compares what was read of a room with its records, and notes those that are missing.
func (f *sealedRun) check(t *testing.T, at int, events []int, got []Record) {
	t.Helper()
	for _, i := range events {
		if len(got) == 0 || got[0].Seq != f.records[i].Seq {
			f.missing[i] = true
			continue
		}
		if !f.is(&got[0], i) {
			t.Fatalf("damage at %d: %+v is not what was written", at, got[0])
		}
		got = got[1:]
	}
	if len(got) > 0 {
		t.Fatalf("damage at %d: what was not written is served: %+v", at, got[0])
	}
}

func (f *sealedRun) is(r *Record, i int) bool {
	f.scratch, _ = appendRecord(f.scratch[:0], r)
	return bytes.Equal(f.scratch, f.encoded[i])
}

// blockAt returns the number of the block that holds a byte, or -1.
func (f *sealedFile) blockAt(at int) int {
	return slices.IndexFunc(f.blocks, func(b span) bool {
		return b.offset <= int64(at) && int64(at) < b.offset+int64(b.length)
	})
}

func TestEveryByteOfASealedFile(t *testing.T) {
	f := newSealedFile(t)
	places(t, len(f.data), 131, 2003, func(t *testing.T, r *rand.Rand, share []int) {
		run := sealedRun{sealedFile: f}
		data := slices.Clone(f.data)
		for _, at := range share {
			data[at] ^= byte(1 + r.IntN(255))
			run.checkByte(t, at, data)
			data[at] = f.data[at]
		}
	})
}

func (f *sealedRun) checkByte(t *testing.T, at int, data []byte) {
	t.Helper()
	block := f.blockAt(at)
	inBlock := block >= 0
	damage := f.read(t, at, data, func(b int) bool { return b == block })
	found, err := VerifySealed(t.Context(), inBytes(data), sealed(1))
	if err != nil || len(found) != 1 || !covers(found[0], at) || found[0].Lost != inBlock {
		t.Fatalf("byte %d, in block %d: verify: %+v, %v", at, block, found, err)
	}
	// What the directory does not need is noticed by Verify alone.
	if inBlock && (len(damage) == 0 || !covers(damage[0], at)) {
		t.Fatalf("byte %d: damage %v", at, damage)
	}
	f.checkNamed(t, at, found[0].Rooms)
}

// checkNamed checks that all that is missing is named.
func (f *sealedRun) checkNamed(t *testing.T, at int, rooms []Span) {
	t.Helper()
	for i, missing := range f.missing {
		r := &f.records[i]
		named := func(s Span) bool {
			return s.Room == r.Room && s.Epoch == r.Epoch && s.First <= r.Seq && r.Seq <= s.Last
		}
		if missing && !slices.ContainsFunc(rooms, named) {
			t.Fatalf("damage at %d: %q %d is missing, and not named by %+v", at, r.Room, r.Seq, rooms)
		}
	}
}

func TestEveryLengthOfASealedFile(t *testing.T) {
	f := newSealedFile(t)
	places(t, len(f.data), 151, 2999, func(t *testing.T, _ *rand.Rand, share []int) {
		run := sealedRun{sealedFile: f}
		for _, n := range share {
			run.checkLength(t, n)
		}
	})
}

// Where a header ends, two things are wrong at one place, and the one that costs records is told.
func TestSealedFileCutWithinItsHeader(t *testing.T) {
	run := sealedRun{sealedFile: newSealedFile(t)}
	for _, n := range []int{0, 1, headBytes - 1, headBytes, headBytes + 1, framesBegin - 1, framesBegin, framesBegin + 1} {
		run.checkLength(t, n)
	}
}

// checkLength cuts the file to a length: the blocks that end before it are served, and what is wrong is said to lie where the file
// ends now. That is true of a trailer, too, which is looked for there.
func (f *sealedRun) checkLength(t *testing.T, n int) {
	t.Helper()
	damage := f.read(t, n, f.data[:n], func(b int) bool {
		return f.blocks[b].offset+int64(f.blocks[b].length) > int64(n)
	})
	atTheEnd := func(d Damage) bool { return d.Offset+d.Length >= int64(n)-tailBytes && d.Reason != "" }
	if !slices.ContainsFunc(damage, atTheEnd) {
		t.Fatalf("cut to %d: damage %v", n, damage)
	}
	lost := slices.ContainsFunc(damage, func(d Damage) bool { return d.Lost })
	if slices.Contains(f.missing, true) && !lost {
		t.Fatalf("cut to %d: records are missing, damage %v", n, damage)
	}
}

// Damage to the source is remembered by the sealed file.
func TestSealRemembersDamage(t *testing.T) {
	f := newActiveFile(t)
	disk := newFS()
	data := slices.Clone(f.data)
	data[f.ends[3]+frameHead+50] ^= 1
	disk.SetBytes(active(1), data)
	s, damage, err := Seal(t.Context(), disk, dir, 1, nil, nil)
	if err != nil || len(damage) != 1 {
		t.Fatal(damage, err)
	}
	s.Close()
	disk.Remove(active(1))
	for range 2 {
		s, known, err := Open(disk, sealed(1), nil)
		if err != nil || len(known) != 1 || !known[0].Past || known[0].Offset != damage[0].Offset || known[0].Reason != damage[0].Reason || len(known[0].Rooms) != len(damage[0].Rooms) {
			t.Fatal(known, err)
		}
		s.Close()
		s, fresh, err := Seal(t.Context(), disk, dir, 1, nil, nil)
		if err != nil || len(fresh) > 0 {
			t.Fatal(fresh, err)
		}
		s.Close()
	}
}
