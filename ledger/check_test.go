package ledger

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestCheckNamesTheFault looks at the words; imtest/ledgertest looks at what is refused.
func TestCheckNamesTheFault(t *testing.T) {
	good := Change{Entry: Entry{Key: "good"}}
	for _, test := range []struct {
		changes []Change
		want    string
	}{
		{[]Change{good, {}}, `change 1, key "": Key has 0 bytes, want 1 to 512`},
		{[]Change{{Entry: Entry{Key: "k", Room: strings.Repeat("r", 257)}}}, "Room has 257 bytes, want at most 256"},
		{[]Change{{Entry: Entry{Key: "k", Data: json.RawMessage("{")}}}, "not one JSON value"},
		{[]Change{{Entry: Entry{Key: "k", Data: json.RawMessage("\"\xff\"")}}}, "not UTF-8"},
		{[]Change{{Entry: Entry{Key: "k", Due: time.Unix(-1, 0)}}}, "in the year 1969"},
		{[]Change{good, good}, "make one change of the two"},
		{[]Change{{Entry: Entry{Key: "k"}, Delete: true}}, "a deletion of Version 0"},
		{make([]Change, MaxChanges+1), "1001 changes, and 1000 are the most"},
	} {
		if err := Check(test.changes); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Check returned %v, want ErrInvalid with %q", err, test.want)
		}
	}
	if err := Check([]Change{good, {Entry: Entry{Key: "bad data is not read", Version: 1, Data: json.RawMessage("{")}, Delete: true}}); err != nil {
		t.Errorf("Check of good changes: %v", err)
	}
}

func TestStaleError(t *testing.T) {
	for _, test := range []struct {
		err  StaleError
		want string
	}{
		{StaleError{Key: "k", Want: 2, Have: 3}, `names version 2 of "k", which is at version 3`},
		{StaleError{Key: "k", Want: 2}, `names version 2 of "k", which is not there`},
	} {
		if got := test.err.Error(); !strings.Contains(got, test.want) || !errors.Is(&test.err, ErrStale) {
			t.Errorf("the error is %q, want one that wraps ErrStale with %q", got, test.want)
		}
	}
}
