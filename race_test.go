//go:build race

package im_test

const raceEnabled = true
