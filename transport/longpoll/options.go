package longpoll

import "time"

// Options are the optional parameters of [New]. The zero value and nil mean the
// defaults, and so does a field that is zero or negative. One Options serves all
// connections of a server; they refer to it, so it must not be changed after its
// first use.
type Options struct {
	// Idle is how long a client may stay away between two requests. Defaults to
	// 10 seconds.
	Idle time.Duration

	// Gather is how long an answer waits for more after its first message, so
	// that a burst shares one. Defaults to 5 ms.
	Gather time.Duration

	// MaxAnswer is the size in bytes at which an answer is sent at once, and which
	// it exceeds only if a single message does. Defaults to 64 KiB.
	MaxAnswer int

	// WriteTimeout is how long writing an answer may take. Defaults to 10 seconds.
	WriteTimeout time.Duration

	// Linger is how long a connection that was finished waits for the client to
	// ask for what it has not got. Defaults to 2 seconds.
	Linger time.Duration
}

const (
	defaultIdle         = 10 * time.Second
	defaultGather       = 5 * time.Millisecond
	defaultMaxAnswer    = 64 << 10
	defaultWriteTimeout = 10 * time.Second
	defaultLinger       = 2 * time.Second
)

func (o *Options) idle() time.Duration { return orDefault(o.Idle, defaultIdle) }

func (o *Options) gather() time.Duration { return orDefault(o.Gather, defaultGather) }

func (o *Options) maxAnswer() int { return orDefault(o.MaxAnswer, defaultMaxAnswer) }

func (o *Options) writeTimeout() time.Duration { return orDefault(o.WriteTimeout, defaultWriteTimeout) }

func (o *Options) linger() time.Duration { return orDefault(o.Linger, defaultLinger) }

func orDefault[T int | time.Duration](v, byDefault T) T {
	if v <= 0 {
		return byDefault
	}
	return v
}
