// Package websocket carries sessions over WebSocket (RFC 6455), with
// permessage-deflate (RFC 7692) where the client offers it.
//
// [Upgrade] answers a request and returns a [Conn], a [transport.Conn]. Frames
// that many sessions get are encoded and deflated once, by the [transport.Format]
// that the sessions share; sending them never blocks and takes no goroutine on a
// plain TCP connection. One goroutine a connection reads, and holds no buffer
// while nothing arrives.
package websocket
