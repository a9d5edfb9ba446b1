package segment

import (
	"reflect"
	"runtime"
	"testing"
)

// checkSkim compares what skim says of bytes with what decodeRecord does.
func checkSkim(t *testing.T, b []byte) {
	t.Helper()
	s, err := skim(b)
	r, wrong := decodeRecord(b)
	if (err == nil) != (wrong == nil) {
		t.Fatalf("skim says %v, decodeRecord %v of %q", err, wrong, b)
	}
	if err != nil {
		return
	}
	if s.kind != r.Type || s.seq != r.Seq || string(s.room) != r.Room || string(s.epoch) != r.Epoch {
		t.Errorf("%+v, want %+v", s, r)
	}
	if s.kind != Event {
		return
	}
	if string(s.id) != r.Event.ID || s.class != r.Event.Class || !reflect.DeepEqual(s.at, r.Event.At) || s.volatiles != r.Volatiles || s.durables != r.Durables {
		t.Errorf("%+v, want %+v %+v", s, r, r.Event)
	}
}

func FuzzSkim(f *testing.F) {
	w := newWritten(3)
	for _, r := range append(w.some(5), oneOfEach()...) {
		b, err := appendRecord(nil, &r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkSkim(t, b) })
}

func oneOfEach() []Record {
	return []Record{
		{Type: Snapshot, Room: "r", Epoch: "e", Seq: 7, Data: []byte("state")}, {Type: Snapshot, Room: "r", Epoch: "e"},
		{Type: Abort, Room: "r", Epoch: "e", Seq: 1 << 40}, {Type: Reserve, Room: "r", Epoch: "e", Seq: 3},
		{Type: Meta, Room: "r", Epoch: "e", Seq: 9, Trimmed: 2, Volatiles: 300, Durables: 4}, {Type: Closed},
	}
}

// Any byte that flips in a record is seen by skim as decodeRecord sees it.
func TestSkimIsDecode(t *testing.T) {
	w := newWritten(3)
	for _, r := range append(w.some(20), oneOfEach()...) {
		b, err := appendRecord(nil, &r)
		if err != nil {
			t.Fatal(err)
		}
		checkSkim(t, b)
		for i := range b {
			for _, flip := range []byte{1, 0x80, 0xff} {
				b[i] ^= flip
				checkSkim(t, b)
				b[i] ^= flip
			}
			checkSkim(t, b[:i])
		}
	}
}

// What sealing allocates does not grow with each record.
func TestSealAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	fsys := newFS()
	a := create(t, fsys, 1)
	w := newWritten(20)
	const events = 20_000
	for range events / 500 {
		if _, err := a.Write(w.some(500)); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Sync(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	seal(t, fsys, 1, nil)
	runtime.ReadMemStats(&after)
	if n := after.Mallocs - before.Mallocs; n > events/5 {
		t.Errorf("%d allocations for %d events", n, events)
	}
}
