package gift

import (
	"math/bits"
	"math/rand/v2"
)

// split shares sum out among n, at least 1 each: sum is n at least. The shares are the same for the same seed, and
// add up to sum. Whoever does not know the seed cannot tell them before.
func split(seed [32]byte, sum, n int64, how Split) []int64 {
	shares := make([]int64, n)
	if how == SplitEven {
		for i := range shares {
			shares[i] = sum / n
			if int64(i) < sum%n {
				shares[i]++
			}
		}
		return shares
	}
	// Each takes from 1 to twice the average of what is left, less 1: the mean of every share is the same, and
	// 1 is left for each of the others.
	source := rand.NewChaCha8(seed)
	for i := range shares {
		left := n - int64(i)
		if left == 1 {
			shares[i] = sum
			break
		}
		width := uint64(2*(sum/left) - 1)
		draw, _ := bits.Mul64(source.Uint64(), width) // our own, since it must never change with a version of Go
		shares[i] = 1 + int64(draw)
		sum -= shares[i]
	}
	return shares
}
