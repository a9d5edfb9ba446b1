package postgres

import (
	"fmt"
	"log/slog"
	"time"
)

// LogOptions says how a [Log] works. The zero value is the documented defaults.
// All logs of a schema should have the same.
type LogOptions struct {
	// Schema is where the tables are. Defaults to DefaultSchema.
	Schema string

	// KeepAge is how long events of every class are kept, at most. Defaults to
	// 10 minutes.
	KeepAge time.Duration
	// KeepEvents is how many critical, normal and merged events a room keeps,
	// counted together. Defaults to 5,000.
	KeepEvents int
	// KeepVolatile is how many volatile events a room keeps besides. Defaults to
	// 200.
	KeepVolatile int

	// DedupAge and DedupEvents bound for how long the IDs of critical, normal and
	// merged events are remembered after the events themselves were dropped: up to
	// this age, and among this many newest of the room. IDs of events that are
	// kept are always remembered, those of volatile events only as long. They
	// default to 5 minutes and 10,000.
	DedupAge    time.Duration
	DedupEvents int

	// Poll is how often the log looks whether the rooms that it follows have
	// events of which no notification came. Defaults to 2 seconds.
	Poll time.Duration
	// Timeout is how long one statement for Append may take, waiting for a free
	// connection included. The context of the call can end the call sooner, but not
	// the statement, which may serve others too. Defaults to 10 seconds.
	Timeout time.Duration

	// Now is the clock of this process, for tests that move it. Ages follow the
	// clock of the server, which all nodes share, plus what Now is ahead of
	// time.Now. Defaults to time.Now. It is called from many goroutines at once.
	Now func() time.Time
	// Logger gets a line when the connection for notifications is lost, and when it
	// is back. Defaults to slog.Default().
	Logger *slog.Logger
}

// withDefaults returns a checked copy of o with every default filled in.
func (o *LogOptions) withDefaults() (LogOptions, error) {
	var c LogOptions
	if o != nil {
		c = *o
	}
	for _, d := range []struct {
		field string
		value *time.Duration
		std   time.Duration
	}{
		{"KeepAge", &c.KeepAge, 10 * time.Minute}, {"DedupAge", &c.DedupAge, 5 * time.Minute},
		{"Poll", &c.Poll, 2 * time.Second}, {"Timeout", &c.Timeout, 10 * time.Second},
	} {
		if *d.value < 0 {
			return c, fmt.Errorf("postgres: LogOptions.%s is %v: want a positive duration, or 0 for %v", d.field, *d.value, d.std)
		}
		if *d.value == 0 {
			*d.value = d.std
		}
	}
	for _, n := range []struct {
		field string
		value *int
		std   int
	}{{"KeepEvents", &c.KeepEvents, 5000}, {"KeepVolatile", &c.KeepVolatile, 200}, {"DedupEvents", &c.DedupEvents, 10_000}} {
		if *n.value < 0 {
			return c, fmt.Errorf("postgres: LogOptions.%s is %d: want a positive number, or 0 for %d", n.field, *n.value, n.std)
		}
		if *n.value == 0 {
			*n.value = n.std
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}

// LedgerOptions says how a [Ledger] works. The zero value is the documented defaults.
type LedgerOptions struct {
	// Schema is where the tables are. A log may have its own in the same one.
	// Defaults to DefaultSchema.
	Schema string
}
