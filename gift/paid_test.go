package gift

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
)

func TestPaidMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, func(o *Options) {
			o.Text = func(_ context.Context, _ im.User, _, text string) (string, error) {
				if strings.Contains(text, "spam") {
					return "", refuse(im.CodeForbidden, "no")
				}
				return strings.ReplaceAll(text, "damn", "****"), nil
			}
		}, nil)
		ann, bob := s.Join("42", im.User{ID: "ann"}), s.Join("42", im.User{ID: "bob"})
		if _, err := give(t, ann, "paid.send", "0", `{"amount":500,"text":"spam"}`); code(err) != im.CodeForbidden {
			t.Errorf("spam: %v", err)
		}
		pinned := func(r result) (b Body, ok bool) {
			value, version, err := s.Room("42").State().Get(t.Context(), "gift.pin."+r.Order)
			if err != nil || version != 0 && json.Unmarshal(value, &b) != nil {
				t.Fatal(err)
			}
			return b, version != 0
		}
		one, err := give(t, ann, "paid.send", "1", `{"amount":999,"text":" damn good "}`)
		if err != nil || one.State != StateDelivered {
			t.Fatalf("%+v, %v", one, err)
		}
		_, b := nextGift(t, bob)
		if b.Type != SortPaid || b.Text != "**** good" || b.Color != "#00bfa5" || b.Until > time.Now().Add(2*time.Minute).UnixMilli() || b.Until < time.Now().Add(119*time.Second).UnixMilli() || b.Amount != 999 {
			t.Errorf("event %+v", b)
		}
		if p, ok := pinned(one); !ok || p.From == nil || p.From.ID != "ann" || p.Text != "**** good" {
			t.Errorf("pinned %v %+v", ok, p)
		}
		low, err := give(t, ann, "paid.send", "2", `{"amount":100,"text":"hi"}`)
		if _, ok := pinned(low); ok || err != nil {
			t.Errorf("the lowest tier is pinned: %v, %v", ok, err)
		}
		two, err := give(t, ann, "paid.send", "3", `{"amount":1000,"text":"hello"}`)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.gifts.Refund(t.Context(), two.Order, ""); err != nil {
			t.Fatal(err)
		}
		inState(t, s.gifts, two.Order, StateRefunded)
		if _, ok := pinned(two); ok {
			t.Error("what was refunded is pinned")
		}
		<-time.After(121 * time.Second)
		if _, ok := pinned(one); ok {
			t.Error("it is pinned after its time")
		}
	})
}

func TestTier(t *testing.T) {
	tiers := DefaultTiers()
	for amount, want := range map[int64]int64{100: 100, 499: 100, 500: 500, 9999: 5000, 10000: 10000, MaxAmount: 10000} {
		if got, ok := tier(tiers, amount); !ok || got.Amount != want {
			t.Errorf("tier(%d) = %d, %v; want %d", amount, got.Amount, ok, want)
		}
	}
	if _, ok := tier(tiers, 99); ok {
		t.Error("99 buys a message")
	}
}

func TestOptions(t *testing.T) {
	s := newSite(t, nil, nil)
	tests := map[string]func(o *Options){
		"is not durable":    func(o *Options) { o.AllowMemory = false },
		"Options.MaxAmount": func(o *Options) { o.MaxAmount = MaxAmount + 1 },
		"Options.Top ":      func(o *Options) { o.Top = 21 },
		"Options.Poll":      func(o *Options) { o.Poll = -1 },
		"Tiers[1].Amount": func(o *Options) {
			o.Tiers = []Tier{{Amount: 5, Color: "a", MaxLength: 1}, {Amount: 5, Color: "a", MaxLength: 1}}
		},
		"Tiers[0].Color": func(o *Options) { o.Tiers = []Tier{{Amount: 5, MaxLength: 1}} },
		"the currency":   func(o *Options) { o.Currency = "a b" },
		"Price":          func(o *Options) { o.Catalogue = Items(Item{ID: "x"}) },
		"ComboWindow":    func(o *Options) { o.Catalogue = Items(Item{ID: "x", Price: 1, ComboWindow: -1}) },
	}
	for want, change := range tests {
		o := testOptions(s.book)
		change(&o)
		if _, err := New(s.Hub.Hub, s.bank, &o); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "Options.Top", "Options.Top "), want) {
			t.Errorf("New: %v, want something about %s", err, want)
		}
	}
	if _, err := New(nil, nil, nil); err == nil {
		t.Error("New takes nothing")
	}
}
