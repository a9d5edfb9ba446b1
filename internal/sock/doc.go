// Package sock gives a [net.Conn] the shape that a hub with many thousands of
// connections needs: sends that never block and keep no goroutine, and input that
// comes by itself and holds neither a goroutine nor a buffer while nothing arrives.
//
// On Linux a plain *[net.TCPConn], or a stream *[net.UnixConn], takes the polled
// path: its descriptor is taken over from package net, sends are system calls of the
// caller's goroutine, and package netpoll says when there is input or room. Any
// other connection, such as TLS, [net.Pipe] or a wrapper of the host, takes the
// portable path, in which a goroutine reads and a transient one does the blocking
// write; so does every connection on other systems, with the build tag "portable", or
// where [Conn.Init] is asked for it. Both paths behave alike and pass the same tests.
package sock
