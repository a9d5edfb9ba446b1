package reaction

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/liveim/im"
)

func TestPassed(t *testing.T) {
	for _, tt := range []struct {
		at          []uint64
		every       uint64
		last, total uint64
		want        []uint64
	}{
		{[]uint64{10, 20}, 0, 0, 9, nil},
		{[]uint64{10, 20}, 0, 0, 10, []uint64{10}},
		{[]uint64{10, 20}, 0, 10, 19, nil},
		{[]uint64{10, 20}, 0, 0, 500, []uint64{10, 20}},
		{[]uint64{10, 20}, 0, 20, 500, nil},
		{[]uint64{20}, 10, 0, 25, []uint64{10, 20}},
		{nil, 10, 30, 20, nil},
		{nil, 1, im.MaxSeq - 1, im.MaxSeq, []uint64{im.MaxSeq}},
	} {
		o := Options{At: tt.at, Every: tt.every}
		if got := o.passed(tt.last, tt.total); !slices.Equal(got, tt.want) {
			t.Errorf("%v every %d, from %d to %d: %v, want %v", tt.at, tt.every, tt.last, tt.total, got, tt.want)
		}
	}
}

func TestPassedAgreesWithAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Options{At: rapid.SliceOf(rapid.Uint64Range(1, 300)).Draw(t, "at"), Every: rapid.Uint64Range(0, 40).Draw(t, "every")}
		last, total := rapid.Uint64Range(0, 300).Draw(t, "last"), rapid.Uint64Range(0, 300).Draw(t, "total")
		var want []uint64
		for n := last + 1; n <= total; n++ {
			if slices.Contains(o.At, n) || o.Every > 0 && n%o.Every == 0 {
				want = append(want, n)
			}
		}
		want = want[max(0, len(want)-maxAtOnce):]
		if got := o.passed(last, total); !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}
