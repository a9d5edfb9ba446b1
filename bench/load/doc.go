// Package load holds thousands of clients of a server under test in one thread, and
// counts every message that each of them gets.
//
// There is no goroutine for a connection: a [Swarm] is one epoll loop that reads
// into one buffer, so that the clients take little of the processors that they share
// with the server. It needs Linux.
package load
