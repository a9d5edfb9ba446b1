package ledger

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestSet compares a set with a sorted slice, over sizes of several blocks.
func TestSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := set[int]{cmp: cmp.Compare[int]}
		var want []int
		span := rapid.SampledFrom([]int{10, 1000, 100_000}).Draw(t, "span")
		value := rapid.IntRange(0, span)
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				first, stride := value.Draw(t, "first"), rapid.SampledFrom([]int{-3, -1, 1, 7}).Draw(t, "stride")
				for i := range rapid.IntRange(1, 400).Draw(t, "n") {
					x := first + i*stride
					if at, found := slices.BinarySearch(want, x); !found {
						want = slices.Insert(want, at, x)
						s.insert(x)
					}
				}
			},
			"remove": func(t *rapid.T) {
				first, stride := rapid.IntRange(0, max(0, len(want)-1)).Draw(t, "first"), rapid.IntRange(0, 3).Draw(t, "stride")
				for range rapid.IntRange(1, 400).Draw(t, "n") {
					if first >= len(want) {
						break
					}
					s.remove(want[first])
					want = slices.Delete(want, first, first+1)
					first += stride
				}
			},
			"from": func(t *rapid.T) {
				x := value.Draw(t, "x")
				at, _ := slices.BinarySearch(want, x)
				if got := slices.Collect(s.from(x)); !slices.Equal(got, want[at:]) {
					t.Fatalf("from %d: got %d, want %d", x, got, want[at:])
				}
			},
			"": func(t *rapid.T) {
				if s.n != len(want) {
					t.Fatalf("n is %d, want %d", s.n, len(want))
				}
				for i, b := range s.blocks {
					if len(b) == 0 || len(b) > maxBlock || i > 0 && s.blocks[i-1][len(s.blocks[i-1])-1] >= b[0] {
						t.Fatalf("block %d of %d has %d elements, or is out of order", i, len(s.blocks), len(b))
					}
				}
			},
		})
	})
}
