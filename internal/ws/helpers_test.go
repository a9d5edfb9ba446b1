package ws

import "math/rand/v2"

// noiseString returns n bytes that do not compress.
func noiseString(n int) string {
	rng := rand.New(rand.NewPCG(7, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}
