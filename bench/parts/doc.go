// Package parts compares single parts of the library with what one would take
// instead: the codec of WebSocket frames with that of other libraries, the encoder of
// messages with encoding/json, the ring and its cursors with a channel for each
// viewer, the selection of danmaku with a sort, the limiter and the map of rooms with
// what Go has for them.
//
// It has nothing but benchmarks. Each is a matrix whose last dimension is impl=, and
// impl=im is this library:
//
//	go test -run NONE -bench . ./parts
package parts
