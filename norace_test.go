//go:build !race

package im_test

// raceDetector is whether this binary was built with -race.
const raceDetector = false
