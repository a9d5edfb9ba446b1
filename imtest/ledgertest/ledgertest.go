// Package ledgertest is the contract of [ledger.Ledger] as a test suite. Every
// implementation runs it in a test of its own:
//
//	func TestConformance(t *testing.T) {
//		ledgertest.Run(t, func(t *testing.T) ledger.Ledger {
//			l := myledger.Open(t.TempDir())
//			t.Cleanup(func() { l.Close() })
//			return l
//		})
//	}
//
// A [Harness] has it test more: restarts, crashes, what a closed ledger answers, and
// several processes.
//
// The suite assumes nothing that the contract does not say: JSON may come back written
// differently, of several stale changes any may be reported, and a call may take
// seconds. It never sleeps; a call that takes more than 20 seconds has failed. A case
// that fails says which rule was broken.
package ledgertest

import (
	"testing"
	"time"

	"github.com/liveim/im/ledger"
)

// patience is how long one call may take.
const patience = 20 * time.Second

// Harness is how the suite gets at the ledger under test. Fields other than Open
// are optional: what they are for is not tested without them.
type Harness struct {
	// Open returns an empty ledger and has t.Cleanup close it. It is called once for
	// every case. Required.
	Open func(t *testing.T) ledger.Ledger

	// Second returns another ledger on the storage of the first, as another process has
	// it, and has t.Cleanup close it. Cases about concurrency then use both by turns.
	Second func(t *testing.T, first ledger.Ledger) ledger.Ledger

	// Reopen stops a ledger cleanly and returns one with the same storage, as after a
	// restart of the process.
	Reopen func(t *testing.T, old ledger.Ledger) ledger.Ledger

	// Crash is like Reopen, but as after the process was killed. It is for ledgers
	// that are durable.
	Crash func(t *testing.T, old ledger.Ledger) ledger.Ledger

	// Close closes a ledger that Open returned, before its cleanup does.
	Close func(t *testing.T, l ledger.Ledger)

	// Concurrency is how many goroutines use the ledger at once in cases about
	// concurrency. Defaults to 8.
	Concurrency int
}

// Run tests the ledger that open returns. It is short for a [Harness] with nothing
// but Open.
func Run(t *testing.T, open func(t *testing.T) ledger.Ledger) {
	t.Helper()
	Harness{Open: open}.Run(t)
}

// Run tests the ledger of the harness, each rule in a subtest.
func (h Harness) Run(t *testing.T) {
	t.Helper()
	if h.Open == nil {
		t.Fatal("ledgertest: Harness.Open is nil: it must return the ledger under test")
	}
	if h.Concurrency < 1 {
		h.Concurrency = 8
	}
	for _, group := range []struct {
		name  string
		cases []testCase
	}{
		{"Commit", commitCases},
		{"Stale", staleCases},
		{"Bounds", boundsCases},
		{"Names", nameCases},
		{"Due", dueCases},
		{"List", listCases},
		{"Owner", ownerCases},
		{"Context", contextCases},
		{"Concurrency", concurrencyCases},
	} {
		t.Run(group.name, func(t *testing.T) { h.run(t, group.cases) })
	}
	t.Run("Model", func(t *testing.T) { testModel(t, h.Open(t)) })
	if h.Close != nil {
		t.Run("Closed", func(t *testing.T) { testClosed(h.fixture(t)) })
	}
	if h.Reopen != nil {
		t.Run("Reopen", func(t *testing.T) { testRestart(h.fixture(t), h.Reopen) })
	}
	if h.Crash != nil {
		t.Run("Crash", func(t *testing.T) {
			f := h.fixture(t)
			if !f.ledger.Durable() {
				t.Fatal("Durable returns false, but the harness has Crash, which is for ledgers that keep what they have acknowledged")
			}
			testRestart(f, h.Crash)
		})
	}
}

// testCase is one rule.
type testCase struct {
	name string
	test func(*fixture)
}

func (h *Harness) run(t *testing.T, cases []testCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.test(h.fixture(t)) })
	}
}

func (h *Harness) fixture(t *testing.T) *fixture {
	f := newFixture(t, h.Open(t))
	f.t, f.h = t, h
	return f
}
