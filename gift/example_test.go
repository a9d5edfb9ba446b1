package gift_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
	"github.com/liveim/im/gift"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/ledger"
)

// payments is a stand-in for a payment service: it has each payment under the order's id, and notifies the host when the
// giver has paid on their phone. A wallet of the host's own would answer nil at once in place of ErrPending.
type payments struct {
	mu   sync.Mutex
	paid map[string]bool // by order: asked for, and whether it was paid
	over map[string]bool // refunded or canceled: never to be paid
}

// Reserve asks the giver to pay. To be asked again about one order changes nothing: that is what makes retries safe.
func (p *payments) Reserve(_ context.Context, o gift.Order) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch paid, asked := p.paid[o.ID]; {
	case p.over[o.ID]:
		return &gift.Declined{Reason: "the payment was canceled"}
	case paid:
		return nil
	case !asked:
		p.paid[o.ID] = false
	}
	return gift.ErrPending
}

// Commit has nothing to do: who has paid has paid.
func (p *payments) Commit(context.Context, gift.Order) error { return nil }

// Refund gives back what was paid, and sees to it that the order cannot be paid any more.
func (p *payments) Refund(_ context.Context, o gift.Order) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over[o.ID] = true
	return nil
}

// pay is what the giver does on their phone. The service then calls the host.
func (p *payments) pay(webhook, order string, amount int64) error {
	p.mu.Lock()
	p.paid[order] = true
	p.mu.Unlock()
	form := url.Values{"order": {order}, "amount": {strconv.FormatInt(amount, 10)}, "signature": {"secret"}}
	resp, err := http.PostForm(webhook, form)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New("the service will notify again: " + resp.Status)
	}
	return nil
}

// webhook is where the payment service notifies the host. Check the signature first: Notify believes what it is told.
func webhook(gifts *gift.Gifts) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		amount, err := strconv.ParseInt(r.FormValue("amount"), 10, 64)
		if r.FormValue("signature") != "secret" || err != nil {
			http.Error(w, "who are you?", http.StatusForbidden)
			return
		}
		err = gifts.Notify(r.Context(), gift.Notification{Order: r.FormValue("order"), Result: gift.Paid, Amount: amount, Currency: "EUR"})
		if err != nil { // the service tells again
			http.Error(w, "try again", http.StatusServiceUnavailable)
		}
	}
}

// A site that sells gifts, with a payment service that answers later.
func Example() {
	if err := run(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ann ordered: pending 198 EUR
	// bob sees: ann gives 2 x Rose, combo 2
	// ann's order: delivered
	// top: ann 198
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	hub, err := im.New(imtest.BearerUser, &im.Options{Logger: slog.New(slog.DiscardHandler)}) // your own authenticator
	if err != nil {
		return err
	}
	service := &payments{paid: map[string]bool{}, over: map[string]bool{}}
	gifts, err := gift.New(hub, service, &gift.Options{
		Ledger: ledger.NewMemory(), AllowMemory: true, // where money is real: storage/bolt or storage/postgres
		Catalogue: gift.Items(
			gift.Item{ID: "rose", Name: "Rose", Price: 99, Effect: "petals", ComboWindow: 5 * time.Second},
			gift.Item{ID: "rocket", Name: "Rocket", Price: 9900, Effect: "rocket", MaxCount: 10},
		),
		Currency: "EUR",
		Answer:   50 * time.Millisecond, // the default of 3 s is better where most payments are quick
		TopEvery: 10 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/im/", http.StripPrefix("/im", hub))
	mux.HandleFunc("/payments", webhook(gifts))
	srv := httptest.NewServer(mux)
	defer srv.Close()
	defer func() { // gifts first, then the hub, then the server
		_ = gifts.Close(ctx)
		_ = hub.Close()
	}()
	return visit(ctx, srv.URL, service)
}

// visit is what a giver and a viewer do.
func visit(ctx context.Context, site string, service *payments) error {
	dial := func(user string) (*client.Client, *client.Room, error) {
		c, err := client.Dial(ctx, "ws"+strings.TrimPrefix(site, "http")+"/im/ws", &client.Options{
			Token: func(context.Context) (string, error) { return user, nil },
		})
		if err != nil {
			return nil, nil, err
		}
		room, err := c.Join(ctx, "42", nil)
		return c, room, err
	}
	ann, annsRoom, err := dial("ann")
	if err != nil {
		return err
	}
	defer ann.Close()
	bob, bobsRoom, err := dial("bob")
	if err != nil {
		return err
	}
	defer bob.Close()

	order, err := annsRoom.SendGift(ctx, "rose", 2, 99)
	if err != nil {
		return err
	}
	fmt.Println("ann ordered:", order.State, order.Amount, order.Currency)
	if err := service.pay(site+"/payments", order.ID, order.Amount); err != nil {
		return err
	}
	for e := range bobsRoom.Events(ctx) {
		if e.Kind != im.Gift {
			continue
		}
		g, err := im.Decode[client.GiftBody](e)
		if err != nil {
			return err
		}
		fmt.Printf("bob sees: %s gives %d x %s, combo %d\n", e.From.ID, g.Count, g.Name, g.Combo.Count)
		break
	}
	for e := range ann.Directs(ctx) {
		told, err := im.Decode[client.Order](e)
		if err != nil {
			return err
		}
		fmt.Println("ann's order:", told.State)
		break
	}
	for e := range bobsRoom.Events(ctx) {
		if e.Kind != im.State {
			continue
		}
		change, err := im.Decode[struct {
			Key   string
			Value client.TopGivers
		}](e)
		if err != nil {
			return err
		}
		if change.Key == "gift.top.all" {
			fmt.Println("top:", change.Value.Top[0].ID, change.Value.Top[0].Amount)
			break
		}
	}
	return nil
}
