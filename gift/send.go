package gift

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/ledger"
)

// CodeDeclined is the code of the refusal that a giver gets whose payment was declined. For clients it is as
// im.CodeForbidden is.
const CodeDeclined im.Code = "declined"

// maxShown is how large the body of an event may be here: the hub's default bound less some air, as the same goes into
// the room's state.
const maxShown = 3500

// sendGift answers "gift.send".
func (g *Gifts) sendGift(ctx context.Context, req *im.Request) (any, error) {
	var id string
	var price int64
	count := int64(1)
	err := decodeStrict(req.Body, field{name: "gift", text: &id}, field{name: "count", number: &count, optional: true}, field{name: "price", number: &price, optional: true})
	if err != nil {
		return nil, err
	}
	ask := hashed("gift", id, fmt.Sprint(count), fmt.Sprint(price))
	return g.order(ctx, req, ask, func(r *record) error {
		item, err := g.item(ctx, req.Room, id)
		if err != nil {
			return err
		}
		amount, ok := times(item.Price, count)
		switch {
		case price != 0 && price != item.Price:
			return refuse(im.CodeConflict, "the price of %s is %d now; show that and ask again", item.Name, item.Price)
		case count > item.MaxCount:
			return refuse(im.CodeBadRequest, "give at most %d at once", item.MaxCount)
		case !ok:
			return refuse(im.CodeBadRequest, "the sum is too large; give fewer")
		}
		r.Sort, r.Item, r.Count, r.Price, r.Amount, r.Currency = SortGift, item.ID, count, item.Price, amount, item.Currency
		r.Combo = item.ComboWindow.Milliseconds()
		r.Body = Body{Gift: item.ID, Name: item.Name, Count: count, Effect: item.Effect}
		return nil
	})
}

// order places an order, or finds the one of an earlier call, and waits for its end for a while. complete is
// called for a new one: it fills in what is bought, or refuses.
func (g *Gifts) order(ctx context.Context, req *im.Request, ask string, complete func(r *record) error) (any, error) {
	switch {
	case req.Room == "":
		return nil, refuse(im.CodeBadRequest, `%s needs a "room"`, req.Op)
	case req.CID == "":
		return nil, refuse(im.CodeBadRequest, `%s needs a "cid", so that a retry is not charged again`, req.Op)
	}
	id := orderID(req)
	told := g.wait(id)
	defer g.unwait(id, told)
	r, err := g.load(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		r, err = g.placeNew(ctx, req, id, ask, complete)
	}
	switch {
	case err != nil:
		return nil, g.mishap("place an order", err)
	case r.Ask != ask:
		return nil, refuse(im.CodeConflict, "this cid was used for something else; take a new one")
	case !r.State.Final():
		r = g.await(ctx, r, told)
	}
	if r.State == StateFailed || r.State == StateCanceled {
		return nil, &im.Error{Code: CodeDeclined, Reason: r.Reason}
	}
	return answerOf(r), nil
}

// placeNew makes an order and has it worked on. Of two that place the same one, one does.
func (g *Gifts) placeNew(ctx context.Context, req *im.Request, id, ask string, complete func(r *record) error) (*record, error) {
	if g.isClosed() {
		return nil, errClosing
	}
	now := g.now()
	r := &record{Ask: ask, Order: Order{ID: id, State: StatePending, Room: req.Room, User: req.User.ID, Name: req.User.Name, Placed: now, Expires: now.Add(g.opts.Expire)}}
	if err := complete(r); err != nil {
		return nil, err
	}
	if r.Amount > g.opts.MaxAmount {
		return nil, refuse(im.CodeBadRequest, "the sum is %d; one order has at most %d", r.Amount, g.opts.MaxAmount)
	}
	r.Day = now.In(g.opts.Zone).Format(time.DateOnly)
	if g.opts.Stream != nil {
		r.Stream = g.stream(req.Room)
	}
	r.Body.Type, r.Body.Order, r.Body.Amount, r.Body.Currency = r.Sort, id, r.Amount, r.Currency
	if err := g.move(ctx, r, StatePending, g.now().Add(g.opts.Lease), nil); err != nil {
		if errors.Is(err, ledger.ErrStale) {
			return g.load(ctx, id)
		}
		return nil, err
	}
	first := *r // the goroutine goes on with its own
	g.begin(func() { g.advance(g.life, r, true) })
	return &first, nil
}

// load reads an order. The error wraps ledger.ErrNotFound if there is none.
func (g *Gifts) load(ctx context.Context, id string) (*record, error) {
	e, err := g.ledger.Get(ctx, orderPrefix+id)
	if err != nil {
		return nil, err
	}
	return recordOf(e)
}

// await waits for the end of an order, but not for long, and returns how it stands.
func (g *Gifts) await(ctx context.Context, r *record, told chan *record) *record {
	patience := time.NewTimer(g.opts.Answer)
	defer patience.Stop()
	for waiting := true; waiting && !r.State.Final(); {
		select {
		case r = <-told:
			continue
		case <-patience.C:
		case <-ctx.Done():
		case <-g.life.Done():
		}
		waiting = false
	}
	select {
	case r = <-told: // both came at once
	default:
	}
	return r
}

// wait begins to listen to an order. The channel holds the newest record.
func (g *Gifts) wait(id string) chan *record {
	told := make(chan *record, 1)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiters[id] = append(g.waiters[id], told)
	return told
}

func (g *Gifts) unwait(id string, told chan *record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	rest := g.waiters[id][:0]
	for _, w := range g.waiters[id] {
		if w != told {
			rest = append(rest, w)
		}
	}
	if len(rest) == 0 {
		delete(g.waiters, id)
		return
	}
	g.waiters[id] = rest
}

// tell says how an order stands to those who wait for it, and its end to the giver if nobody does.
func (g *Gifts) tell(r *record) {
	g.mu.Lock()
	waiting := g.waiters[r.ID]
	copied := *r
	for _, w := range waiting {
		select {
		case <-w: // an older one
		default:
		}
		w <- &copied // only this function, under the lock, sends
	}
	g.mu.Unlock()
	if len(waiting) == 0 && r.State.Final() {
		a := answerOf(r)
		a.Type, a.Room = "order", r.Room
		// It is a courtesy: whoever misses it asks with "gift.order".
		_, _ = g.hub.User(r.User).Send(g.life, im.Gift, a)
	}
}

// showOrder answers "gift.order": how an order of the user stands.
func (g *Gifts) showOrder(ctx context.Context, req *im.Request) (any, error) {
	var id string
	if err := decodeStrict(req.Body, field{name: "order", text: &id}); err != nil {
		return nil, err
	}
	r, err := g.load(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) || err == nil && r.User != req.User.ID {
		return nil, refuse(im.CodeNotFound, "you have no such order")
	}
	if err != nil {
		return nil, g.mishap("read an order", err)
	}
	return answerOf(r), nil
}

// Order returns an order. The error matches an *im.Error with im.CodeNotFound if there is none.
func (g *Gifts) Order(ctx context.Context, id string) (Order, error) {
	r, err := g.load(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return Order{}, refuse(im.CodeNotFound, "there is no order %.40q", id)
	}
	if err != nil {
		return Order{}, err
	}
	return r.Order, nil
}

// Query selects orders: those that all of its fields admit.
type Query struct {
	Room, User string // empty: any
	State      State  // empty: any
	After      string // only orders with greater ids; for the next page the last id of the one before
	Max        int    // 1 to 1,000; defaults to 100
}

// Orders returns a page of orders in rising order of their ids, Query.Max of them or fewer if there are no more.
// StateReview selects those that wait for a human.
func (g *Gifts) Orders(ctx context.Context, q Query) ([]Order, error) {
	if q.Max < 0 || q.Max > 1000 || strings.ContainsRune(q.After, '/') {
		return nil, refuse(im.CodeBadRequest, "Query.Max is 1 to 1000, and After the id of an order")
	}
	lq := ledger.Query{Prefix: orderPrefix, Kind: kindOrder, State: string(q.State), Room: q.Room, User: q.User, Max: q.Max}
	if q.After != "" {
		lq.After = orderPrefix + q.After
	}
	entries, err := g.ledger.List(ctx, lq)
	if err != nil {
		return nil, err
	}
	orders := make([]Order, 0, len(entries))
	for _, e := range entries {
		r, err := recordOf(e)
		if err != nil {
			return nil, err
		}
		orders = append(orders, r.Order)
	}
	return orders, nil
}
