package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Check returns an error that wraps [ErrInvalid] and names the change if the changes
// break a bound of this package or two of them name one key. It is for those who
// implement a [Ledger]; a caller of Commit gets the same answer there.
func Check(changes []Change) error {
	if n := len(changes); n > MaxChanges {
		return fmt.Errorf("%w: it has %d changes, and %d are the most; split what need not happen at once", ErrInvalid, n, MaxChanges)
	}
	data := 0
	keys := make(map[string]struct{}, len(changes))
	for i := range changes {
		c := &changes[i]
		if what := c.fault(); what != "" {
			return fmt.Errorf("%w: change %d, key %.80q: %s", ErrInvalid, i, c.Entry.Key, what)
		}
		if _, ok := keys[c.Entry.Key]; ok {
			return fmt.Errorf("%w: change %d, key %.80q: an earlier change of the commit has this key; make one change of the two", ErrInvalid, i, c.Entry.Key)
		}
		keys[c.Entry.Key] = struct{}{}
		if !c.Delete {
			data += len(c.Entry.Data)
		}
	}
	if data > MaxCommit {
		return fmt.Errorf("%w: its changes have %d bytes of Data, and %d are the most; split what need not happen at once", ErrInvalid, data, MaxCommit)
	}
	return nil
}

// fault says what a ledger does not take about the change by itself, or "".
func (c *Change) fault() string {
	e := &c.Entry
	if n := len(e.Key); n < 1 || n > MaxKey {
		return fmt.Sprintf("Key has %d bytes, want 1 to %d", n, MaxKey)
	}
	if c.Delete {
		if e.Version == 0 {
			return "a deletion of Version 0; name the version that is to go"
		}
		return ""
	}
	for _, field := range []struct{ name, value string }{
		{"Kind", e.Kind}, {"State", e.State}, {"Room", e.Room}, {"User", e.User},
	} {
		if n := len(field.value); n > MaxField {
			return fmt.Sprintf("%s has %d bytes, want at most %d", field.name, n, MaxField)
		}
	}
	switch n := len(e.Data); {
	case n > MaxData:
		return fmt.Sprintf("Data has %d bytes, want at most %d; keep large things elsewhere and their name here", n, MaxData)
	case n > 0 && !json.Valid(e.Data):
		return "Data is not one JSON value"
	case !utf8.Valid(e.Data):
		return "Data is not UTF-8, as JSON has to be"
	}
	if year := e.Due.UTC().Year(); !e.Due.IsZero() && (year < 1970 || year > 9999) {
		return fmt.Sprintf("Due is in the year %d, want 1970 to 9999, or the zero time for none", year)
	}
	return ""
}

// Apply returns the entry that a ledger stores when it carries out the change at now over
// the one that is stored, which is the zero Entry if there is none. The result shares no memory
// with the change; of a deletion it is an Entry with only its Key. It fails with a *[StaleError] if the
// versions differ. The change must have passed [Check]. Like Check it is for those who implement a [Ledger].
func (c Change) Apply(stored Entry, now time.Time) (Entry, error) {
	e := c.Entry
	if e.Version != stored.Version {
		return Entry{}, &StaleError{Key: e.Key, Want: e.Version, Have: stored.Version}
	}
	if c.Delete {
		return Entry{Key: e.Key}, nil
	}
	e.Version++
	if e.Data = bytes.Clone(e.Data); len(e.Data) == 0 {
		e.Data = json.RawMessage("null")
	}
	if !e.Due.IsZero() {
		e.Due = micro(e.Due)
	}
	e.Updated = micro(now)
	e.Created = stored.Created
	if stored.Version == 0 {
		e.Created = e.Updated
	}
	return e, nil
}

// micro cuts off what is finer than a microsecond, and the monotonic clock.
func micro(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() }

// Selects reports whether the query selects the entry, leaving Max aside. It is for those who implement a [Ledger].
func (q Query) Selects(e *Entry) bool {
	return strings.HasPrefix(e.Key, q.Prefix) && e.Key > q.After &&
		admits(q.Kind, e.Kind) && admits(q.State, e.State) && admits(q.Room, e.Room) && admits(q.User, e.User)
}

func admits(want, have string) bool { return want == "" || want == have }
