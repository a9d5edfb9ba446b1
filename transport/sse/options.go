package sse

import "time"

// Options are the optional parameters of [Accept]. The zero value and nil mean
// the defaults, and so does a field that is zero or negative. One Options serves
// all connections of a server; they refer to it, so it must not be changed after
// its first use.
type Options struct {
	// Retry is how long a browser waits before it opens a stream that broke again,
	// in whole milliseconds. Defaults to 3 seconds.
	Retry time.Duration

	// PeerTimeout is how long a peer may be gone without a word before its
	// connection fails: heartbeats that the hub sends every 15 s are taken into
	// account. It is kept on connections that were taken over and are a
	// [net.TCPConn], a TLS connection on one, or something that gives access to
	// it by NetConn() net.Conn; only in steps of seconds, and only roughly on other
	// systems than Linux. Less than 8 seconds counts as 8. Defaults to 40 seconds.
	PeerTimeout time.Duration

	// WriteTimeout is how long a single write may take where the HTTP server keeps
	// the connection. Defaults to 20 seconds.
	WriteTimeout time.Duration

	// Portable has goroutines read and write every connection. Without it a plain
	// TCP connection on Linux is taken over by its descriptor and owns no goroutine.
	Portable bool

	// Linger is how long a connection that was finished waits for the peer to take
	// the rest and to close. Defaults to 2 seconds.
	Linger time.Duration
}

const (
	defaultRetry        = 3 * time.Second
	defaultPeerTimeout  = 40 * time.Second
	defaultWriteTimeout = 20 * time.Second
	defaultLinger       = 2 * time.Second

	minPeerTimeout = 8 * time.Second // five probes a second apart, and a pause
)

func (o *Options) retry() time.Duration { return orDefault(o.Retry, defaultRetry) }

func (o *Options) peerTimeout() time.Duration {
	return max(minPeerTimeout, orDefault(o.PeerTimeout, defaultPeerTimeout))
}

func (o *Options) writeTimeout() time.Duration { return orDefault(o.WriteTimeout, defaultWriteTimeout) }

func (o *Options) linger() time.Duration { return orDefault(o.Linger, defaultLinger) }

func orDefault(d, byDefault time.Duration) time.Duration {
	if d <= 0 {
		return byDefault
	}
	return d
}
