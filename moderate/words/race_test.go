//go:build race

package words

const raceEnabled = true
