package load

import (
	"math/bits"
	"time"
)

// Histogram counts times in buckets that are at most 1/128 wide, relative to the time.
// The zero value is empty. It is not safe for use by several goroutines.
type Histogram struct {
	buckets [(64 - fine + 1) << fine]uint64
	total   uint64
}

// fine is the number of bits of a time that matter.
const fine = 7

// Record adds a time; a negative one counts as 0, since clocks have their grain.
func (h *Histogram) Record(d time.Duration) {
	h.buckets[bucket(uint64(max(d, 0)))]++
	h.total++
}

// Total is how many times were recorded.
func (h *Histogram) Total() uint64 { return h.total }

// Quantile returns the time that a part q of the recorded ones, 0 to 1, does not exceed. It is
// 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	var below uint64
	for i, n := range h.buckets {
		below += n
		if n > 0 && below >= max(rank, 1) {
			return time.Duration(middle(i))
		}
	}
	return 0
}

// bucket finds where v is counted: the first 2^(fine+1) values have their own buckets.
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-fine-1, 0)
	return shift<<fine + int(v>>shift)
}

// middle is the value in the middle of a bucket.
func middle(i int) uint64 {
	shift := max(i>>fine-1, 0)
	low := uint64(i-shift<<fine) << shift
	return low + (uint64(1)<<shift)/2
}
