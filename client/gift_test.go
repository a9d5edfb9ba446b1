package client_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
	"github.com/liveim/im/gift"
	"github.com/liveim/im/imtest"
)

// purse pays for everything but "broke".
type purse struct{}

func (purse) Reserve(_ context.Context, o gift.Order) error {
	switch o.User {
	case "broke":
		return &gift.Declined{Reason: "no money"}
	case "slow":
		return gift.ErrPending
	}
	return nil
}
func (purse) Commit(context.Context, gift.Order) error { return nil }
func (purse) Refund(context.Context, gift.Order) error { return nil }
func (purse) Pay(context.Context, gift.Payout) error   { return nil }

// giftServer is a hub with gifts, and a function that has a user join its room.
func giftServer(t *testing.T) (*gift.Gifts, func(user string) (*client.Client, *client.Room)) {
	quiet := slog.New(slog.DiscardHandler)
	hub, err := im.New(imtest.BearerUser, &im.Options{Logger: quiet, Pressure: func() float64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	gifts, err := gift.New(hub, purse{}, &gift.Options{
		AllowMemory: true, Payer: purse{}, Logger: quiet, Answer: 100 * time.Millisecond, TopEvery: 10 * time.Millisecond,
		Catalogue: gift.Items(gift.Item{ID: "rose", Name: "Rose", Price: 99, ComboWindow: time.Minute, Effect: "petals"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(hub)
	t.Cleanup(func() {
		if err := gifts.Close(context.Background()); err != nil {
			t.Error(err)
		}
		_ = hub.Close()
		srv.Close()
	})
	return gifts, func(user string) (*client.Client, *client.Room) {
		c, err := client.Dial(t.Context(), "ws"+strings.TrimPrefix(srv.URL, "http")+"/ws", &client.Options{Token: func(context.Context) (string, error) { return user, nil }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		r, err := c.Join(t.Context(), "42", &client.JoinOptions{NoUpdates: true})
		if err != nil {
			t.Fatal(err)
		}
		return c, r
	}
}

func TestGifts(t *testing.T) {
	_, join := giftServer(t)
	ctx := t.Context()
	_, ann := join("ann")
	list, err := ann.Gifts(ctx)
	if err != nil || len(list.Gifts) != 1 || list.Gifts[0].Price != 99 || list.Gifts[0].ComboMS != 60_000 || list.MaxShares != 1000 || len(list.Tiers) != 5 {
		t.Fatalf("Gifts: %+v, %v", list, err)
	}
	one, err := ann.SendGift(ctx, "rose", 2, 99)
	if err != nil || one.State != client.OrderDelivered || one.Amount != 198 || one.Combo == nil || one.Combo.Count != 2 {
		t.Fatalf("SendGift: %+v, %v", one, err)
	}
	again, err := ann.SendGiftAs(ctx, one.CID, "rose", 2, 99)
	if err != nil || again.ID != one.ID {
		t.Errorf("SendGiftAs: %+v, %v", again, err)
	}
	if _, err := ann.SendGift(ctx, "rose", 1, 98); !errors.Is(err, im.ErrConflict) {
		t.Errorf("the price has changed: %v", err)
	}
	if o, err := ann.SendPaid(ctx, 500, "hello"); err != nil || o.State != client.OrderDelivered {
		t.Errorf("SendPaid: %+v, %v", o, err)
	}
	packet, err := ann.SendPacket(ctx, 100, 1, "even")
	if err != nil {
		t.Fatal(err)
	}
	_, bob := join("bob")
	if n, err := bob.ClaimPacket(ctx, packet.ID); n != 100 || err != nil {
		t.Errorf("ClaimPacket: %d, %v", n, err)
	}
	if _, err := ann.ClaimPacket(ctx, packet.ID); !errors.Is(err, &im.Error{Code: im.CodeForbidden}) {
		t.Errorf("a claim too late: %v", err)
	}
	if p, err := bob.Packet(ctx, packet.ID); err != nil || p.State != "empty" || p.Mine != 100 || len(p.Claims) != 1 {
		t.Errorf("Packet: %+v, %v", p, err)
	}
	page, err := bob.History(ctx, &client.HistoryOptions{Kinds: []im.Kind{im.Gift}})
	if err != nil || len(page.Events) != 3 {
		t.Fatalf("%d gifts, %v", len(page.Events), err)
	}
	if b, err := im.Decode[client.GiftBody](page.Events[0]); err != nil || b.Type != "gift" || b.Gift != "rose" || b.Effect != "petals" || b.Order != one.ID {
		t.Errorf("body %+v, %v", b, err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; <-time.After(5 * time.Millisecond) {
		top, err := bob.TopGivers(ctx, "all")
		if err == nil && len(top.Top) == 1 && top.Top[0].Amount == 698 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("TopGivers: %+v, %v", top, err)
		}
	}
}

func TestGiftThatIsNotPaidAtOnce(t *testing.T) {
	gifts, join := giftServer(t)
	_, broke := join("broke")
	if _, err := broke.SendGift(t.Context(), "rose", 1, 0); !errors.Is(err, &im.Error{Code: "declined"}) {
		t.Errorf("declined: %v", err)
	}
	c, slow := join("slow")
	o, err := slow.SendGift(t.Context(), "rose", 1, 0)
	if err != nil || o.State != client.OrderPending || o.ExpiresAt().Before(time.Now()) {
		t.Fatalf("SendGift: %+v, %v", o, err)
	}
	if err := gifts.Notify(t.Context(), gift.Notification{Order: o.ID, Result: gift.Paid, Amount: 99, Currency: "coin"}); err != nil {
		t.Fatal(err)
	}
	for e := range c.Directs(t.Context()) {
		told, err := im.Decode[client.Order](e)
		if err != nil || told.ID != o.ID || told.State != client.OrderDelivered {
			t.Errorf("told %s", e.Body)
		}
		break
	}
	if o, err = c.Order(t.Context(), o.ID); err != nil || o.State != client.OrderDelivered {
		t.Errorf("Order: %+v, %v", o, err)
	}
}
