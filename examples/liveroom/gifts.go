package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/gift"
	"github.com/liveim/im/ledger"
	"github.com/liveim/im/storage/bolt"
)

// The gifts of this room. The page knows their looks by their effects.
var catalogue = gift.Items(
	gift.Item{ID: "rose", Name: "Rose", Price: 10, Effect: "rose", ComboWindow: 5 * time.Second},
	gift.Item{ID: "star", Name: "Star", Price: 50, Effect: "star", ComboWindow: 5 * time.Second},
	gift.Item{ID: "crown", Name: "Crown", Price: 500, Effect: "crown", ComboWindow: 5 * time.Second},
	gift.Item{ID: "rocket", Name: "Rocket", Price: 2000, Effect: "rocket"},
)

var giftNames = []string{"rose", "star", "crown", "rocket"}

const (
	// startCoins is what everybody has in the purse who comes here: a real site asks its wallet, or a payment service.
	startCoins = 100_000
	ordersFile = "orders.db"
)

// openOrders opens what keeps the orders beside the rooms: a file, or memory if dir is empty.
func openOrders(dir string) (ledger.Ledger, func() error, error) {
	if dir == "" {
		return ledger.NewMemory(), func() error { return nil }, nil
	}
	l, err := bolt.Open(filepath.Join(dir, ordersFile), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("-data %s: %w", dir, err)
	}
	return l, l.Close, nil
}

// sellGifts has the hub sell gifts, paid messages and red packets.
func (s *server) sellGifts(orders ledger.Ledger) (err error) {
	p := &purses{coins: map[string]int64{}, done: map[string]deed{}}
	s.gifts, err = gift.New(s.hub, p, &gift.Options{
		Ledger: orders, AllowMemory: true, // without -data it is a demonstration
		Catalogue: catalogue, Payer: p, Text: s.checkPaid, Audit: s.record.note,
	})
	return err
}

// purses are everybody's coins. Like a payment service, they do everything once for each id; unlike one,
// they forget with the process.
type purses struct {
	mu    sync.Mutex // guards the fields below
	coins map[string]int64
	done  map[string]deed // by id of order or payout
}

// deed is what was done about an order.
type deed struct {
	took     int64
	returned bool
}

func (p *purses) Reserve(_ context.Context, o gift.Order) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d, known := p.done[o.ID]; known {
		if d.returned {
			return &gift.Declined{Reason: "the order was canceled"}
		}
		return nil
	}
	if p.ofLocked(o.User) < o.Amount {
		return &gift.Declined{Reason: "there are not enough coins in your purse"}
	}
	p.coins[o.User] -= o.Amount
	p.done[o.ID] = deed{took: o.Amount}
	return nil
}

func (p *purses) Commit(ctx context.Context, o gift.Order) error { return p.Reserve(ctx, o) }

func (p *purses) Refund(_ context.Context, o gift.Order) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.done[o.ID]; !d.returned {
		p.coins[o.User] = p.ofLocked(o.User) + d.took
		p.done[o.ID] = deed{returned: true}
	}
	return nil
}

func (p *purses) Pay(_ context.Context, o gift.Payout) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.done[o.ID]; !known {
		p.coins[o.User] = p.ofLocked(o.User) + o.Amount
		p.done[o.ID] = deed{}
	}
	return nil
}

// ofLocked is what somebody has, and fills the purse of who is new.
func (p *purses) ofLocked(user string) int64 {
	n, known := p.coins[user]
	if !known {
		n = startCoins
		p.coins[user] = n
	}
	return n
}

// checkPaid looks at the text of a paid message, which no interceptor sees.
func (s *server) checkPaid(_ context.Context, _ im.User, _, text string) (string, error) {
	return s.rules.paid(text)
}
