package ledgertest

import (
	"fmt"
	"time"

	"github.com/liveim/im/ledger"
)

var dueCases = []testCase{
	{"LongestFirst", testDueOrder},
	{"ToTheMicrosecond", testDueMicrosecond},
	{"Outbox", testOutbox},
}

// dueAt is a change that makes an entry that is due.
func dueAt(key string, version uint64, at time.Time) ledger.Change {
	c := change(key, version, "due")
	c.Entry.Due = at
	return c
}

func testDueOrder(f *fixture) {
	base := noon()
	var changes []ledger.Change
	var want []string
	for i := range 60 {
		want = append(want, fmt.Sprintf("%d/key", 99-i)) // keys fall while times rise
		k := (i * 17) % 60
		changes = append(changes, dueAt(fmt.Sprintf("%d/key", 99-k), 0, base.Add(time.Duration(k)*time.Minute)))
	}
	f.commit(append(changes, change("never", 0, ""))...)
	for _, n := range []int{0, 1, 7, 60} {
		now := base.Add(time.Duration(n-1) * time.Minute)
		f.wantKeys(f.due(now, 100), want[:n], "what is due at the %dth minute", n-1)
		if n > 1 {
			f.wantKeys(f.due(now, n-1), want[:n-1], "the %d that are due longest", n-1)
		}
	}
	f.wantKeys(f.due(time.Time{}, 100), nil, "nothing is due at the zero time, and what has no Due never is")
	f.wantKeys(f.due(base.AddDate(5000, 0, 0), 100), want, "all is due in the far future")
	f.commit(dueAt("tie b", 0, base), dueAt("tie a", 0, base), dueAt("tie c", 0, base))
	f.wantKeys(f.due(base, 100), []string{want[0], "tie a", "tie b", "tie c"}, "of the same time the lesser key comes first")
}

func testDueMicrosecond(f *fixture) {
	at := noon().Truncate(time.Microsecond)
	e := f.commit(dueAt("key", 0, at.Add(999)))[0]
	if !e.Due.Equal(at) || !f.get("key").Due.Equal(at) {
		f.Fatalf("a Due of %s came back as %s, want %s: what is finer than a microsecond is cut off", at.Add(999), e.Due, at)
	}
	for _, c := range []struct {
		now  time.Time
		want []string
	}{
		{at.Add(-time.Microsecond), nil},
		{at.Add(-1), nil},
		{at, []string{"key"}},
		{at.Add(1), []string{"key"}},
		{at.UTC(), []string{"key"}},
		{at.In(time.FixedZone("", -11*3600)), []string{"key"}},
	} {
		f.wantKeys(f.due(c.now, 10), c.want, "Due at %s of an entry that is due at %s", c.now, at)
	}
}

// testOutbox works entries off as features do: what is due is put off, done, or removed.
func testOutbox(f *fixture) {
	now := noon()
	for i := range 5 {
		f.commit(dueAt(fmt.Sprint("task/", i), 0, now.Add(time.Duration(i))))
	}
	first := f.due(now.Add(time.Second), 3)
	f.wantKeys(first, []string{"task/0", "task/1", "task/2"}, "the first three")
	f.wantKeys(f.due(now.Add(time.Second), 3), keysOf(first), "what is due stays due until a commit changes it")

	f.commit(
		over(first[0], func(e *ledger.Entry) { e.State, e.Due = "done", time.Time{} }),
		over(first[1], func(e *ledger.Entry) { e.Due = now.Add(time.Hour) }),
		remove("task/2", 1),
	)
	f.wantKeys(f.due(now.Add(time.Second), 3), []string{"task/3", "task/4"}, "what was done, put off or deleted is not due now")
	f.wantKeys(f.due(now.Add(time.Hour), 10), []string{"task/3", "task/4", "task/1"}, "what was put off is due later, after what is due longer")
	f.commit(over(f.get("task/0"), func(e *ledger.Entry) { e.Due = now.Add(-time.Hour) }))
	f.commit(over(f.get("task/1"), func(e *ledger.Entry) { e.State = "same Due" }))
	f.wantKeys(f.due(now.Add(time.Hour), 10), []string{"task/0", "task/3", "task/4", "task/1"}, "an entry may become due again, and one whose Due stays is due once")
}
