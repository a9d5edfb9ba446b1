// Package longpoll carries sessions over requests that are answered when there
// is news. Messages of the client come by requests of another kind.
//
// [New] makes a [Conn], a [transport.Conn] that outlives its requests, and
// [Conn.ServePoll] answers one of them. Bytes that many sessions get are shared up to
// the response. A request that waits costs what the HTTP server has for it: the
// goroutine of its handler, and over HTTP/1.1 one that looks for the end of the
// connection. Between two requests a Conn is memory alone: no goroutine and no
// timer.
//
// # Answers that do not arrive
//
// A Conn takes messages only for a request that waits, and has sent them when it
// has written them into the response. Whether that arrived is not known: the next
// request says so by its positions. The hub therefore calls [Conn.Interrupt], compares
// the positions of the request with those that it has sent, has the client join again
// from where it is if it is behind, and then calls ServePoll.
package longpoll
