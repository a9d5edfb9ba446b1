package postgres

import (
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest/ledgertest"
	"github.com/liveim/im/imtest/logtest"
	"github.com/liveim/im/ledger"
)

func TestLogConformance(t *testing.T) {
	again := func(t *testing.T, old im.Log) im.Log {
		old.(*Log).Close()
		return openLog(t, old.(*Log).opts)
	}
	logtest.Harness{
		Open: func(t *testing.T) im.Log {
			return openLog(t, LogOptions{Schema: newSchema(t), Poll: 100 * time.Millisecond})
		},
		Reopen: again,
		Crash: func(t *testing.T, old im.Log) im.Log {
			server.crashQuietly(t)
			return again(t, old)
		},
		Lose: func(t *testing.T, l im.Log, room string) {
			run(t, l.(*Log).schema.sql("DELETE FROM @.room WHERE name = $1"), []byte(room))
		},
		Retention: &logtest.Retention{
			Open: func(t *testing.T) (im.Log, func(time.Duration)) {
				c := &testClock{}
				l := openLog(t, LogOptions{Schema: newSchema(t), KeepEvents: 40, KeepVolatile: 10, DedupEvents: 50, Now: c.Now})
				return l, func(d time.Duration) { c.trimAfter(t, l, d) }
			},
			Events: 40, Volatile: 10, Age: 10 * time.Minute,
		},
	}.Run(t)
}

func TestLedgerConformance(t *testing.T) {
	names := map[ledger.Ledger]string{}
	open := func(t *testing.T, schema string) ledger.Ledger {
		l, err := NewLedger(t.Context(), database(t), &LedgerOptions{Schema: schema})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		names[l] = schema
		return l
	}
	ledgertest.Harness{
		Open:   func(t *testing.T) ledger.Ledger { return open(t, newSchema(t)) },
		Second: func(t *testing.T, first ledger.Ledger) ledger.Ledger { return open(t, names[first]) },
		Close:  func(_ *testing.T, l ledger.Ledger) { l.(*Ledger).Close() },
		Crash: func(t *testing.T, old ledger.Ledger) ledger.Ledger {
			server.crashQuietly(t)
			return open(t, names[old])
		},
	}.Run(t)
}

// testClock is a clock that tests move.
type testClock struct {
	mu    sync.Mutex // protects ahead
	ahead time.Duration
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *testClock) trimAfter(t testing.TB, l *Log, d time.Duration) {
	t.Helper()
	c.mu.Lock()
	c.ahead += d
	c.mu.Unlock()
	if err := l.Trim(t.Context(), c.Now()); err != nil {
		t.Fatalf("Trim: %v", err)
	}
}

func openLog(t testing.TB, o LogOptions) *Log {
	t.Helper()
	l, err := NewLog(t.Context(), database(t), &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func run(t testing.TB, statement string, args ...any) {
	t.Helper()
	if _, err := database(t).Exec(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
