package segment

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// sealedFile is a sealed file of about 90 KiB, of three blocks.
type sealedFile struct {
	data    []byte
	records map[string][]Record
	encoded map[string][]byte // by room and position
	all     int
	blocks  []span
	begin   int64 // of the directory
}

func newSealedFile(t *testing.T) *sealedFile {
	t.Helper()
	disk := newFS()
	a := create(t, disk, 1)
	records := newWritten(60).some(900)
	write(t, a, records...)
	s := seal(t, disk, 1, nil)
	f := &sealedFile{data: disk.Bytes(sealed(1)), records: byRoom(records), encoded: map[string][]byte{}, all: len(records)}
	f.blocks = s.dir.Load().blocks
	last := f.blocks[len(f.blocks)-1]
	f.begin = last.offset + int64(last.length)
	for _, r := range records {
		f.encoded[key(&r)], _ = appendRecord(nil, &r)
	}
	t.Logf("%d bytes, %d blocks, directory at %d", len(f.data), len(f.blocks), f.begin)
	return f
}

func key(r *Record) string {
	return string(appendString(nil, r.Room)) + string(rune(r.Seq))
}

// read opens data, reads all of it in every way, and returns what is missing and what was said of that.
func (f *sealedFile) read(t *testing.T, at int, data []byte) (missing []Record, damage []Damage) {
	t.Helper()
	s, _, err := Open(inBytes(data), sealed(1), NewCache(1<<20))
	if err != nil {
		t.Fatalf("damage at %d: %v", at, err)
	}
	defer s.Close()
	for room, events := range f.records {
		page, err := s.Read(Query{Room: room, Epoch: "e1", Max: 10_000})
		if err != nil || page.More {
			t.Fatalf("damage at %d: read %q: %v", at, room, err)
		}
		got := page.Records
		for i := range events {
			if len(got) == 0 || got[0].Seq != events[i].Seq {
				missing = append(missing, events[i])
				continue
			}
			if encoded, _ := appendRecord(nil, &got[0]); !bytes.Equal(encoded, f.encoded[key(&events[i])]) {
				t.Fatalf("damage at %d: %+v is not what was written", at, got[0])
			}
			got = got[1:]
		}
		if len(got) > 0 {
			t.Fatalf("damage at %d: room %q serves what was not written: %+v", at, room, got[0])
		}
		e := events[0]
		rec, ok, err := s.FindID(room, e.Event.ID, nil)
		lost := slices.ContainsFunc(missing, func(m Record) bool { return m.Room == room && m.Seq == e.Seq })
		if err != nil || ok == lost || ok && rec.Seq != e.Seq {
			t.Fatalf("damage at %d: find %q in %q: %v, %v", at, e.Event.ID, room, ok, err)
		}
	}
	return missing, s.Damage()
}

func TestEveryByteOfASealedFile(t *testing.T) {
	f := newSealedFile(t)
	r := rand.New(rand.NewPCG(13, 14))
	data := slices.Clone(f.data)
	step := stride(131, 2003)
	for at := r.IntN(step); at < len(data); at += step {
		data[at] ^= byte(1 + r.IntN(255))
		missing, damage := f.read(t, at, data)
		found, err := VerifySealed(t.Context(), inBytes(data), sealed(1))
		data[at] = f.data[at]
		if err != nil || len(found) != 1 || !covers(found[0], at) {
			t.Fatalf("byte %d: verify: %v, %v", at, found, err)
		}
		inBlock := at >= framesBegin && int64(at) < f.begin
		if !inBlock && len(missing) > 0 || found[0].Lost != inBlock {
			t.Fatalf("byte %d: %d records are missing, verify: %+v", at, len(missing), found[0])
		}
		// What the directory does not need is noticed by Verify alone.
		if inBlock && (len(missing) == 0 || len(damage) == 0 || !covers(damage[0], at)) {
			t.Fatalf("byte %d: %d records are missing, damage %v", at, len(missing), damage)
		}
		if len(missing) == f.all {
			t.Fatalf("byte %d costs %d of %d records", at, len(missing), f.all)
		}
		for _, m := range missing {
			named := slices.ContainsFunc(found[0].Rooms, func(s Span) bool {
				return s.Room == m.Room && s.Epoch == m.Epoch && s.First <= m.Seq && m.Seq <= s.Last
			})
			if !named {
				t.Fatalf("byte %d: %q %d is missing, and not named by %+v", at, m.Room, m.Seq, found[0])
			}
		}
	}
}

func TestEveryLengthOfASealedFile(t *testing.T) {
	f := newSealedFile(t)
	step := stride(151, 2999)
	for n := len(f.data) - 1; n >= 0; n -= step {
		missing, damage := f.read(t, n, f.data[:n])
		if len(damage) == 0 {
			t.Fatalf("cut to %d: no damage", n)
		}
		whole := 0
		for _, b := range f.blocks {
			if b.offset+int64(b.length) <= int64(n) {
				whole++
			}
		}
		if (len(missing) == 0) != (whole == len(f.blocks)) || whole > 0 && len(missing) == f.all {
			t.Fatalf("cut to %d: %d of %d blocks are whole, %d records are missing", n, whole, len(f.blocks), len(missing))
		}
		if lost := slices.ContainsFunc(damage, func(d Damage) bool { return d.Lost }); len(missing) > 0 && !lost {
			t.Fatalf("cut to %d: %d records are missing, damage %v", n, len(missing), damage)
		}
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
