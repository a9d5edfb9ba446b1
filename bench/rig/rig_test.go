package rig

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

func TestMessageIsAsLargeAsAsked(t *testing.T) {
	at := time.Unix(0, 1764000000000000000)
	for size := 80; size < 400; size++ {
		for _, n := range []uint64{1, 17, 1 << 40} {
			b := Message(nil, n, at, size)
			if len(b) != size {
				t.Fatalf("message %d of %d bytes has %d: %s", n, size, len(b), b)
			}
			if c := bytes.Count(b, []byte(Marker)); c != 1 || b[1] != Marker[0] {
				t.Fatalf("message %d of %d bytes has %d markers, the first not where it should be: %s", n, size, c, b)
			}
			var m struct {
				Bench int64
				N     uint64
				Text  string
			}
			if err := json.Unmarshal(b, &m); err != nil || m.Bench != at.UnixNano() || m.N != n {
				t.Fatalf("message %d of %d bytes reads as %+v, %v: %s", n, size, m, err, b)
			}
		}
	}
}

func TestMessagesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for n := range uint64(1000) {
		var m struct{ Text string }
		if err := json.Unmarshal(Message(nil, n+1, time.Unix(0, 1764000000000000000), 200), &m); err != nil {
			t.Fatal(err)
		}
		if seen[m.Text] {
			t.Fatalf("message %d has the text of an earlier one", n+1)
		}
		seen[m.Text] = true
	}
}
