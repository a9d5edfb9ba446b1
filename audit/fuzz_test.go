package audit

import (
	"bytes"
	"testing"
)

// FuzzRecord: what is accepted is what would be written.
func FuzzRecord(f *testing.F) {
	var b [recordSize]byte
	for _, r := range []record{{action: "a"}, {action: "moderate.mute", index: 7, at: -5, off: 99, n: MaxDetail}} {
		r.put(b[:])
		f.Add(b[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == recordSize {
			forge(b) // or nothing would get beyond the checksum
		}
		r, err := parseRecord(b)
		if err != nil {
			return
		}
		var again [recordSize]byte
		r.put(again[:])
		if !bytes.Equal(b, again[:]) {
			t.Errorf("%x is read as %+v, which is written as %x", b, r, again)
		}
	})
}

// FuzzCheckpoints: any file splits into notes and a rest that are the file, and what is a checkpoint is written as it was read.
func FuzzCheckpoints(f *testing.F) {
	f.Add([]byte("test.example\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— test.example AAAA\n\nrest"))
	f.Fuzz(func(t *testing.T, b []byte) {
		notes, rest := splitNotes(b)
		var again []byte
		for _, n := range notes {
			again = append(append(again, n...), '\n')
			if c, err := parseCheckpoint(noteText(n)); err == nil && c.text() != noteText(n) {
				t.Errorf("%q is read as %+v", n, c)
			}
		}
		if again = append(again, rest...); !bytes.Equal(b, again) {
			t.Errorf("%q becomes %q", b, again)
		}
	})
}

// FuzzErasure: a set from outside never holds what cannot be.
func FuzzErasure(f *testing.F) {
	f.Add([]byte(`{"entries":[[0,3],[7,9]]}`), int64(10))
	f.Fuzz(func(t *testing.T, b []byte, index int64) {
		var s indexSet
		if index > 1<<16 {
			return
		}
		_ = s.addErasure(b, index)
		for i := range s.all() {
			if i < 0 || i >= index {
				t.Errorf("%q of entry %d names %d", b, index, i)
			}
		}
	})
}
