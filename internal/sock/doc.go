// Package sock gives a [net.Conn] the shape that a hub with many thousands of
// connections needs: sends that never block and keep no goroutine, and reads
// that hold no buffer while nothing arrives.
//
// A plain *[net.TCPConn] (or a stream *[net.UnixConn]) on a Unix system takes
// the native path: system calls on its descriptor, which stays registered with
// Go's own poller, so that deadlines, Close and the race of the two with
// everything else remain the business of package net. Any other connection,
// such as TLS, [net.Pipe] or a wrapper of the host, takes the portable path, in
// which a transient goroutine does the blocking write. Both paths behave alike.
// The build tag "portable" forces the second.
package sock
