package filelog

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

// Options says how long a [Log] keeps what, and how much may wait for the disk. The zero value is the documented defaults.
type Options struct {
	// KeepAge is how long events of every class are kept, at most. Defaults to 7 days.
	KeepAge time.Duration
	// KeepBytes is how large the directory may become before the oldest segments are dropped, whatever their age. What is
	// being written, one segment, comes on top. Defaults to 16 GiB.
	KeepBytes int64
	// KeepEvents is how many critical, normal and merged events a room keeps, counted together, KeepVolatile how many
	// volatile ones it keeps besides. Zero means no limit but those of age and bytes.
	KeepEvents   int
	KeepVolatile int

	// SegmentBytes is how large a file becomes before it is compressed and another is begun: what opening has to
	// read in full. Defaults to 64 MiB.
	SegmentBytes int64

	// QueueEvents and QueueBytes are how much may wait for the disk. Beyond either, Append answers with an error that
	// wraps im.ErrNotStored at once. They default to 65,536 events and 64 MiB.
	QueueEvents int
	QueueBytes  int64
	// VolatileBytes is how many bytes of volatile events may wait to be written. Those beyond stay in memory alone, where
	// they are the first to go; Stats.Unwritten counts them. Defaults to 8 MiB.
	VolatileBytes int64
	// CacheBytes is how much memory keeps events that were published last, and again as much keeps blocks of older ones
	// that were read last. Defaults to 16 MiB.
	CacheBytes int64

	// Now is the clock by which events grow old, that of the hub. It is called from many goroutines at once. Defaults
	// to time.Now.
	Now func() time.Time
	// Logger is told of damage, failures of the disk and recovery. Defaults to slog.Default().
	Logger *slog.Logger

	fs disk.FS // the file system; tests put theirs here
}

// withDefaults returns a checked copy of o with every default filled in.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.KeepAge < 0 {
		return c, fmt.Errorf("filelog: Options.KeepAge is %v: want a positive duration, or 0 for 7 days", c.KeepAge)
	}
	if c.KeepAge == 0 {
		c.KeepAge = 7 * 24 * time.Hour
	}
	for _, n := range []struct {
		field string
		value *int64
		std   int64
	}{
		{"KeepBytes", &c.KeepBytes, 16 << 30},
		{"SegmentBytes", &c.SegmentBytes, 64 << 20},
		{"QueueBytes", &c.QueueBytes, 64 << 20},
		{"VolatileBytes", &c.VolatileBytes, 8 << 20},
		{"CacheBytes", &c.CacheBytes, 16 << 20},
	} {
		if *n.value < 0 {
			return c, fmt.Errorf("filelog: Options.%s is %d: want a positive number of bytes, or 0 for %d", n.field, *n.value, n.std)
		}
		if *n.value == 0 {
			*n.value = n.std
		}
	}
	if c.KeepEvents < 0 || c.KeepVolatile < 0 {
		return c, fmt.Errorf("filelog: Options.KeepEvents is %d and KeepVolatile %d: want positive numbers, or 0 for no limit", c.KeepEvents, c.KeepVolatile)
	}
	if c.QueueEvents < 0 {
		return c, fmt.Errorf("filelog: Options.QueueEvents is %d: want a positive number, or 0 for 65536", c.QueueEvents)
	}
	if c.QueueEvents == 0 {
		c.QueueEvents = 1 << 16
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.fs == nil {
		c.fs = disk.OS{}
	}
	return c, nil
}
