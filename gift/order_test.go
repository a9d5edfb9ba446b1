package gift

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// result is what a giver is answered.
type result struct {
	Order    string
	State    State
	Amount   int64
	Currency string
	Combo    *Combo
	Reason   string
}

func give(t *testing.T, v *imtest.Viewer, op, cid, body string) (result, error) {
	t.Helper()
	raw, err := v.CallAs(op, "42", cid, json.RawMessage(body))
	var r result
	if err == nil {
		if err := json.Unmarshal(raw, &r); err != nil {
			t.Fatal(err)
		}
	}
	return r, err
}

func mustGive(t *testing.T, v *imtest.Viewer, cid, body string, want State) result {
	t.Helper()
	r, err := give(t, v, "gift.send", cid, body)
	if err != nil || r.State != want {
		t.Fatalf("gift.send: %+v, %v; want %s", r, err, want)
	}
	return r
}

// nextGift is the next gift event that a viewer sees.
func nextGift(t *testing.T, v *imtest.Viewer) (*im.Event, Body) {
	t.Helper()
	for {
		e := v.Event()
		if e.Kind != im.Gift {
			continue
		}
		b, err := im.Decode[Body](e)
		if err != nil {
			t.Fatal(err)
		}
		return e, b
	}
}

func TestGiftIsChargedShownAndCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, nil, nil)
		ann, bob := s.Join("42", im.User{ID: "ann", Name: "Ann"}), s.Join("42", im.User{ID: "bob"})
		var first result
		for n := range 3 {
			r := mustGive(t, ann, "c1", `{"gift":"rose","count":3}`, StateDelivered)
			if n == 0 {
				first = r
			}
			if r.Order != first.Order || r.Amount != 297 || r.Currency != "coin" || r.Combo == nil || r.Combo.Count != 3 {
				t.Errorf("try %d: %+v", n, r)
			}
		}
		e, b := nextGift(t, bob)
		if e.ID != first.Order || e.From.ID != "ann" || b.Type != SortGift || b.Gift != "rose" || b.Count != 3 || b.Amount != 297 || b.Effect != "petals" {
			t.Errorf("event %+v with %+v", e, b)
		}
		if taken, _ := s.bank.sum(); taken != 297 {
			t.Errorf("the bank has taken %d, want 297", taken)
		}
		page, err := s.Room("42").History(t.Context(), im.HistoryQuery{Kinds: []im.Kind{im.Gift}})
		if err != nil || len(page.Events) != 1 {
			t.Errorf("the room has %d gifts (%v), want 1", len(page.Events), err)
		}
		o, err := s.gifts.Order(t.Context(), first.Order)
		if err != nil || o.State != StateDelivered || o.Pos != page.Events[0].Pos || o.User != "ann" || o.Room != "42" {
			t.Errorf("order %+v, %v", o, err)
		}
		if _, err := give(t, ann, "gift.send", "c1", `{"gift":"rose","count":4}`); code(err) != im.CodeConflict {
			t.Errorf("another order under the same cid: %v, want conflict", err)
		}
		if r := mustGive(t, bob, "c1", `{"gift":"rose"}`, StateDelivered); r.Order == first.Order {
			t.Error("two users have one order")
		}
	})
}

func TestRefusedBeforeAnyEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, func(o *Options) { o.MaxShares = 10 }, nil)
		ann := s.Join("42", im.User{ID: "ann"})
		tests := []struct {
			op, body string
			want     im.Code
		}{
			{"gift.send", `{"gift":"rose","count":0}`, im.CodeBadRequest},
			{"gift.send", `{"gift":"rose","count":-1}`, im.CodeBadRequest},
			{"gift.send", `{"gift":"rose","count":1.0}`, im.CodeBadRequest},
			{"gift.send", `{"gift":"rose","count":1e1}`, im.CodeBadRequest},
			{"gift.send", `{"gift":"rose","count":"1"}`, im.CodeBadRequest},
			{"gift.send", `{"gift":"rose","count":9223372036854775808}`, im.CodeBadRequest},
			{"gift.send", `{"gift":"rose","count":9007199254740992}`, im.CodeBadRequest},
			{"gift.send", `{"gift":"rose","count":101}`, im.CodeBadRequest},
			{"gift.send", `{"gift":"ring","count":8}`, im.CodeBadRequest}, // 2^53
			{"gift.send", `{"gift":"rose","count":1,"count":2}`, im.CodeBadRequest},
			{"gift.send", `{"gift":"rose","\u0063ount":1,"count":2}`, im.CodeBadRequest},
			{"gift.send", `{"gift":"rose","Count":1}`, im.CodeBadRequest},
			{"gift.send", `{"gift":"rose","free":true}`, im.CodeBadRequest},
			{"gift.send", `{"gift":"tulip"}`, im.CodeNotFound},
			{"gift.send", `{"gift":null}`, im.CodeBadRequest},
			{"gift.send", `{"count":1}`, im.CodeBadRequest},
			{"gift.send", `{"gift":"rose","price":98}`, im.CodeConflict},
			{"gift.send", `[]`, im.CodeBadRequest},
			{"paid.send", `{"amount":99,"text":"hi"}`, im.CodeBadRequest},
			{"paid.send", `{"amount":100,"text":"  "}`, im.CodeBadRequest},
			{"paid.send", `{"amount":100,"text":"a\u0007b"}`, im.CodeBadRequest},
			{"paid.send", `{"amount":100,"text":"012345678901234567890123456789012345678901234567890"}`, im.CodeTooLarge},
			{"packet.send", `{"amount":3,"shares":4}`, im.CodeBadRequest},
			{"packet.send", `{"amount":100,"shares":11}`, im.CodeBadRequest},
			{"packet.send", `{"amount":100,"shares":2,"split":"mine"}`, im.CodeBadRequest},
			{"packet.claim", `{"packet":"0123456789012345678901"}`, im.CodeNotFound},
			{"packet.claim", `{"packet":"1"}`, im.CodeNotFound},
			{"packet.show", `{"packet":"1"}`, im.CodeNotFound},
			{"gift.order", `{"order":"1"}`, im.CodeNotFound},
			{"gift.top", `{"list":"week"}`, im.CodeNotFound},
		}
		for _, test := range tests {
			if r, err := give(t, ann, test.op, "", test.body); code(err) != im.CodeBadRequest && test.op == "gift.send" {
				t.Errorf("%s without cid: %+v, %v", test.op, r, err)
			}
			if r, err := give(t, ann, test.op, "c-"+test.body[:min(len(test.body), 8)], test.body); code(err) != test.want {
				t.Errorf("%s %s: %+v, %v; want %s", test.op, test.body, r, err, test.want)
			}
		}
		if orders, err := s.gifts.Orders(t.Context(), Query{}); len(orders) != 0 || err != nil || len(s.bank.book) != 0 {
			t.Errorf("there are %d orders and %d accounts (%v), want none", len(orders), len(s.bank.book), err)
		}
		mustGive(t, ann, "ok", `{"gift":"ring","count":7,"price":1125899906842624}`, StateDelivered)
		if _, err := ann.CallAs("gift.send", "", "c9", json.RawMessage(`{"gift":"rose"}`)); code(err) != im.CodeBadRequest {
			t.Errorf("without a room: %v", err)
		}
	})
}

func TestDeclined(t *testing.T) {
	for _, at := range []string{"reserve", "commit"} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, nil, nil)
				s.bank.set(func(_ context.Context, call, _ string) error {
					if call == at {
						return &Declined{"the card is empty"}
					}
					return nil
				}, nil)
				ann := s.Join("42", im.User{ID: "ann"})
				for range 2 {
					_, err := give(t, ann, "gift.send", "c1", `{"gift":"rose"}`)
					var e *im.Error
					if !errors.As(err, &e) || e.Code != CodeDeclined || e.Reason != "the card is empty" {
						t.Errorf("got %v", err)
					}
				}
				orders, err := s.gifts.Orders(t.Context(), Query{User: "ann", State: StateFailed})
				if err != nil || len(orders) != 1 {
					t.Fatalf("orders %+v, %v", orders, err)
				}
				if a := s.bank.book[orders[0].ID]; a != nil && a.reserved && !a.undone {
					t.Error("what was reserved was not given back")
				}
			})
		})
	}
}

// A bank that does it and does not say so, or hangs, is asked again and never charges twice.
func TestUnknownOutcome(t *testing.T) {
	for _, at := range []string{"reserve", "commit", "refund"} {
		for _, hang := range []bool{false, true} {
			for _, done := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					s := newSite(t, nil, nil)
					failures := 3
					fault := func(ctx context.Context, call, _ string) error {
						s.bank.mu.Lock()
						fails := call == at && failures > 0
						if fails {
							failures--
						}
						s.bank.mu.Unlock()
						if !fails {
							return nil
						}
						if hang {
							<-ctx.Done()
						}
						return errors.New("no answer")
					}
					if done {
						s.bank.set(nil, fault)
					} else {
						s.bank.set(fault, nil)
					}
					ann := s.Join("42", im.User{ID: "ann"})
					r, err := give(t, ann, "gift.send", "c1", `{"gift":"rose"}`)
					if err != nil {
						t.Fatal(err)
					}
					inState(t, s.gifts, r.Order, StateDelivered)
					if taken, _ := s.bank.sum(); taken != 99 {
						t.Errorf("the bank has taken %d, want 99", taken)
					}
					if err := s.gifts.Refund(t.Context(), r.Order, "a mistake"); err != nil {
						t.Fatal(err)
					}
					inState(t, s.gifts, r.Order, StateRefunded)
					if taken, _ := s.bank.sum(); taken != 0 {
						t.Errorf("the bank has %d after the refund, want 0", taken)
					}
				})
			}
		}
	}
}

// A giver who was told that the order is pending is told its end, on all sessions.
func TestPendingIsToldItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, nil, nil)
		s.bank.set(func(_ context.Context, call, _ string) error {
			if call == "reserve" {
				return ErrPending
			}
			return nil
		}, nil)
		ann := s.Join("42", im.User{ID: "ann"})
		r := mustGive(t, ann, "c1", `{"gift":"rose"}`, StatePending)
		n := Notification{Order: r.Order, Result: Paid, Amount: 99, Currency: "coin", Reference: "ref"}
		for range 2 {
			if err := s.gifts.Notify(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		for {
			u := ann.Next()
			if u.Op != "direct" {
				continue
			}
			var a answer
			if err := json.Unmarshal(u.Event.Body, &a); err != nil || a.Type != "order" || a.Order != r.Order || a.State != StateDelivered || a.Room != "42" {
				t.Errorf("told %s", u.Event.Body)
			}
			break
		}
		if o := inState(t, s.gifts, r.Order, StateDelivered); o.Reference != "ref" {
			t.Errorf("reference %q", o.Reference)
		}
		var shown answer
		raw, err := ann.Call("gift.order", "", map[string]string{"order": r.Order})
		if err != nil || json.Unmarshal(raw, &shown) != nil || shown.State != StateDelivered {
			t.Errorf("gift.order: %s, %v", raw, err)
		}
		if err := s.gifts.Notify(t.Context(), Notification{Order: r.Order, Result: Unpaid}); code(err) != im.CodeConflict {
			t.Errorf("unpaid after it was delivered: %v, want conflict", err)
		}
	})
}

func TestPendingExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, func(o *Options) { o.Expire = time.Minute }, nil)
		s.bank.set(nil, func(_ context.Context, call, _ string) error {
			if call == "reserve" {
				return ErrPending // reserved, but not to be had yet
			}
			return nil
		})
		ann := s.Join("42", im.User{ID: "ann"})
		r := mustGive(t, ann, "c1", `{"gift":"rose"}`, StatePending)
		begin := time.Now()
		inState(t, s.gifts, r.Order, StateCanceled)
		if d := time.Since(begin); d > 70*time.Second || d < 50*time.Second || !s.bank.book[r.Order].undone {
			t.Errorf("canceled after %v, given back: %v", d, s.bank.book[r.Order].undone)
		}
		// The notification has crossed with that.
		s.bank.mu.Lock()
		s.bank.book[r.Order].undone = false
		s.bank.mu.Unlock()
		for range 2 {
			if err := s.gifts.Notify(t.Context(), Notification{Order: r.Order, Result: Paid, Amount: 99, Currency: "coin"}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if o := inState(t, s.gifts, r.Order, StateCanceled); !s.bank.book[r.Order].undone {
			t.Errorf("what was paid late was not given back: %+v", o)
		}
	})
}

func TestNotifyUnpaidAndWrongAmount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, nil, nil)
		s.bank.set(func(_ context.Context, call, _ string) error {
			if call == "reserve" {
				return ErrPending
			}
			return nil
		}, nil)
		ann := s.Join("42", im.User{ID: "ann"})
		r := mustGive(t, ann, "c1", `{"gift":"rose"}`, StatePending)
		if err := s.gifts.Notify(t.Context(), Notification{Order: r.Order, Result: Unpaid, Reason: "no"}); err != nil {
			t.Fatal(err)
		}
		if o := inState(t, s.gifts, r.Order, StateFailed); o.Reason != "no" {
			t.Errorf("reason %q", o.Reason)
		}
		r = mustGive(t, ann, "c2", `{"gift":"rose"}`, StatePending)
		if err := s.gifts.Notify(t.Context(), Notification{Order: r.Order, Result: Paid, Amount: 9, Currency: "coin"}); err != nil {
			t.Fatal(err)
		}
		inState(t, s.gifts, r.Order, StateReview)
		if err := s.gifts.Settle(t.Context(), r.Order, true); code(err) != im.CodeConflict {
			t.Errorf("Settle: %v, want conflict", err)
		}
		if err := s.gifts.Refund(t.Context(), r.Order, "wrong amount"); err != nil {
			t.Fatal(err)
		}
		inState(t, s.gifts, r.Order, StateRefunded)
		if err := s.gifts.Notify(t.Context(), Notification{Order: "none", Result: Paid}); code(err) != im.CodeNotFound {
			t.Errorf("Notify of no order: %v", err)
		}
	})
}
