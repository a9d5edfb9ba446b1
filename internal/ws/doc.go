// Package ws is a WebSocket codec: RFC 6455 framing, RFC 7692
// permessage-deflate without context takeover, and the opening handshake of
// both sides.
//
// The codec is a set of plain structs. Nothing here starts a goroutine or does
// I/O, except [Dial], which performs the client's handshake. A [Parser] is
// pushed whatever bytes arrived, in whatever pieces, and calls a [Handler] for
// each message it found, so that the same code runs under a reading goroutine
// and under an event loop. A connection that has nothing half received owns no
// buffer: partial messages live in buffers that are borrowed from a pool and go
// back with the last byte.
//
// Time is a parameter everywhere but in Dial; the codec never reads a clock.
package ws
