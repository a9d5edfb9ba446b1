package ledgertest_test

import (
	"testing"

	"github.com/liveim/im/imtest/ledgertest"
	"github.com/liveim/im/ledger"
)

// TestMemory runs the suite, the parts for restarts too: a memory has none, and the entries are there all the same.
func TestMemory(t *testing.T) {
	ledgertest.Harness{
		Open:   func(t *testing.T) ledger.Ledger { return ledger.NewMemory() },
		Second: func(_ *testing.T, l ledger.Ledger) ledger.Ledger { return l },
		Reopen: func(_ *testing.T, l ledger.Ledger) ledger.Ledger { return l },
	}.Run(t)
}
