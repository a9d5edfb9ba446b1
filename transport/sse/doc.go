// Package sse carries sessions over server-sent events: an HTTP response that
// does not end. Messages of the client come by other requests.
//
// [Accept] answers a request and returns a [Conn], a [transport.Conn]. Over
// HTTP/1.1 it takes the connection over from the server, as package websocket
// does: a plain TCP connection on Linux takes no goroutine, neither to send nor to find out that
// the peer has hung up. On others one waits for that, and a transient one writes. Over
// HTTP/2, and where the response writer does not give the connection away, the handler's
// goroutine waits in [Conn.Wait], and a transient one writes.
//
// # Dead peers
//
// A client does not answer heartbeats. On a connection that was taken over the
// kernel finds a peer that is gone without a word within Options.PeerTimeout. On
// one that the HTTP server keeps that is the server's business: set
// SendPingTimeout and PingTimeout in [http.Server.HTTP2], of 15 and 10 seconds
// for example; they are off by default.
package sse
