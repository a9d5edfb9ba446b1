package segment

import (
	"bytes"
	"runtime"
	"testing"
)

// FuzzRecord: what decodes encodes to the same meaning, and nothing allocates more than a few times the input.
func FuzzRecord(f *testing.F) {
	for _, r := range kinds() {
		if b, err := appendRecord(nil, &r); err == nil && len(b) < 4096 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		again, err := appendRecord(nil, &r)
		if err != nil {
			t.Fatal(err)
		}
		second, err := decodeRecord(again)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "decoded twice", second, r)
	})
}

// FuzzFrames: whatever lies in a file, a scan ends, serves what has checksums, and says what it passed over.
func FuzzFrames(f *testing.F) {
	fsys := newFS()
	a := create(f, fsys, 1)
	w := newWritten(3)
	for range 3 {
		write(f, a, w.some(2)...)
	}
	data := fsys.Bytes(active(1))
	f.Add(data)
	f.Add(data[:len(data)-5])
	f.Add(data[framesBegin:])
	f.Add(append(bytes.Clone(data[:200]), data...))
	f.Fuzz(func(t *testing.T, b []byte) {
		within(t, len(b), func() {
			n, last := 0, int64(-1)
			r, err := Scan(t.Context(), inBytes(b), active(1), func(_ Record, ref Ref) error {
				if ref.Offset <= last || ref.Offset+int64(ref.Length) > int64(len(b)) {
					t.Fatalf("a record at %v, after %d", ref, last)
				}
				last = ref.Offset
				n++
				return nil
			})
			if err == nil && r.Records != n {
				t.Fatalf("%d records, served %d", r.Records, n)
			}
		})
	})
}

// FuzzSealed: the parts of the directory of a sealed file, and a block.
func FuzzSealed(f *testing.F) {
	fsys := newFS()
	a := create(f, fsys, 1)
	write(f, a, newWritten(5).some(40)...)
	s := seal(f, fsys, 1, nil)
	d := s.dir.Load()
	for _, part := range []struct {
		kind byte
		at   span
	}{{pageFrame, d.pages[0].span}, {idFrame, d.buckets[0]}, {blockFrame, d.blocks[0]}} {
		b, err := readFrame(s.file, s.head.salt, part.kind, part.at)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(d.appendIndex(nil))
	f.Add(appendPast(nil, []Damage{{Rooms: []Span{{"r", "e", 1, 2}}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		within(t, len(b), func() {
			decodeIndex(b, 1<<30)
			decodePage(b, 1000)
			candidates(b, 7)
			parseTrailer(b)
			parseHead(b)
			if raw, err := decodeBlock(b); err == nil {
				cutRecords(raw)
			}
		})
	})
}

// FuzzSealedFile: a whole file opens or fails, and then reads or fails.
func FuzzSealedFile(f *testing.F) {
	fsys := newFS()
	a := create(f, fsys, 1)
	write(f, a, newWritten(3).some(10)...)
	seal(f, fsys, 1, nil)
	data := fsys.Bytes(sealed(1))
	f.Add(data)
	f.Add(data[:len(data)-tailBytes*2])
	f.Fuzz(func(t *testing.T, b []byte) {
		within(t, len(b), func() {
			s, _, err := Open(inBytes(b), sealed(1), nil)
			if err != nil {
				return
			}
			defer s.Close()
			for info, err := range s.Rooms() {
				if err != nil {
					return
				}
				s.Read(Query{Room: info.Room, Epoch: info.Epoch, Max: 10})
				s.FindID(info.Room, "id", nil)
			}
			s.Verify(t.Context())
		})
	})
}

// within fails if fn allocates out of proportion to its input.
func within(t *testing.T, input int, fn func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	if got, bound := after.TotalAlloc-before.TotalAlloc, uint64(32<<20+2000*input); got > bound {
		t.Errorf("%d bytes of input allocate %d bytes, more than %d", input, got, bound)
	}
}
