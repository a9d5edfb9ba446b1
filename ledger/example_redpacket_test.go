package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/liveim/im/ledger"
)

// packet is the Data of a red packet: what is left to be taken. The shares were drawn when it was made.
type packet struct {
	Shares []int `json:"shares"` // cents
}

var errEmpty = errors.New("the red packet is empty")

// claim gives a user one share of a red packet, the same one however often they ask.
func claim(ctx context.Context, l ledger.Ledger, key, user string) (cents int, err error) {
	mine := key + "/" + user
	for {
		got, err := l.Get(ctx, mine)
		if err == nil {
			return cents, errors.Join(err, json.Unmarshal(got.Data, &cents))
		}
		if !errors.Is(err, ledger.ErrNotFound) {
			return 0, err
		}
		e, err := l.Get(ctx, key)
		if err != nil {
			return 0, err
		}
		var p packet
		if err := json.Unmarshal(e.Data, &p); err != nil {
			return 0, err
		}
		if len(p.Shares) == 0 {
			return 0, errEmpty
		}
		cents, p.Shares = p.Shares[0], p.Shares[1:]
		if e.Data, err = json.Marshal(p); err != nil {
			return 0, err
		}
		if len(p.Shares) == 0 {
			e.State, e.Due = "empty", time.Time{} // nothing to give back when it ends
		}
		// The share leaves the packet and becomes the user's in one commit, or neither.
		_, err = l.Commit(ctx,
			ledger.Change{Entry: e},
			ledger.Change{Entry: ledger.Entry{Key: mine, Kind: "packet.claim", User: user, Room: e.Room, Data: fmt.Append(nil, cents)}},
		)
		if !errors.Is(err, ledger.ErrStale) { // which means that somebody else was faster: look again
			return cents, err
		}
	}
}

// A red packet is shared out to whoever is fast, in whole and never twice, from any number of processes.
func Example_redPacket() {
	ctx := context.Background()
	l := ledger.NewMemory()
	data, _ := json.Marshal(packet{Shares: []int{250, 30, 120, 600}})
	if _, err := l.Commit(ctx, ledger.Change{Entry: ledger.Entry{
		Key: "packet/1", Kind: "packet", State: "open", Room: "42", User: "host", Data: data,
		Due: time.Now().Add(24 * time.Hour), // when what is left goes back to the host
	}}); err != nil {
		fmt.Println(err)
	}
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			for range 2 { // everybody taps twice
				if _, err := claim(ctx, l, "packet/1", fmt.Sprint("user", i)); err != nil && !errors.Is(err, errEmpty) {
					fmt.Println(err)
				}
			}
		})
	}
	wg.Wait()

	claims, err := l.List(ctx, ledger.Query{Room: "42", Kind: "packet.claim"})
	sum := 0
	for _, e := range claims {
		var cents int
		err = errors.Join(err, json.Unmarshal(e.Data, &cents))
		sum += cents
	}
	left, getErr := l.Get(ctx, "packet/1")
	fmt.Println(len(claims), "claims of together", sum, "cents;", left.State, string(left.Data), errors.Join(err, getErr))
	// Output: 4 claims of together 1000 cents; empty {"shares":[]} <nil>
}
