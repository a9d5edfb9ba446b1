package websocket

import (
	"time"

	"github.com/liveim/im/internal/ws"
)

// Options are the optional parameters of [Upgrade]. The zero value and nil mean
// the defaults. One Options serves all connections of a server; they refer to
// it, so it must not be changed after its first use.
type Options struct {
	// Protocols are the subprotocols that the server speaks, best first. Nothing
	// is negotiated if it is empty, or if the client offers none of them.
	Protocols []string

	// Deflate allows permessage-deflate, without context takeover either way, to
	// clients that offer it. Only [Conn.Shared] compresses.
	Deflate bool

	// DeflateThreshold is the size in bytes from which a message is worth
	// compressing. Defaults to 256.
	DeflateThreshold int

	// Limits bounds what one client can make the server hold or do.
	Limits Limits

	// Portable has goroutines read and write every connection, as it is done for
	// TLS and on systems other than Linux. Without it a plain TCP connection on Linux is
	// taken over by its descriptor and owns neither goroutine nor buffer while idle.
	Portable bool

	// Linger is how long a connection that was finished waits for the peer to
	// close it. Defaults to 2 seconds.
	Linger time.Duration
}

// Limits bounds one client. A field that is zero or negative means its default.
// The limits are kept before any authentication.
type Limits struct {
	// MaxMessage is the largest message in bytes, counted after decompression.
	// A larger one closes with 1009. Defaults to 64 KiB.
	MaxMessage int
	// MaxFrames is the largest number of frames a message may come in. One more
	// closes with 1009. Defaults to 1024.
	MaxFrames int
	// MaxAssembly is the longest time from a message's first byte to its last.
	// Taking longer closes with 1008, or makes [Conn.Overdue] true where nothing
	// arrives at all. Defaults to 10 seconds.
	MaxAssembly time.Duration
	// ControlBurst is how many ping and pong frames may come at once. One more
	// closes with 1008. Defaults to 20.
	ControlBurst int
	// ControlPerSecond is how many ping and pong frames a second are allowed in
	// the long run. Defaults to 10.
	ControlPerSecond int
}

const (
	defaultDeflateThreshold = 256
	defaultLinger           = 2 * time.Second
	defaultMaxAssembly      = 10 * time.Second // that of ws.Limits
)

// codecLimits is o.Limits as the codec knows it. The two types have the same
// fields; a difference does not compile.
func (o *Options) codecLimits() *ws.Limits { return (*ws.Limits)(&o.Limits) }

func (o *Options) deflateThreshold() int {
	if o.DeflateThreshold <= 0 {
		return defaultDeflateThreshold
	}
	return o.DeflateThreshold
}

func (o *Options) linger() time.Duration {
	if o.Linger <= 0 {
		return defaultLinger
	}
	return o.Linger
}

func (o *Options) maxAssembly() time.Duration {
	if o.Limits.MaxAssembly <= 0 {
		return defaultMaxAssembly
	}
	return o.Limits.MaxAssembly
}
