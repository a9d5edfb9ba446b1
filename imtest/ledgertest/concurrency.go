package ledgertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/liveim/im/ledger"
)

var concurrencyCases = []testCase{
	{"KeyIsTakenOnce", testTakenOnce},
	{"CounterLosesNothing", testCounter},
	{"RedPacketIsNeverOverspent", testRedPacket},
	{"TransfersKeepTheSum", testTransfers},
	{"DueIsTakenOnce", testDueOnce},
}

// number is an entry whose Data is a number.
func number(e ledger.Entry) int {
	n, err := strconv.Atoi(string(e.Data))
	if err != nil {
		return -1 << 30
	}
	return n
}

func setNumber(e ledger.Entry, n int) ledger.Change {
	e.Data = json.RawMessage(strconv.Itoa(n))
	return ledger.Change{Entry: e}
}

func tryGet(l ledger.Ledger, key string) (ledger.Entry, error) {
	ctx, cancel := background()
	defer cancel()
	return l.Get(ctx, key)
}

// retry repeats a change until it is not stale. It returns false after an error.
func (f *fixture) retry(l ledger.Ledger, decide func() ([]ledger.Change, error)) bool {
	for {
		changes, err := decide()
		if err == nil && changes == nil {
			return true
		}
		if err == nil {
			_, err = f.tryCommit(l, changes...)
		}
		switch {
		case err == nil:
			return true
		case !errors.Is(err, ledger.ErrStale):
			f.Errorf("a goroutine among others: %v", err)
			return false
		}
	}
}

func testTakenOnce(f *fixture) {
	const keys = 30
	var taken [keys]atomic.Int32
	f.concurrently(func(g int, l ledger.Ledger) {
		for i := range keys {
			_, err := f.tryCommit(l, change(fmt.Sprint("key/", i), 0, fmt.Sprint(g)))
			switch {
			case err == nil:
				taken[i].Add(1)
			case !errors.Is(err, ledger.ErrStale):
				f.Errorf("taking a key that others take: %v", err)
			}
		}
	})
	for i := range taken {
		if n := taken[i].Load(); n != 1 {
			f.Errorf("%d callers were told that they took key %d: exactly one takes it", n, i)
		}
	}
}

func testCounter(f *fixture) {
	const each = 25
	f.commit(setNumber(ledger.Entry{Key: "counter"}, 0))
	f.concurrently(func(g int, l ledger.Ledger) {
		for range each {
			if !f.retry(l, func() ([]ledger.Change, error) {
				e, err := tryGet(l, "counter")
				return []ledger.Change{setNumber(e, number(e)+1)}, err
			}) {
				return
			}
		}
	})
	want := each * f.h.Concurrency
	if e := f.get("counter"); number(e) != want || e.Version != uint64(want)+1 {
		f.Fatalf("%d increments, each by Get and Commit until it was not stale, have made %s of version %d: an update was lost", want, e.Data, e.Version)
	}
}

// testRedPacket has more takers than shares; a taker asks twice, as after a lost answer.
func testRedPacket(f *fixture) {
	const shares = 20
	f.commit(setNumber(ledger.Entry{Key: "packet"}, shares))
	f.concurrently(func(g int, l ledger.Ledger) {
		for taker := range shares {
			// Takers of neighbouring goroutines are the same people.
			claim := fmt.Sprintf("packet/claim/%d", (g/2)*shares+taker)
			for range 2 {
				if !f.retry(l, func() ([]ledger.Change, error) {
					if _, err := tryGet(l, claim); !errors.Is(err, ledger.ErrNotFound) {
						return nil, err // they have theirs
					}
					left, err := tryGet(l, "packet")
					if err != nil || number(left) == 0 {
						return nil, err
					}
					return []ledger.Change{setNumber(left, number(left)-1), setNumber(ledger.Entry{Key: claim}, 1)}, nil
				}) {
					return
				}
			}
		}
	})
	left, claims := number(f.get("packet")), len(f.all(ledger.Query{Prefix: "packet/claim/"}))
	people := (f.h.Concurrency + 1) / 2 * shares
	if want := min(shares, people); claims != want || left != shares-want {
		f.Fatalf("a red packet of %d shares has %d claims and %d left: each claim is made in one Commit with what it takes", shares, claims, left)
	}
}

// testTransfers moves amounts to and fro, in both orders of keys, while the sum is read.
func testTransfers(f *fixture) {
	const accounts, moves, sum = 4, 15, 400
	for i := range accounts {
		f.commit(setNumber(ledger.Entry{Key: fmt.Sprint("account/", i), Room: "bank"}, sum/accounts))
	}
	f.concurrently(func(g int, l ledger.Ledger) {
		for i := range moves {
			from, to := fmt.Sprint("account/", (g+i)%accounts), fmt.Sprint("account/", (g+i*3+1)%accounts)
			if from == to {
				continue
			}
			f.retry(l, func() ([]ledger.Change, error) {
				a, err := tryGet(l, from)
				if err != nil {
					return nil, err
				}
				b, err := tryGet(l, to)
				return []ledger.Change{setNumber(a, number(a)-i), setNumber(b, number(b)+i)}, err
			})
			page, err := tryList(l, ledger.Query{Room: "bank"})
			total := 0
			for _, e := range page {
				total += number(e)
			}
			if err != nil || total != sum {
				f.Errorf("List during transfers found %d accounts with a sum of %d and error %v, want %d: a commit is seen in whole, and a page is one consistent view", len(page), total, err, sum)
				return
			}
		}
	})
}

// testDueOnce has several workers work off one outbox.
func testDueOnce(f *fixture) {
	const tasks = 30
	for i := range tasks {
		f.commit(dueAt(fmt.Sprintf("task/%02d", i), 0, noon()))
	}
	var done atomic.Int32
	f.concurrently(func(g int, l ledger.Ledger) {
		for {
			ctx, cancel := background()
			due, err := l.Due(ctx, noon(), 3)
			cancel()
			if err != nil || len(due) == 0 {
				if err != nil {
					f.Errorf("Due among other calls: %v", err)
				}
				return
			}
			task := due[g%len(due)]
			_, err = f.tryCommit(l, change(task.Key, task.Version, "done"))
			switch {
			case err == nil:
				done.Add(1)
			case !errors.Is(err, ledger.ErrStale):
				f.Errorf("taking a task that others take: %v", err)
				return
			}
		}
	})
	if n := done.Load(); n != tasks {
		f.Fatalf("%d workers together have taken %d tasks of %d: each is taken once", f.h.Concurrency, n, tasks)
	}
}
