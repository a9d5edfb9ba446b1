package gift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/ledger"
)

// chaos decides which calls fail, and whether they were carried out before. It is quiet until it is switched on.
type chaos struct {
	mu   sync.Mutex // protects the fields below
	rng  *rand.Rand
	rate int // of 100 calls
}

var errChaos = errors.New("no answer")

// lot draws whether a call fails before and after it has been carried out.
func (c *chaos) lot() (before, after bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rng.IntN(100) >= c.rate {
		return false, false
	}
	after = c.rng.IntN(2) == 0
	return !after, after
}

func (c *chaos) set(rate int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rate = rate
}

func (c *chaos) do(call func() error) error {
	before, after := c.lot()
	if before {
		return errChaos
	}
	if err := call(); err != nil {
		return err
	}
	if after {
		return errChaos
	}
	return nil
}

// faultyLedger is a ledger whose commits may have no answer.
type faultyLedger struct {
	*ledger.Memory
	chaos *chaos
}

func (l *faultyLedger) Commit(ctx context.Context, changes ...ledger.Change) (out []ledger.Entry, err error) {
	err = l.chaos.do(func() error {
		out, err = l.Memory.Commit(ctx, changes...)
		return err
	})
	return out, err
}

// world is what survives the processes that work in it, and the model of what has been asked of them.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	failed error
	log    *faultyLog
	book   *ledger.Memory
	bank   *bank
	chaos  chaos
	nodes  [2]struct { // two processes that share the log and the ledger
		hub    *imtest.Hub
		gifts  *Gifts
		people []*imtest.Viewer
	}
	// asked are the calls that a giver has made, with what they should cost; told is what was answered.
	asked map[string]int64
	told  map[string]string
	next  int
}

func (w *world) start() {
	for n := range w.nodes {
		node := &w.nodes[n]
		node.hub = imtest.NewHub(w.t, &im.Options{
			Log: w.log, Secret: []byte("0123456789abcdef"), Logger: slog.New(slog.DiscardHandler),
			Limits: im.Limits{Requests: im.Unlimited},
		})
		o := testOptions(&faultyLedger{w.book, &w.chaos})
		o.Expire = 10 * time.Minute
		g, err := New(node.hub.Hub, w.bank, &o)
		if err != nil {
			w.t.Fatal(err)
		}
		node.gifts, node.people = g, nil
		for _, user := range []string{"ann", "bob"} {
			node.people = append(node.people, node.hub.Join("42", im.User{ID: user}))
		}
	}
}

// gifts are those of one of the nodes.
func (w *world) gifts() *Gifts { return w.nodes[w.rng.IntN(2)].gifts }

// crash ends the processes with all that they are doing.
func (w *world) crash() {
	for n := range w.nodes {
		node := &w.nodes[n]
		node.gifts.end()
		_ = node.gifts.Close(context.Background())
		_ = node.hub.Close()
	}
}

// call makes a call, or one again.
func (w *world) call(person int, cid string, cost int64) {
	body := fmt.Sprintf(`{"gift":"rose","count":%d}`, cost/99)
	raw, err := w.nodes[w.rng.IntN(2)].people[person].CallAs("gift.send", "42", cid, json.RawMessage(body))
	name := fmt.Sprintf("%d%s", person, cid)
	w.asked[name] = cost
	if err != nil {
		return
	}
	var r result
	if err := json.Unmarshal(raw, &r); err != nil {
		w.t.Fatal(err)
	}
	if before := w.told[name]; before != "" && before != r.Order {
		w.fail("%s was order %s and is %s", name, before, r.Order)
	}
	w.told[name] = r.Order
}

// fail notes the first thing that is wrong.
func (w *world) fail(format string, args ...any) {
	if w.failed == nil {
		w.failed = fmt.Errorf(format, args...)
	}
}

// one is one of the orders that givers were told of, and what it costs.
func (w *world) one() (id string, cost int64) {
	for _, name := range slices.Sorted(maps.Keys(w.told)) {
		if id, cost = w.told[name], w.asked[name]; w.rng.IntN(3) == 0 {
			break
		}
	}
	return id, cost
}

// The steps of the model.
const (
	stepGive = iota
	stepGiveMore
	stepAgain
	stepTrouble
	stepWait
	stepCrash
	stepRefund
	stepNotify
	stepCount
)

func (w *world) step(step int) {
	switch step {
	case stepGive, stepGiveMore:
		w.next++
		w.call(w.rng.IntN(2), fmt.Sprint("c", w.next), 99*(1+w.rng.Int64N(5)))
	case stepAgain:
		for _, name := range slices.Sorted(maps.Keys(w.asked)) {
			if w.rng.IntN(3) == 0 {
				w.call(int(name[0]-'0'), name[1:], w.asked[name])
				return
			}
		}
	case stepTrouble:
		w.chaos.set([]int{0, 5, 30}[w.rng.IntN(3)])
	case stepWait:
		<-time.After(time.Duration(1+w.rng.IntN(90)) * time.Second)
	case stepCrash:
		w.crash()
		w.start()
	case stepRefund:
		if id, _ := w.one(); id != "" {
			_ = w.gifts().Refund(context.Background(), id, "") // what is not delivered is refused
		}
	case stepNotify:
		// The bank has it paid, or says so if that is not to be had.
		id, cost := w.one()
		o := Order{ID: id, Amount: cost}
		if id != "" && w.bank.Reserve(context.Background(), o) == nil && w.bank.Commit(context.Background(), o) == nil {
			_ = w.gifts().Notify(context.Background(), Notification{Order: id, Result: Paid, Amount: cost, Currency: "coin"})
		}
	}
}

// settle lets the world come to rest, and compares its books.
func (w *world) settle() {
	w.chaos.set(0)
	<-time.After(20 * time.Minute)
	orders, err := w.gifts().Orders(context.Background(), Query{Max: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	events := map[string]int{}
	for _, e := range gifts(w.t, w.nodes[0].hub) {
		events[e.ID]++
	}
	var delivered int64
	for _, o := range orders {
		a := w.bank.book[o.ID]
		var taken int64
		if a != nil {
			taken = a.taken()
		}
		seen := 0
		if o.State == StateDelivered || o.State == StateRefunded {
			seen = 1
		}
		want := int64(0)
		if o.State == StateDelivered {
			want = o.Amount
			delivered += o.Amount
		}
		if !o.State.Final() || o.State == StateReview || events[o.ID] != seen || taken != want {
			w.fail("order %+v: the bank has %d, the room %d events", o, taken, events[o.ID])
		}
		delete(events, o.ID)
	}
	if len(events) != 0 || len(orders) > len(w.asked) {
		w.fail("%d orders of %d calls, %d events without an order", len(orders), len(w.asked), len(events))
	}
	var counted int64
	for _, giver := range w.shown() {
		counted += giver.Amount
	}
	if counted != delivered {
		w.fail("delivered %d, and the top givers have %d", delivered, counted)
	}
}

// shown are the top givers in the state of the room.
func (w *world) shown() []Giver {
	value, version, err := w.nodes[0].hub.Room("42").State().Get(context.Background(), "gift.top.all")
	var l TopList
	if err != nil || version != 0 && json.Unmarshal(value, &l) != nil {
		w.t.Fatal(err)
	}
	return l.Top
}

// Orders over processes that die, a ledger, a log and a bank that do not answer, or have done it all the same: in the end
// what the bank has, what the room has seen and what is counted agree, and every order is final.
func TestOrdersAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, stepCount-1), 1, 60).Draw(rt, "steps")
		seed := rapid.Uint64().Draw(rt, "seed")
		var failure error
		synctest.Test(t, func(t *testing.T) { failure = playOrders(t, steps, seed) })
		if failure != nil {
			rt.Fatal(failure)
		}
	})
}

func playOrders(t *testing.T, steps []int, seed uint64) error {
	log, err := im.NewMemoryLog(&im.MemoryLogOptions{KeepAge: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, log: &faultyLog{MemoryLog: log}, book: ledger.NewMemory(), bank: newBank(), rng: rand.New(rand.NewPCG(seed, 2)),
		asked: map[string]int64{}, told: map[string]string{},
	}
	w.chaos.rng = rand.New(rand.NewPCG(seed, 1))
	w.log.fault = w.chaos.do
	w.bank.set(
		func(context.Context, string, string) error { return w.chaos.do(func() error { return nil }) },
		func(_ context.Context, call, _ string) error {
			before, after := w.chaos.lot()
			switch {
			case before && call != "refund":
				return ErrPending
			case after:
				return errChaos
			}
			return nil
		})
	w.start()
	for _, step := range steps {
		w.step(step)
	}
	w.settle()
	w.crash()
	return w.failed
}
