// Package ledger is the contract of the place where operations are kept that must
// have one effect for good: orders, payments, red packets. A room's log remembers
// the ids of its events for a while; a ledger remembers its keys for ever.
//
// A ledger holds entries under keys. Whoever changes entries names the versions that
// it has seen, and [Ledger.Commit] carries out all of the changes or none. That one
// call is enough for what money needs: a key that is taken once and for all, a
// state machine that two processes cannot move at the same time, and an amount that
// is never shared out twice.
//
// An entry may be due at a time. [Ledger.Due] lists what is, which makes the
// ledger an outbox: note in one commit what has happened and what is still to be done,
// do it, note that it is done. After a crash what was not done is still due.
//
// [NewMemory] is a ledger in memory; storage/bolt keeps one in a file and
// storage/postgres one in a database. The package ledgertest is the contract as a test suite.
package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Ledger keeps entries. It is used from many goroutines and, where the storage
// allows it, from many processes at once.
//
// Commits are linearizable, and each call sees what was committed before it began.
// What Commit has acknowledged is as durable as [Ledger.Durable] says. Every method
// returns promptly with an error that wraps ctx.Err() when ctx ends, or if it has ended
// already. Entries that are passed in belong to the caller after the call, entries that are
// returned belong to whoever called. Errors that are not named here mean that the ledger cannot do it
// now; of a Commit that failed with one of them the outcome is not known: repeat it and take a
// [ErrStale] as a reason to look.
type Ledger interface {
	// Commit carries out all changes or none. It returns the entries as they are
	// now stored, in the order of the changes.
	//
	// It fails with an error that wraps ErrStale, and is a *StaleError, if an entry is not of the
	// version that its change names: nothing has happened then. It fails with ErrInvalid if a change
	// breaks a bound below or two changes name one key. No changes are no commit.
	Commit(ctx context.Context, changes ...Change) ([]Entry, error)

	// Get returns the entry under a key, or ErrNotFound.
	Get(ctx context.Context, key string) (Entry, error)

	// Due returns up to max entries whose Due is set and not after now, those
	// that are due longest first. max is at least 1.
	Due(ctx context.Context, now time.Time, max int) ([]Entry, error)

	// List returns entries in rising order of their keys (by bytes), as q selects.
	// A page is one consistent view; two pages may not be.
	List(ctx context.Context, q Query) ([]Entry, error)

	// Durable reports whether a commit that was acknowledged survives the end of the process
	// and the loss of power. A feature that handles money asks.
	Durable() bool
}

// Bounds of an entry. A ledger takes all that lies within.
const (
	MaxKey     = 512       // bytes of Key
	MaxField   = 256       // bytes of Kind, State, Room and User each
	MaxData    = 256 << 10 // bytes of Data
	MaxChanges = 1000      // changes in one Commit
)

// Entry is one record of a ledger.
type Entry struct {
	// Key names the entry for good. 1 to MaxKey bytes of any value.
	Key string
	// Version is 1 when the entry is new and rises by 1 with each change. The
	// ledger sets it.
	Version uint64
	// Kind says what the entry is, such as "gift.order"; State is where it stands,
	// such as "charged". Both are the feature's own words.
	Kind, State string
	// Room and User are what the entry belongs to, to find it again. Either may be empty.
	Room, User string
	// Data is the rest, one JSON value; empty counts as null. It comes back with equal value, not
	// always byte for byte.
	Data json.RawMessage
	// Due is when something is to be done about the entry. Zero: nothing is. It is kept to the microsecond.
	Due time.Time
	// Created and Updated are times of the first and the last change, by the clock of the
	// ledger. They are for people: nothing is decided by them.
	Created, Updated time.Time
}

// Change is one change of a Commit: the entry as it shall be.
type Change struct {
	// Entry is the new content. Its Created and Updated are ignored. Its Version is the one
	// that the stored entry must have: 0 means that there must be none.
	Entry Entry
	// Delete removes the entry instead; of Entry only Key and Version count, and Version must not be 0.
	// The key may then be taken anew, so do not delete what must stay unique.
	Delete bool
}

// Query selects entries for [Ledger.List]. The zero Query selects the first DefaultPage entries.
type Query struct {
	Prefix     string // of the key; empty: any
	After      string // only keys greater than this; for the next page the last key of the one before
	Kind       string // empty: any
	State      string // empty: any
	Room, User string // empty: any
	Max        int    // Defaults to DefaultPage.
}

// DefaultPage is the page size of a [Query] that names none.
const DefaultPage = 100

var (
	// ErrStale says that an entry is not, or no longer, of the version that a change named.
	// Get it and decide anew.
	ErrStale = errors.New("ledger: the entry has changed meanwhile; read it again and decide anew")
	// ErrNotFound says that there is no entry under the key.
	ErrNotFound = errors.New("ledger: there is no entry under this key")
	// ErrInvalid says that a change is not one that a ledger takes.
	ErrInvalid = errors.New("ledger: the change is not valid")
	// ErrClosed is returned by a ledger after it was closed.
	ErrClosed = errors.New("ledger: the ledger is closed")
)

// StaleError is the error of a Commit that came too late. It wraps [ErrStale].
type StaleError struct {
	Key  string
	Want uint64 // the version that the change named
	Have uint64 // the version that is stored, 0 if there is no entry
}

func (e *StaleError) Error() string { return ErrStale.Error() }

// Unwrap returns ErrStale.
func (e *StaleError) Unwrap() error { return ErrStale }
