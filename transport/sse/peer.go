package sse

import (
	"net"
	"time"
)

// watchPeer has the kernel find out that the peer is gone: on a connection that
// is idle by probes, on one where something was sent by the lack of an answer.
// Connections that are not TCP fail in their own ways.
//
// Heartbeats come every 15 s by default, which is 3/8 of the default timeout. What is
// sent may remain without an answer for the other 5/8; probes begin after 3/8,
// five of them in the rest of the time.
func watchPeer(conn net.Conn, timeout time.Duration) {
	for range 8 { // wrappers around each other; a cycle is a bug of the host
		if tcp, ok := conn.(*net.TCPConn); ok {
			watchTCP(tcp, timeout)
			return
		}
		wrapper, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return
		}
		conn = wrapper.NetConn()
	}
}

// watchTCP is the best that the system has: what fails is left as it was.
func watchTCP(conn *net.TCPConn, timeout time.Duration) {
	idle := timeout * 3 / 8
	const probes = 5
	_ = conn.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable:   true,
		Idle:     idle,
		Interval: (timeout - idle) / probes,
		Count:    probes,
	})
	setUserTimeout(conn, timeout-idle)
}
