package ws

import "time"

// Limits bounds what one peer can make a [Parser] hold or do. A field that is
// zero or negative means its default, and so does a nil *Limits. One Limits is
// meant to be shared by all parsers of a server; parsers read it at any time,
// so it must not change once the first has been given it.
type Limits struct {
	// MaxMessage is the largest message in bytes, counted after decompression.
	// A larger one closes with 1009. Defaults to 64 KiB.
	MaxMessage int
	// MaxFrames is the largest number of frames a message may come in, empty
	// ones included; control frames do not count. One more closes with 1009.
	// Defaults to 1024.
	MaxFrames int
	// MaxAssembly is the longest time from the Feed that brought a message's
	// first byte to the one that brings its last. Taking longer closes with
	// 1008. Defaults to 10 seconds.
	MaxAssembly time.Duration
	// ControlBurst is how many ping and pong frames may come at once. One more
	// closes with 1008. Defaults to 20.
	ControlBurst int
	// ControlPerSecond is how many ping and pong frames a second are allowed
	// in the long run. Defaults to 10.
	ControlPerSecond int
}

const (
	defaultMaxMessage       = 64 << 10
	defaultMaxFrames        = 1024
	defaultMaxAssembly      = 10 * time.Second
	defaultControlBurst     = 20
	defaultControlPerSecond = 10
)

func (l *Limits) maxMessage() int {
	if l == nil || l.MaxMessage <= 0 {
		return defaultMaxMessage
	}
	return l.MaxMessage
}

// maxWire is the largest number of payload bytes of a message as it is on the
// wire. Data that does not compress grows a little under DEFLATE, hence the
// margin above MaxMessage.
func (l *Limits) maxWire(compressed bool) uint64 {
	n := uint64(l.maxMessage())
	if compressed {
		n += n/64 + 64
	}
	return n
}

func (l *Limits) maxFrames() int {
	if l == nil || l.MaxFrames <= 0 {
		return defaultMaxFrames
	}
	return l.MaxFrames
}

func (l *Limits) maxAssembly() time.Duration {
	if l == nil || l.MaxAssembly <= 0 {
		return defaultMaxAssembly
	}
	return l.MaxAssembly
}

func (l *Limits) controlBurst() int {
	if l == nil || l.ControlBurst <= 0 {
		return defaultControlBurst
	}
	return l.ControlBurst
}

func (l *Limits) controlPerSecond() int {
	if l == nil || l.ControlPerSecond <= 0 {
		return defaultControlPerSecond
	}
	return l.ControlPerSecond
}

// start is what parsers count from, on the monotonic clock: a parser's times are a
// third of a time.Time, and there is a parser for each connection.
var start = time.Now()

func sinceStart(t time.Time) time.Duration { return t.Sub(start) }

// allowControl takes one token at now. The bucket is kept as a single time (the
// generic cell rate algorithm): the moment at which it will be full again.
func (l *Limits) allowControl(fullAt *time.Duration, now time.Duration) bool {
	interval := time.Second / time.Duration(l.controlPerSecond())
	at := *fullAt
	if at == 0 || at < now { // now may be below 0: virtual clocks stand where they like
		at = now
	}
	if at-now > time.Duration(l.controlBurst()-1)*interval {
		return false
	}
	*fullAt = at + interval
	return true
}
