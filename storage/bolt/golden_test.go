package bolt

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/liveim/im/ledger"
)

var update = flag.Bool("update", false, "write testdata/v1.db and v1.txt anew, which is right only if version 1 was never released")

const goldenFile, goldenText = "testdata/v1.db", "testdata/v1.txt"

// TestFileOfVersion1 opens a file that version 1 has written, for as long as there is this package.
func TestFileOfVersion1(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	path := newPath(t)
	copyFile(t, goldenFile, path)
	l := mustOpen(t, path, nil)
	want, err := os.ReadFile(goldenText)
	if err != nil {
		t.Fatal(err)
	}
	if got := dump(t, l); got != string(want) {
		t.Errorf("%s holds\n%s\nwant\n%s", goldenFile, got, want)
	}
	checkIndexes(t, l)
	if _, err := l.Commit(t.Context(), entry("new", "")); err != nil {
		t.Errorf("a commit to a file of version 1: %v", err)
	}
}

// dump writes what the calls of a ledger return, one entry a line.
func dump(t *testing.T, l *Ledger) string {
	var b strings.Builder
	for _, q := range []ledger.Query{{Max: 1000}, {Room: "room"}, {Room: "\x00\xff"}, {User: "user 1"}} {
		entries, err := l.List(t.Context(), q)
		fmt.Fprintf(&b, "List %+v, error %v\n", q, err)
		dumpEntries(&b, entries)
	}
	entries, err := l.Due(t.Context(), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), 1000)
	fmt.Fprintf(&b, "Due, error %v\n", err)
	dumpEntries(&b, entries)
	return b.String()
}

func dumpEntries(b *strings.Builder, entries []ledger.Entry) {
	for _, e := range entries {
		data := string(e.Data)
		if len(data) > 60 {
			data = fmt.Sprintf("%d bytes", len(data))
		}
		fmt.Fprintf(b, "\t%.20q v%d %q %q %.20q %q %s due %s, %s, %s\n", e.Key, e.Version, e.Kind, e.State, e.Room, e.User, data,
			e.Due.UTC().Format(time.RFC3339Nano), e.Created.UTC().Format(time.RFC3339Nano), e.Updated.UTC().Format(time.RFC3339Nano))
	}
}

func writeGolden(t *testing.T) {
	_ = os.Remove(goldenFile)
	l, err := open(goldenFile, Options{}, &bbolt.Options{PageSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := time.Date(2026, 7, 1, 12, 0, 0, 123456789, time.UTC)
	commit := func(c ...ledger.Change) {
		if _, err := l.Commit(t.Context(), c...); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		e := ledger.Entry{
			Key: fmt.Sprintf("gift/order/%02d", i), Kind: "gift.order", State: "new", Room: "room", User: fmt.Sprint("user ", i%3),
			Data: []byte(fmt.Sprintf(`{"n":%d}`, i)), Due: at.Add(time.Duration(i%7) * time.Hour),
		}
		commit(ledger.Change{Entry: e})
		if e.Version = 1; i%2 == 0 {
			e.State, e.Due = "done", time.Time{}
			commit(ledger.Change{Entry: e})
		}
		if i%5 == 0 {
			commit(ledger.Change{Entry: ledger.Entry{Key: e.Key, Version: uint64(2 - i%2)}, Delete: true})
		}
	}
	commit(
		ledger.Change{Entry: ledger.Entry{Key: "\x00\xff", Room: "\x00\xff", Due: time.Unix(0, 0)}},
		ledger.Change{Entry: ledger.Entry{Key: strings.Repeat("\xff", ledger.MaxKey), Room: strings.Repeat("r", ledger.MaxField), User: "user 1"}},
		ledger.Change{Entry: ledger.Entry{Key: "large", Data: []byte(`"` + strings.Repeat("x", 9000) + `"`)}},
	)
	if err := os.WriteFile(goldenText, []byte(dump(t, l)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkIndexes checks that the indexes hold what the entries say, and nothing else.
func checkIndexes(t *testing.T, l *Ledger) {
	t.Helper()
	want := map[string]bool{}
	err := l.db.View(func(tx *bbolt.Tx) error {
		err := tx.Bucket(entryBucket).ForEach(func(k, v []byte) error {
			r, err := decode(k, v)
			if err != nil {
				return err
			}
			e := r.entry()
			if r.due > 0 {
				want["due "+string(dueKey(e.Due, e.Key))] = true
			}
			if e.Room != "" {
				want["room "+string(nameKey(e.Room, e.Key))] = true
			}
			if e.User != "" {
				want["user "+string(nameKey(e.User, e.Key))] = true
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, name := range []string{"due", "room", "user"} {
			if err := tx.Bucket([]byte(name)).ForEach(func(k, v []byte) error {
				if id := name + " " + string(k); !want[id] {
					t.Errorf("index %s has %q, which no entry asks for", name, k)
				} else {
					delete(want, id)
				}
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("reading the file: %v", err)
	}
	for id := range want {
		t.Errorf("the indexes lack %q", id)
	}
}
