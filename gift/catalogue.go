package gift

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/liveim/im"
)

// Item is a gift that can be given.
type Item struct {
	// ID names the gift: 1 to 64 printable ASCII characters without spaces. Required.
	ID string
	// Name is what people see, up to 64 bytes. Defaults to the ID.
	Name string
	// Price is that of one, in minor units of Currency: 1 to MaxAmount. Required.
	Price int64
	// Currency defaults to Options.Currency.
	Currency string
	// Effect tells pages what to show, in words of the host: up to 64 printable ASCII characters without spaces. Optional.
	Effect string
	// MaxCount is how many one order may have. 1 to 1,000,000; defaults to 1,000.
	MaxCount int64
	// ComboWindow is how soon the same gift of the same giver must follow in the room to continue a combo. Up to 1 h.
	// Zero means that the gift makes no combos.
	ComboWindow time.Duration
}

// Catalogue returns what can be given in a room. It is called for each order and each list, and should be quick;
// hosts whose catalogue is in a database keep a copy. An *im.Error is the answer as it is.
type Catalogue func(ctx context.Context, room string) ([]Item, error)

// Items returns the Catalogue that has the same items in every room.
func Items(items ...Item) Catalogue {
	items = slices.Clone(items)
	return func(context.Context, string) ([]Item, error) { return items, nil }
}

const standardMaxCount = 1000

// complete returns the item with its defaults, or an error that names the field.
func (i Item) complete(currency string) (Item, error) {
	if i.Name == "" {
		i.Name = i.ID
	}
	if i.Currency == "" {
		i.Currency = currency
	}
	if i.MaxCount == 0 {
		i.MaxCount = standardMaxCount
	}
	fail := func(format string, args ...any) (Item, error) {
		return i, fmt.Errorf("gift: item %.64q: "+format, append([]any{i.ID}, args...)...)
	}
	switch {
	case !validWord(i.ID, 64):
		return fail("ID is not 1 to 64 printable ASCII characters without spaces")
	case !validText(i.Name, 64):
		return fail("Name is longer than 64 bytes, or holds control characters")
	case i.Price < 1 || i.Price > MaxAmount:
		return fail("Price is %d; want 1 to %d", i.Price, int64(MaxAmount))
	case i.Effect != "" && !validWord(i.Effect, 64):
		return fail("Effect is not 1 to 64 printable ASCII characters without spaces")
	case i.MaxCount < 1 || i.MaxCount > 1_000_000:
		return fail("MaxCount is %d; want 1 to 1,000,000", i.MaxCount)
	case i.ComboWindow < 0 || i.ComboWindow > time.Hour:
		return fail("ComboWindow is %v; want 0 to 1 h", i.ComboWindow)
	}
	return i, checkCurrency(i.Currency)
}

// items returns the catalogue of a room, complete.
func (g *Gifts) items(ctx context.Context, room string) ([]Item, error) {
	raw, err := ask(ctx, &g.guard, "Options.Catalogue", func(ctx context.Context) ([]Item, error) { return g.opts.Catalogue(ctx, room) })
	if err != nil {
		return nil, err
	}
	items := make([]Item, len(raw))
	for n, i := range raw {
		if items[n], err = i.complete(g.opts.Currency); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// item returns one gift of a room's catalogue.
func (g *Gifts) item(ctx context.Context, room, id string) (Item, error) {
	items, err := g.items(ctx, room)
	if err != nil {
		return Item{}, err
	}
	n := slices.IndexFunc(items, func(i Item) bool { return i.ID == id })
	if n < 0 {
		return Item{}, refuse(im.CodeNotFound, "there is no gift %.64q here; gift.list tells which there are", id)
	}
	return items[n], nil
}

// listed is an item as "gift.list" has it.
type listed struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Price    int64  `json:"price"`
	Currency string `json:"currency"`
	Effect   string `json:"effect,omitempty"`
	MaxCount int64  `json:"max_count"`
	ComboMS  int64  `json:"combo_ms,omitempty"`
}

// catalogueAnswer is the answer to "gift.list".
type catalogueAnswer struct {
	Gifts     []listed     `json:"gifts"`
	Tiers     []tierAnswer `json:"tiers,omitempty"`
	Currency  string       `json:"currency"`
	MaxShares int64        `json:"max_shares,omitempty"`
}

// list answers "gift.list".
func (g *Gifts) list(ctx context.Context, req *im.Request) (any, error) {
	if err := decodeStrict(req.Body); err != nil {
		return nil, err
	}
	items, err := g.items(ctx, req.Room)
	if err != nil {
		return nil, err
	}
	a := catalogueAnswer{Gifts: make([]listed, len(items)), Tiers: g.tierAnswers(), Currency: g.opts.Currency}
	if g.opts.Payer != nil {
		a.MaxShares = g.opts.MaxShares
	}
	for n, i := range items {
		a.Gifts[n] = listed{i.ID, i.Name, i.Price, i.Currency, i.Effect, i.MaxCount, i.ComboWindow.Milliseconds()}
	}
	return a, nil
}
