//go:build race

package presence_test

// scale is how many sessions the large test has: with the race detector a tenth, since each costs ten times as much.
const scale = 1000
