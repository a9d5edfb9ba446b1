package bolt

import (
	"errors"
	"fmt"
	"time"
)

// Options are what may be chosen about a ledger in a file. Nil and the zero value are
// the defaults.
type Options struct {
	// NoSync leaves it to the operating system when to write to the disk. Commits are many times
	// faster then and survive the end of the process, but not the loss of power, which may damage the
	// whole file. Durable returns false. It is for tests.
	NoSync bool

	// LockWait is how long Open waits for another process to close the file, as in
	// a restart where the new process begins before the old one has ended. Defaults to 0: not at all.
	LockWait time.Duration
}

var (
	// ErrLocked is returned by Open if the file is open already, in this process or another.
	ErrLocked = errors.New("bolt: the ledger's file is open elsewhere; end the other process, or share its ledger within this one")
	// ErrFormat is returned by Open for a file that is not a ledger's, or one of a later version of this package.
	ErrFormat = errors.New("bolt: the file is not a ledger that this version can read")
	// ErrCorrupt is returned when an entry is not what was written. Others may still be read.
	ErrCorrupt = errors.New("bolt: the ledger's file is damaged; take a copy and go back to a backup")
)

func (o Options) validate() error {
	if o.LockWait < 0 {
		return fmt.Errorf("bolt: Options.LockWait is %s; it must not be negative", o.LockWait)
	}
	return nil
}
