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
	"fmt"
	"time"
)

// Ledger keeps entries. It may be used from many goroutines and, where the storage
// allows it, from many processes at once.
//
// Commits are linearizable, and each call sees every commit that was acknowledged before
// it began, of whatever process. What Commit has acknowledged is as durable as
// [Ledger.Durable] says.
//
// Every method returns promptly with an error that wraps ctx.Err() when ctx ends. If ctx
// had ended before the call, nothing has happened. After the ledger was closed every
// method returns ErrClosed. Entries that are passed in belong to the caller again after
// the call, entries that are returned belong to the caller too: the ledger keeps copies.
//
// Errors that are not named here mean that the ledger cannot do it now. Of a Commit that
// failed with one of them, or because ctx ended, the outcome is not known: it may have
// happened, in whole, or may still happen. Repeat it as it was and take an [ErrStale] as
// the reason to look: if the entry is now what the commit would have made of it, it was
// carried out the first time.
type Ledger interface {
	// Commit carries out all changes or none. It returns the entries as they are
	// now stored, one for each change in their order; for a deletion that is an Entry with
	// only its Key, of Version 0, as the next change of that key has to name it.
	//
	// It fails with a *StaleError, which wraps ErrStale, if an entry is not of the version
	// that its change names; of several any one is reported. It fails with ErrInvalid if a
	// change is not one that [Check] takes, whether or not it is stale as well. Either way nothing has happened. Without
	// changes it does nothing and returns nothing.
	Commit(ctx context.Context, changes ...Change) ([]Entry, error)

	// Get returns the entry under a key. It fails with ErrNotFound if there is none, also
	// for a key that no entry can have.
	Get(ctx context.Context, key string) (Entry, error)

	// Due returns entries whose Due is set and not after now: those that are due longest
	// first, those of the same time in rising order of their keys. It returns max of them, or
	// fewer if no more are due. It fails with ErrInvalid if max is less than 1.
	//
	// What is due stays due until a commit changes it. Several processes that work off
	// one ledger get the same entries; whoever takes one first moves its Due ahead, or its
	// State on, by a commit, and the others find that stale.
	Due(ctx context.Context, now time.Time, max int) ([]Entry, error)

	// List returns entries in rising order of their keys (by bytes), as q selects. It
	// returns q.Max of them, or fewer if there are no more. A page is one consistent view;
	// two pages may not be. It fails with ErrInvalid if q.Max is negative.
	List(ctx context.Context, q Query) ([]Entry, error)

	// Durable reports whether a commit that was acknowledged survives the end of the process
	// and the loss of power. It never changes. A feature that handles money asks.
	Durable() bool
}

// Bounds of a commit. A ledger takes all that lies within; [Check] says what does not.
const (
	MaxKey     = 512       // bytes of Key
	MaxField   = 256       // bytes of Kind, State, Room and User each
	MaxData    = 256 << 10 // bytes of Data
	MaxChanges = 1000      // changes in one Commit
	MaxCommit  = 16 << 20  // bytes of Data in one Commit
)

// Entry is one record of a ledger. Its strings may hold bytes of any value, 0 and invalid
// UTF-8 too, and are told apart by them: letter case and white space count.
type Entry struct {
	// Key names the entry for good. 1 to MaxKey bytes.
	Key string
	// Version is 1 when the entry is new and rises by 1 with each change. The
	// ledger sets it. 0 means that there is no entry.
	Version uint64
	// Kind says what the entry is, such as "gift.order"; State is where it stands,
	// such as "charged". Both are the feature's own words. Either may be empty, and each
	// change may set it anew, as it may Room, User, Data and Due.
	Kind, State string
	// Room and User are what the entry belongs to, to find it again. Either may be empty.
	Room, User string
	// Data is the rest, one JSON value in UTF-8. Empty counts as null, and comes back as
	// null. It comes back as an equal value, not always byte for byte: white space, the order
	// of an object's members and the ways to write a character or a number may differ. All
	// digits of a number are kept. Of members of one name in an object all but the last may be lost.
	Data json.RawMessage
	// Due is when something is to be done about the entry. Zero: nothing is. Otherwise it
	// lies in the years 1970 to 9999 (UTC). It is kept to the microsecond, what is finer is
	// cut off. Compare it with Equal: it may come back in another location.
	Due time.Time
	// Created and Updated are times of the first and the last change, to the microsecond,
	// by the clock of the ledger. They are for people: nothing is decided by them.
	Created, Updated time.Time
}

// Change is one change of a Commit: the entry as it shall be.
type Change struct {
	// Entry is the new content, all of it: what is left empty becomes empty. Its Created
	// and Updated are ignored. Its Version is the one that the stored entry must have:
	// 0 means that there must be none.
	Entry Entry
	// Delete removes the entry instead; of Entry only Key and Version count, and Version must not be 0.
	// The key may then be taken anew, from Version 1 on, so do not delete what must stay unique.
	Delete bool
}

// Query selects entries for [Ledger.List]: those that all of its fields admit. The zero
// Query selects the first DefaultPage entries.
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
	// ErrInvalid says that a call is not one that a ledger takes. It does not help to repeat it.
	ErrInvalid = errors.New("ledger: the call is not valid")
	// ErrClosed is returned by a ledger after it was closed.
	ErrClosed = errors.New("ledger: the ledger is closed")
)

// StaleError is the error of a Commit that came too late. It wraps [ErrStale].
type StaleError struct {
	Key  string
	Want uint64 // the version that the change named
	Have uint64 // the version that is stored, 0 if there is no entry
}

func (e *StaleError) Error() string {
	if e.Have == 0 {
		return fmt.Sprintf("%v: the change names version %d of %q, which is not there", ErrStale, e.Want, e.Key)
	}
	return fmt.Sprintf("%v: the change names version %d of %q, which is at version %d", ErrStale, e.Want, e.Key, e.Have)
}

// Unwrap returns ErrStale.
func (e *StaleError) Unwrap() error { return ErrStale }
