// Package replay plays recordings of danmaku into a room, far faster than they
// were spoken, and measures what its viewers are shown: how much, of whom, and how
// much of what was said. It writes the report docs/flow-control.md.
//
// The sessions are real, on connections in memory; the time is virtual, so that
// a minute of overload takes as long as the machine needs for it and is the same on
// every machine.
package replay
