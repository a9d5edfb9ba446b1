// Package pipe is a transport within the process: for bots, for tests of what
// is built on sessions, and as the plainest example of a transport.
//
// [New] returns both ends. The hub's side behaves as a socket does: it takes
// bytes up to the size of its buffer, comes up short when the peer does not
// read, and says when there is room again. An idle pipe owns no goroutine, no
// timer and no buffer, and all waiting is on channels, so that it works within a
// bubble of testing/synctest.
//
// The stream is newline-delimited JSON, one message a line. Lines that begin
// with '!' or '?' cannot be JSON: the first is a farewell, the second a
// heartbeat, which [Peer.Recv] answers by itself.
package pipe
