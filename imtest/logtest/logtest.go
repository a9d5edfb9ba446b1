// Package logtest is the contract of [im.Log] as a test suite. Every
// implementation runs it in a test of its own:
//
//	func TestConformance(t *testing.T) {
//		logtest.Run(t, func(t *testing.T) im.Log {
//			l := mylog.Open(t.TempDir())
//			t.Cleanup(func() { l.Close() })
//			return l
//		})
//	}
//
// A [Harness] has it test more: retention, restarts, the loss of an engine.
// Abilities that a log may add ([im.SnapshotLog] and so on) are tested if it has
// them.
//
// The suite assumes nothing that the contract does not say: positions may
// have holes, delivery may come late and from other goroutines, and a call
// may take seconds. It never sleeps; what does not happen within 10 seconds has
// failed. A case that fails says which rule was broken.
package logtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/liveim/im"
)

// patience is how long one call or one delivery may take.
const patience = 10 * time.Second

// Harness is how the suite gets at the log under test. Fields other than Open
// are optional: what they are for is not tested without them.
type Harness struct {
	// Open returns an empty log and has t.Cleanup close it. It is called once for
	// every case. In each room the log must keep at least 2,000 critical, normal
	// and merged events and 100 volatile ones, and remember their IDs, for a
	// minute at least. Required.
	Open func(t *testing.T) im.Log

	// Reopen stops a log cleanly and returns one with the same storage, as after a
	// restart of the process.
	Reopen func(t *testing.T, old im.Log) im.Log

	// Crash is like Reopen, but as after the process was killed. It is for logs
	// that are at least im.DurabilityLocalFsync.
	Crash func(t *testing.T, old im.Log) im.Log

	// Lose takes the stored events of a room away, as a failover of the engine
	// may, with whatever the log does when it notices.
	Lose func(t *testing.T, l im.Log, room string)

	// Retention says how to open a log that keeps little.
	Retention *Retention

	// Concurrency is how many goroutines use the log at once in cases about
	// concurrency. Defaults to 8.
	Concurrency int
}

// Retention is a log that keeps so little that tests can see it forget.
type Retention struct {
	// Open returns an empty log, and a function that moves its clock by d, which
	// may be 0, and has the log drop what is past its retention. Required.
	Open func(t *testing.T) (l im.Log, advance func(d time.Duration))

	// Events and Volatile are how many critical, normal and merged events, and
	// how many volatile ones, a room of the log keeps. Both must be at least 10.
	// Required.
	Events, Volatile int

	// Slack is how many more of each it may keep for a while, because it drops
	// them a segment at a time. 0 means that the numbers are exact.
	Slack int

	// Age is how long it keeps events, at most; 0 means that this is not tested.
	Age time.Duration
}

// Run tests the log that open returns. It is short for a [Harness] with nothing
// but Open.
func Run(t *testing.T, open func(t *testing.T) im.Log) {
	t.Helper()
	Harness{Open: open}.Run(t)
}

// Run tests the log of the harness, each rule in a subtest.
func (h Harness) Run(t *testing.T) {
	t.Helper()
	if h.Open == nil {
		t.Fatal("logtest: Harness.Open is nil: it must return the log under test")
	}
	if h.Concurrency < 1 {
		h.Concurrency = 8
	}
	for _, group := range []struct {
		name  string
		cases []testCase
	}{
		{"Append", appendCases},
		{"Idempotence", idempotenceCases},
		{"Read", readCases},
		{"Gap", gapCases},
		{"Follow", followCases},
		{"Stop", stopCases},
		{"Names", nameCases},
		{"Context", contextCases},
	} {
		t.Run(group.name, func(t *testing.T) { h.run(t, group.cases) })
	}
	t.Run("Model", func(t *testing.T) { modelAll(t, h.Open(t), noLimit, noLimit, func() {}) })

	if _, ok := h.Open(t).(im.SnapshotLog); ok {
		t.Run("Snapshot", func(t *testing.T) { h.run(t, snapshotCases) })
	}
	if _, ok := h.Open(t).(im.SecretLog); ok {
		t.Run("Secret", func(t *testing.T) { testSecret(h.fixture(t), h.Reopen) })
	}
	if _, ok := h.Open(t).(im.Eraser); ok {
		t.Run("Erase", func(t *testing.T) { h.run(t, eraseCases) })
		if h.Reopen != nil {
			t.Run("EraseReopen", func(t *testing.T) { testErasedStaysSo(h.fixture(t), h.Reopen) })
		}
	}
	if h.Reopen != nil {
		t.Run("Reopen", func(t *testing.T) { testRestart(h.fixture(t), h.Reopen) })
	}
	if h.Crash != nil {
		t.Run("Crash", func(t *testing.T) { testRestart(h.fixture(t), h.Crash) })
	}
	if h.Lose != nil {
		t.Run("Lose", func(t *testing.T) { testLose(h.fixture(t)) })
	}
	if h.Retention != nil {
		t.Run("Retention", h.Retention.run)
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

func (r *Retention) run(t *testing.T) {
	if r.Open == nil || r.Events < 10 || r.Volatile < 10 {
		t.Fatal("logtest: Harness.Retention needs Open, and Events and Volatile of at least 10")
	}
	for _, c := range retentionCases {
		t.Run(c.name, func(t *testing.T) {
			l, advance := r.Open(t)
			c.test(newFixture(t, l), r, advance)
		})
	}
	if r.Age > 0 {
		t.Run("EventsPastTheirAgeAreDropped", func(t *testing.T) {
			l, advance := r.Open(t)
			testAge(newFixture(t, l), r, advance)
		})
	}
	if r.Slack == 0 {
		t.Run("Model", func(t *testing.T) {
			l, advance := r.Open(t)
			modelAll(t, l, r.Events, r.Volatile, func() { advance(0) })
		})
	}
}

// names returns n strings that begin with prefix and sort as they are numbered.
func names(prefix string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%05d", prefix, i)
	}
	return ids
}
