package gift

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/ledger"
)

// account is what a bank has of one order or payout.
type account struct {
	amount                      int64
	reserved, committed, undone bool
	calls                       int
}

// taken is what the bank has of the giver's money.
func (a *account) taken() int64 {
	if a.committed && !a.undone {
		return a.amount
	}
	return 0
}

// bank is a payment service whose book the tests compare with the ledger. It keeps the contract of Charge; what it does of the call
// before it answers, and what it answers, a test may change.
type bank struct {
	mu   sync.Mutex // protects the fields below
	book map[string]*account
	paid map[string]int64 // payouts

	// before and after are called in each call, with its name. An error of before has the bank do nothing, one of after hides
	// that it has done it.
	before, after func(ctx context.Context, call, id string) error
}

func newBank() *bank { return &bank{book: map[string]*account{}, paid: map[string]int64{}} }

func (b *bank) call(ctx context.Context, call string, id string, amount int64, f func(a *account) error) error {
	b.mu.Lock()
	before, after := b.before, b.after
	b.mu.Unlock()
	if before != nil {
		if err := before(ctx, call, id); err != nil {
			return err
		}
	}
	b.mu.Lock()
	a := b.book[id]
	if a == nil {
		a = &account{amount: amount}
		b.book[id] = a
	}
	a.calls++
	err := f(a)
	if a.amount != amount {
		err = fmt.Errorf("order %s was for %d and is for %d", id, a.amount, amount)
	}
	b.mu.Unlock()
	if err == nil && after != nil {
		err = after(ctx, call, id)
	}
	return err
}

func (b *bank) Reserve(ctx context.Context, o Order) error {
	return b.call(ctx, "reserve", o.ID, o.Amount, func(a *account) error {
		if a.undone {
			return &Declined{"the order is over"}
		}
		a.reserved = true
		return nil
	})
}

func (b *bank) Commit(ctx context.Context, o Order) error {
	return b.call(ctx, "commit", o.ID, o.Amount, func(a *account) error {
		if a.undone || !a.reserved {
			return &Declined{"nothing is reserved"}
		}
		a.committed = true
		return nil
	})
}

func (b *bank) Refund(ctx context.Context, o Order) error {
	return b.call(ctx, "refund", o.ID, o.Amount, func(a *account) error {
		a.undone = true
		return nil
	})
}

func (b *bank) Pay(ctx context.Context, p Payout) error {
	return b.call(ctx, "pay", p.ID, p.Amount, func(a *account) error {
		b.paid[p.ID] = p.Amount
		return nil
	})
}

// sum is what the bank has of all orders, and has paid out.
func (b *bank) sum() (taken, paid int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.book {
		taken += a.taken()
	}
	for _, n := range b.paid {
		paid += n
	}
	return taken, paid
}

func (b *bank) set(before, after func(ctx context.Context, call, id string) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before, b.after = before, after
}

// site is a hub with gifts.
type site struct {
	*imtest.Hub
	gifts *Gifts
	bank  *bank
	book  *ledger.Memory
	opts  Options
}

var rose = Item{ID: "rose", Name: "Rose", Price: 99, Effect: "petals", ComboWindow: 5 * time.Second, MaxCount: 100}

func testOptions(l ledger.Ledger) Options {
	return Options{
		Ledger: l, AllowMemory: true, Logger: slog.New(slog.DiscardHandler),
		Catalogue: Items(rose, Item{ID: "ring", Price: 1 << 50}, Item{ID: "euro", Price: 5, Currency: "EUR"}),
		MaxAmount: MaxAmount,
	}
}

// newSite returns a site in memory. change may be nil.
func newSite(t imtest.TB, change func(o *Options), hubOpts *im.Options) *site {
	t.Helper()
	s := &site{bank: newBank(), book: ledger.NewMemory()}
	s.opts = testOptions(s.book)
	s.opts.Payer = s.bank
	if change != nil {
		change(&s.opts)
	}
	if hubOpts == nil {
		hubOpts = &im.Options{}
	}
	hubOpts.Logger = slog.New(slog.DiscardHandler)
	hubOpts.Limits.Requests = im.Unlimited
	s.Hub = imtest.NewHub(t, hubOpts)
	s.gifts = open(t, s.Hub, s.bank, &s.opts)
	return s
}

func open(t imtest.TB, hub *imtest.Hub, c Charge, o *Options) *Gifts {
	t.Helper()
	g, err := New(hub.Hub, c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return g
}

// code is the code of a refusal.
func code(err error) im.Code {
	var e *im.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// inState waits until an order is in a state.
func inState(t *testing.T, g *Gifts, id string, want State) Order {
	t.Helper()
	deadline := time.After(time.Hour) // of the bubble
	for {
		o, err := g.Order(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if o.State == want {
			return o
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			t.Fatalf("order %s is %s (%s), want %s", id, o.State, o.Reason, want)
		}
	}
}
