package ledgertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im/ledger"
)

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// fixture is a ledger under test, with calls that must succeed. Each of them
// checks what is true of every call.
type fixture struct {
	tester
	t      *testing.T // nil in a fixture for rapid
	h      *Harness   // nil likewise
	ledger ledger.Ledger
}

func newFixture(t tester, l ledger.Ledger) *fixture {
	t.Helper()
	if l == nil {
		t.Fatalf("ledgertest: Open returned a nil ledger")
	}
	f := &fixture{tester: t, ledger: l}
	if all := f.list(ledger.Query{Max: 10}); len(all) > 0 {
		t.Fatalf("ledgertest: the ledger holds %d or more entries before a test has begun, want an empty one", len(all))
	}
	return f
}

func background() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// commit carries out changes that must be good, and checks what comes back.
func (f *fixture) commit(changes ...ledger.Change) []ledger.Entry {
	f.Helper()
	out, err := f.tryCommit(f.ledger, changes...)
	if err != nil {
		f.Fatalf("Commit of %d changes, the first of key %.80q: %v", len(changes), changes[0].Entry.Key, err)
	}
	return out
}

// tryCommit checks the result only if there is one. It is for other goroutines too: it calls Errorf, not Fatalf.
func (f *fixture) tryCommit(l ledger.Ledger, changes ...ledger.Change) ([]ledger.Entry, error) {
	f.Helper()
	ctx, cancel := background()
	defer cancel()
	out, err := l.Commit(ctx, changes...)
	switch {
	case err != nil && len(out) > 0:
		f.Errorf("Commit returned %d entries along with error %v", len(out), err)
	case err == nil && len(out) != len(changes):
		err = fmt.Errorf("commit of %d changes returned %d entries: there must be one for each change", len(changes), len(out))
	case err == nil:
		for i, c := range changes {
			f.checkCommitted(out[i], c)
		}
	}
	return out, err
}

// checkCommitted checks an entry that Commit returned.
func (f *fixture) checkCommitted(got ledger.Entry, c ledger.Change) {
	f.Helper()
	if c.Delete {
		if want := (ledger.Entry{Key: c.Entry.Key}); !reflect.DeepEqual(got, want) {
			f.Errorf("Commit returned %+v for the deletion of %.80q, want an Entry with only the Key", got, c.Entry.Key)
		}
		return
	}
	want := c.Entry
	want.Version++
	if d := differ(got, want); d != "" {
		f.Errorf("Commit of key %.80q, version %d, returned an entry that is not the one as it is now stored: %s", want.Key, c.Entry.Version, d)
	}
	f.checkTimes(got)
}

func (f *fixture) checkTimes(e ledger.Entry) {
	f.Helper()
	if e.Created.IsZero() || e.Updated.IsZero() {
		f.Errorf("entry %.80q has Created %s and Updated %s: the ledger sets both", e.Key, e.Created, e.Updated)
	}
	if e.Version == 1 && !e.Created.Equal(e.Updated) {
		f.Errorf("entry %.80q of version 1 has Created %s and Updated %s: its first change is its last", e.Key, e.Created, e.Updated)
	}
	for _, at := range []time.Time{e.Created, e.Updated, e.Due} {
		if at.Nanosecond()%1000 != 0 {
			f.Errorf("entry %.80q has the time %s: times are kept to the microsecond", e.Key, at)
		}
	}
}

// get returns the entry under a key, which must be there.
func (f *fixture) get(key string) ledger.Entry {
	f.Helper()
	ctx, cancel := background()
	defer cancel()
	e, err := f.ledger.Get(ctx, key)
	if err != nil {
		f.Fatalf("Get of key %.80q: %v", key, err)
	}
	if e.Key != key || e.Version == 0 {
		f.Fatalf("Get of key %.80q returned key %.80q of version %d", key, e.Key, e.Version)
	}
	f.checkTimes(e)
	return e
}

func (f *fixture) wantNone(key, rule string) {
	f.Helper()
	ctx, cancel := background()
	defer cancel()
	if e, err := f.ledger.Get(ctx, key); !errors.Is(err, ledger.ErrNotFound) {
		f.Fatalf("Get of key %.80q returned version %d and error %v, want ErrNotFound: %s", key, e.Version, err, rule)
	}
}

// list returns a page, whose size and order must be right.
func (f *fixture) list(q ledger.Query) []ledger.Entry {
	f.Helper()
	out, err := tryList(f.ledger, q)
	if err != nil {
		f.Fatalf("List of %+v: %v", q, err)
	}
	limit := q.Max
	if limit == 0 {
		limit = ledger.DefaultPage
	}
	if len(out) > limit {
		f.Fatalf("List of %+v returned %d entries", q, len(out))
	}
	after := q.After
	for _, e := range out {
		if e.Key <= after {
			f.Fatalf("List of %+v has key %.80q after %.80q: keys rise by their bytes, each comes once, and After is excluded", q, e.Key, after)
		}
		after = e.Key
		f.checkTimes(e)
	}
	return out
}

func tryList(l ledger.Ledger, q ledger.Query) ([]ledger.Entry, error) {
	ctx, cancel := background()
	defer cancel()
	return l.List(ctx, q)
}

// all lists everything that q selects, a page at a time.
func (f *fixture) all(q ledger.Query) []ledger.Entry {
	f.Helper()
	if q.Max == 0 {
		q.Max = 300
	}
	var all []ledger.Entry
	for {
		page := f.list(q)
		all = append(all, page...)
		if len(page) < q.Max {
			return all
		}
		q.After = page[len(page)-1].Key
	}
}

// due returns what is due, whose order must be right.
func (f *fixture) due(now time.Time, max int) []ledger.Entry {
	f.Helper()
	ctx, cancel := background()
	defer cancel()
	out, err := f.ledger.Due(ctx, now, max)
	if err != nil {
		f.Fatalf("Due at %s, at most %d: %v", now, max, err)
	}
	if len(out) > max {
		f.Fatalf("Due with max %d returned %d entries", max, len(out))
	}
	for i, e := range out {
		if e.Due.IsZero() || e.Due.After(now) {
			f.Fatalf("Due at %s returned entry %.80q, which is due at %s", now, e.Key, e.Due)
		}
		if i == 0 {
			continue
		}
		if before := out[i-1]; before.Due.After(e.Due) || before.Due.Equal(e.Due) && before.Key >= e.Key {
			f.Fatalf("Due returned %.80q (%s) after %.80q (%s): what is due longest comes first, and of the same time the lesser key", e.Key, e.Due, before.Key, before.Due)
		}
	}
	return out
}

// wantKeys checks that got are the entries of those keys, in that order.
func (f *fixture) wantKeys(got []ledger.Entry, want []string, rule string, args ...any) {
	f.Helper()
	if keys := keysOf(got); strings.Join(keys, "\x00|") != strings.Join(want, "\x00|") {
		f.Fatalf("%s:\n got %d %.800q\nwant %d %.800q", fmt.Sprintf(rule, args...), len(keys), keys, len(want), want)
	}
}

func keysOf(entries []ledger.Entry) []string {
	keys := make([]string, len(entries))
	for i, e := range entries {
		keys[i] = e.Key
	}
	return keys
}

// wantEntries checks that got are those entries, the times of their changes too.
func (f *fixture) wantEntries(got, want []ledger.Entry, rule string, args ...any) {
	f.Helper()
	f.wantKeys(got, keysOf(want), rule, args...)
	for i, e := range got {
		d := differ(e, want[i])
		if d == "" && (!e.Created.Equal(want[i].Created) || !e.Updated.Equal(want[i].Updated)) {
			d = fmt.Sprintf("Created is %s and Updated %s, want %s and %s", e.Created, e.Updated, want[i].Created, want[i].Updated)
		}
		if d != "" {
			f.Fatalf("%s: entry %.80q is not what Commit returned: %s", fmt.Sprintf(rule, args...), e.Key, d)
		}
	}
}

// differ says in what got is not want, leaving aside the times that the ledger sets.
func differ(got, want ledger.Entry) string {
	for _, c := range []struct{ field, got, want string }{
		{"Key", got.Key, want.Key}, {"Version", fmt.Sprint(got.Version), fmt.Sprint(want.Version)},
		{"Kind", got.Kind, want.Kind}, {"State", got.State, want.State},
		{"Room", got.Room, want.Room}, {"User", got.User, want.User},
	} {
		if c.got != c.want {
			return fmt.Sprintf("%s is %.80q, want %.80q", c.field, c.got, c.want)
		}
	}
	due := want.Due
	if !due.IsZero() {
		due = time.UnixMicro(due.UnixMicro())
	}
	if !got.Due.Equal(due) {
		return fmt.Sprintf("Due is %s, want %s", got.Due, due)
	}
	if !sameJSON(got.Data, want.Data) {
		return fmt.Sprintf("Data is %.200q, want a JSON value equal to %.200q", got.Data, want.Data)
	}
	return ""
}

// sameJSON tells whether a ledger may return got for want.
func sameJSON(got, want json.RawMessage) bool {
	if len(want) == 0 {
		want = json.RawMessage("null")
	}
	if bytes.Equal(got, want) {
		return true
	}
	g, err := decode(got)
	if err != nil {
		return false
	}
	w, err := decode(want)
	return err == nil && reflect.DeepEqual(g, w)
}

// decode makes values comparable: numbers become fractions in lowest terms.
func decode(data json.RawMessage) (any, error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("more than one value")
	}
	return fractions(v), nil
}

// exact is a number; its type keeps it apart from a string of the same digits.
type exact string

func fractions(v any) any {
	switch v := v.(type) {
	case json.Number:
		if r, ok := new(big.Rat).SetString(v.String()); ok {
			return exact(r.RatString())
		}
	case []any:
		for i := range v {
			v[i] = fractions(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = fractions(v[k])
		}
	}
	return v
}

// concurrently runs one goroutine per unit of Concurrency and waits for them. Those with odd
// numbers use the second ledger, if there is one. They may call Errorf, but not Fatalf.
func (f *fixture) concurrently(do func(g int, l ledger.Ledger)) {
	f.Helper()
	ledgers := []ledger.Ledger{f.ledger, f.ledger}
	if f.h.Second != nil {
		ledgers[1] = f.h.Second(f.t, f.ledger)
	}
	var wg sync.WaitGroup
	start := make(chan struct{})
	for g := range f.h.Concurrency {
		wg.Go(func() {
			<-start
			do(g, ledgers[g%2])
		})
	}
	close(start)
	wg.Wait()
	if f.t.Failed() {
		f.t.FailNow()
	}
}

// change is a change that makes an entry of one word of content.
func change(key string, version uint64, state string) ledger.Change {
	return ledger.Change{Entry: ledger.Entry{
		Key: key, Version: version, Kind: "test.entry", State: state, Data: json.RawMessage(fmt.Sprintf("%q", state)),
	}}
}

func remove(key string, version uint64) ledger.Change {
	return ledger.Change{Entry: ledger.Entry{Key: key, Version: version}, Delete: true}
}

// over changes an entry that Commit or Get returned.
func over(e ledger.Entry, edit func(*ledger.Entry)) ledger.Change {
	edit(&e)
	return ledger.Change{Entry: e}
}
