package ws

import (
	"slices"
	"testing"
	"unicode/utf8"
)

// TestUTF8AllSequences tries every sequence of up to four bytes out of those at
// which the rules change.
func TestUTF8AllSequences(t *testing.T) {
	edges := []byte{
		0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF,
		0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
	}
	var seq []byte
	var try func(depth int)
	try = func(depth int) {
		checkUTF8(t, seq)
		if depth == 0 {
			return
		}
		for _, c := range edges {
			seq = append(seq, c)
			try(depth - 1)
			seq = seq[:len(seq)-1]
		}
	}
	try(4)
}

func checkUTF8(t *testing.T, seq []byte) {
	t.Helper()
	want := utf8.Valid(seq)
	var at, by utf8State
	gotAt := at.feed(seq)
	gotBy := true
	for i := range seq {
		gotBy = gotBy && by.feed(seq[i:i+1])
	}
	if gotAt != gotBy || (gotAt && at.complete()) != want {
		t.Fatalf("% x: whole %t, bytewise %t, complete %t, want valid %t", seq, gotAt, gotBy, at.complete(), want)
	}
	// What is not refused yet must have some valid continuation.
	if gotAt && !at.complete() {
		fixed := slices.Clone(seq)
		for s := at; s.need > 0; {
			fixed = append(fixed, s.lo)
			s.step(s.lo)
		}
		if !utf8.Valid(fixed) {
			t.Fatalf("% x cannot become valid, but was not refused", seq)
		}
	}
}

func TestUTF8SplitEverywhere(t *testing.T) {
	for _, s := range append(slices.Clone(validUTF8), invalidUTF8...) {
		s = "κ" + s + "xyz"
		for i := range s {
			for j := i; j < len(s); j++ {
				var state utf8State
				got := state.feed([]byte(s[:i])) && state.feed([]byte(s[i:j])) && state.feed([]byte(s[j:])) && state.complete()
				if got != utf8.ValidString(s) {
					t.Errorf("%q split at %d and %d: %t", s, i, j, got)
				}
			}
		}
	}
}
