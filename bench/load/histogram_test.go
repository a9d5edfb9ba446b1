//go:build linux

package load

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramQuantiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []time.Duration
	for range 20000 {
		d := time.Duration(rng.ExpFloat64() * float64(5*time.Millisecond))
		h.Record(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(0, int(q*float64(len(all)))-1)]
		if got := h.Quantile(q); got < want-want/100-1 || got > want+want/100+1 {
			t.Errorf("quantile %g is %v, want %v within 1 %%", q, got, want)
		}
	}
	if h.Total() != 20000 {
		t.Errorf("%d were recorded", h.Total())
	}
}

func TestHistogramEdges(t *testing.T) {
	var h Histogram
	if q := h.Quantile(0.5); q != 0 {
		t.Errorf("the median of nothing is %v", q)
	}
	h.Record(-time.Second)
	if q := h.Quantile(1); q != 0 {
		t.Errorf("a time that is negative counts as %v", q)
	}
	h.Record(1<<63 - 1)
	if q := h.Quantile(1); q < 1<<62 {
		t.Errorf("the longest time counts as %v", q)
	}
	for v := range uint64(1 << 12) {
		if m := middle(bucket(v)); m+m/128+1 < v || v+v/128+1 < m {
			t.Fatalf("%d is counted as %d", v, m)
		}
	}
}
