package ledgertest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/liveim/im/ledger"
)

// testRestart checks what must hold over a restart, clean or not: all that Commit
// acknowledged is there, as it was.
func testRestart(f *fixture, restart func(t *testing.T, old ledger.Ledger) ledger.Ledger) {
	for round := range 4 {
		for i := range 10 {
			c := change(fmt.Sprintf("key/%d/%d", round, i), 0, "new")
			c.Entry.Room, c.Entry.User, c.Entry.Due = "room", fmt.Sprint("user ", i%3), noon().Add(time.Duration(i)*time.Second)
			f.commit(c)
		}
		if round > 0 {
			f.commit(
				over(f.get(fmt.Sprintf("key/%d/0", round-1)), func(e *ledger.Entry) { e.State, e.Room, e.Due = "moved", "other room", time.Time{} }),
				remove(fmt.Sprintf("key/%d/1", round-1), 1),
			)
		}
		all, room, user, due := f.all(ledger.Query{}), f.all(ledger.Query{Room: "room"}), f.all(ledger.Query{User: "user 1"}), f.due(noon().Add(5*time.Second), 1000)
		if f.ledger = restart(f.t, f.ledger); f.ledger == nil {
			f.Fatalf("ledgertest: the harness returned a nil ledger after a restart")
		}
		const rule = "what Commit acknowledged is as it was after a restart, round %d, by "
		f.wantEntries(f.all(ledger.Query{}), all, rule+"List", round)
		f.wantEntries(f.all(ledger.Query{Room: "room"}), room, rule+"List of a room", round)
		f.wantEntries(f.all(ledger.Query{User: "user 1"}), user, rule+"List of a user", round)
		f.wantEntries(f.due(noon().Add(5*time.Second), 1000), due, rule+"Due", round)
		f.wantStale(map[string]uint64{all[0].Key: all[0].Version}, change(all[0].Key, 0, "again"))
	}
}

func testClosed(f *fixture) {
	f.commit(change("key", 0, ""))
	f.h.Close(f.t, f.ledger)
	ctx, cancel := background()
	defer cancel()
	for name, call := range f.calls(ctx) {
		if err := call(); !errors.Is(err, ledger.ErrClosed) {
			f.Errorf("%s of a closed ledger returned error %v, want ErrClosed", name, err)
		}
	}
}
