//go:build race

package im_test

// raceDetector is whether this binary was built with -race, which makes everything
// several times slower: bars in time then hold for fewer clients.
const raceDetector = true
