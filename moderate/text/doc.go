// Package text judges what people write beyond the words that they use: characters that disturb
// other people's screens ([Policy]), names that look like somebody else's ([Names]), links however
// they are disguised ([Links]), and the same thing over and over ([Flood]).
//
// The parts know nothing of each other, of rooms or of connections. They start no goroutines, read no
// clock, and are safe for concurrent use.
package text
