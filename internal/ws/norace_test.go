//go:build !race

package ws

// raceEnabled is whether sync.Pool drops items at random, as it does under the
// race detector.
const raceEnabled = false
