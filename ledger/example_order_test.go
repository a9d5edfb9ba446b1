package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/liveim/im/ledger"
)

// order is the Data of an entry of kind "order".
type order struct {
	Gift  string `json:"gift"`
	Cents int    `json:"cents"`
}

// bank charges each reference once, as payment services do when they are given one.
type bank map[string]int

func (b bank) charge(reference string, cents int) { b[reference] = cents }

// place takes an order once: a client that got no answer may send it again. The key comes from the client's
// id of it, and the entry is due at once, which is the note to self that it is to be charged.
func place(ctx context.Context, l ledger.Ledger, user, cid string, o order, now time.Time) (ledger.Entry, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return ledger.Entry{}, err
	}
	key := "order/" + user + "/" + cid
	out, err := l.Commit(ctx, ledger.Change{Entry: ledger.Entry{
		Key: key, Kind: "order", State: "placed", User: user, Data: data, Due: now,
	}})
	if errors.Is(err, ledger.ErrStale) {
		return l.Get(ctx, key) // it was placed before
	}
	if err != nil {
		return ledger.Entry{}, err
	}
	return out[0], nil
}

// work takes what is due one step on. Any number of processes may run it.
func work(ctx context.Context, l ledger.Ledger, b bank, now time.Time, crash bool) error {
	due, err := l.Due(ctx, now, 100)
	if err != nil {
		return err
	}
	for _, e := range due {
		// Put it off first: others leave it alone meanwhile, and it is due again if this process dies.
		e.Due = now.Add(time.Minute)
		out, err := l.Commit(ctx, ledger.Change{Entry: e})
		if errors.Is(err, ledger.ErrStale) {
			continue // another process has it
		}
		if err != nil {
			return err
		}
		e = out[0]
		var o order
		if err := json.Unmarshal(e.Data, &o); err != nil {
			return err
		}
		switch e.State {
		case "placed":
			b.charge(e.Key, o.Cents) // may be the second time, after a crash: the reference is the same
			if crash {
				fmt.Println("crash after charging", e.Key)
				return nil
			}
			e.State, e.Due = "charged", now // and the gift is to be shown
		case "charged":
			fmt.Printf("%s sends a %s\n", e.User, o.Gift) // room.Send with the key as the event's id
			e.State, e.Due = "done", time.Time{}
		}
		if _, err := l.Commit(ctx, ledger.Change{Entry: e}); err != nil {
			return err
		}
	}
	return nil
}

// An order moves from state to state by commits that name its version, and Due says that there is more to do.
// Whatever is lost on the way, an answer or a process, it is charged and shown once.
func Example_order() {
	ctx := context.Background()
	l := ledger.NewMemory() // storage/bolt or storage/postgres where money is real
	b := bank{}
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

	for range 2 { // the client repeats it, as the first answer was lost
		e, err := place(ctx, l, "alice", "c1", order{Gift: "rose", Cents: 99}, now)
		fmt.Println(e.Key, e.State, e.Version, err)
	}
	for i := range 4 {
		if err := work(ctx, l, b, now, i == 0); err != nil {
			fmt.Println(err)
		}
		now = now.Add(time.Minute)
	}
	e, err := l.Get(ctx, "order/alice/c1")
	fmt.Println(e.State, e.Due.IsZero(), b, err)
	// Output:
	// order/alice/c1 placed 1 <nil>
	// order/alice/c1 placed 1 <nil>
	// crash after charging order/alice/c1
	// alice sends a rose
	// done true map[order/alice/c1:99] <nil>
}
