package gift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(1, 2000).Draw(t, "n")
		sum := rapid.OneOf(rapid.Int64Range(n, n+10), rapid.Int64Range(n, MaxAmount)).Draw(t, "sum")
		how := rapid.SampledFrom([]Split{SplitEven, SplitLucky}).Draw(t, "how")
		var seed [32]byte
		copy(seed[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed"))
		shares := split(seed, sum, n, how)
		var total, least, most int64 = 0, MaxAmount, 0
		for _, s := range shares {
			if s < 1 {
				t.Fatalf("a share is %d", s)
			}
			total, least, most = total+s, min(least, s), max(most, s)
		}
		if int64(len(shares)) != n || total != sum {
			t.Fatalf("%d shares of together %d, want %d of %d", len(shares), total, n, sum)
		}
		if how == SplitEven && most-least > 1 {
			t.Fatalf("even shares from %d to %d", least, most)
		}
		again := split(seed, sum, n, how)
		for i := range shares {
			if shares[i] != again[i] {
				t.Fatalf("share %d is %d, and %d with the same seed", i, shares[i], again[i])
			}
		}
	})
	// What was drawn once must never change: packets that are open outlive an upgrade.
	if got := fmt.Sprint(split([32]byte{1}, 1000, 5, SplitLucky)); got != "[44 134 112 613 97]" {
		t.Errorf("the shares of a known seed are %s", got)
	}
}

// sendPacket has ann send a packet, and returns its id.
func sendPacket(t *testing.T, s *site, amount, shares int64, how Split) string {
	t.Helper()
	ann := s.Join("42", im.User{ID: "ann"})
	r, err := give(t, ann, "packet.send", "p1", fmt.Sprintf(`{"amount":%d,"shares":%d,"split":%q}`, amount, shares, how))
	if err != nil || r.State != StateDelivered {
		t.Fatalf("%+v, %v", r, err)
	}
	return r.Order
}

func TestPacketExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, nil, nil)
		id := sendPacket(t, s, 1000, 4, SplitEven)
		bob := s.Join("42", im.User{ID: "bob"})
		for n := range 3 { // one share however often
			r, err := give(t, bob, "packet.claim", fmt.Sprint(n), fmt.Sprintf(`{"packet":%q}`, id))
			if err != nil || r.Amount != 250 {
				t.Fatalf("claim %d: %+v, %v", n, r, err)
			}
		}
		other := s.Join("43", im.User{ID: "cid"})
		if _, err := other.CallAs("packet.claim", "43", "1", map[string]string{"packet": id}); code(err) != im.CodeNotFound {
			t.Errorf("a claim from another room: %v", err)
		}
		if err := s.gifts.Refund(t.Context(), id, ""); code(err) != im.CodeConflict {
			t.Errorf("the refund of a packet that is claimed: %v", err)
		}
		<-time.After(11 * time.Minute)
		bob = s.Join("42", im.User{ID: "bob"})
		late := s.Join("42", im.User{ID: "dan"})
		if _, err := give(t, late, "packet.claim", "1", fmt.Sprintf(`{"packet":%q}`, id)); code(err) != im.CodeForbidden {
			t.Errorf("a late claim: %v", err)
		}
		if r, err := give(t, bob, "packet.claim", "again", fmt.Sprintf(`{"packet":%q}`, id)); err != nil || r.Amount != 250 {
			t.Errorf("who has claimed asks again later: %+v, %v", r, err)
		}
		taken, paid := s.bank.sum()
		if taken != 1000 || paid != 1000 {
			t.Errorf("taken %d, paid out %d, want 1000 each", taken, paid)
		}
		outs, err := s.gifts.Payouts(t.Context(), id)
		if err != nil || len(outs) != 2 || outs[1].Sort != PayoutRest || outs[1].User != "ann" || outs[1].Amount != 750 || outs[0].State != PayoutPaid || outs[1].State != PayoutPaid {
			t.Errorf("payouts %+v, %v", outs, err)
		}
		raw, err := bob.Call("packet.show", "42", map[string]string{"packet": id})
		var a packetAnswer
		if err != nil || json.Unmarshal(raw, &a) != nil || a.State != packetClosed || a.Mine != 250 || a.Claimed != 1 || len(a.Seed) != 64 || len(a.Claims) != 1 {
			t.Errorf("packet.show: %s, %v", raw, err)
		}
	})
}

func TestPacketRecalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, nil, nil)
		id := sendPacket(t, s, 10, 2, SplitLucky)
		bob := s.Join("42", im.User{ID: "bob"})
		raw, err := bob.Call("packet.show", "42", map[string]string{"packet": id})
		var a packetAnswer
		if err != nil || json.Unmarshal(raw, &a) != nil || a.Seed != "" || a.State != packetOpen {
			t.Errorf("packet.show: %s, %v", raw, err)
		}
		if err := s.gifts.Refund(t.Context(), id, ""); err != nil {
			t.Fatal(err)
		}
		inState(t, s.gifts, id, StateRefunded)
		if _, err := give(t, bob, "packet.claim", "1", fmt.Sprintf(`{"packet":%q}`, id)); code(err) != im.CodeForbidden {
			t.Errorf("a claim of what was recalled: %v", err)
		}
		<-time.After(time.Hour)
		if taken, paid := s.bank.sum(); taken != 0 || paid != 0 {
			t.Errorf("taken %d, paid out %d, want nothing", taken, paid)
		}
	})
}

// A payment service that has trouble gets each payout once all the same.
func TestPayoutsAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, nil, nil)
		n := 0
		trouble := func(ctx context.Context, call, _ string) error {
			if call != "pay" {
				return nil
			}
			s.bank.mu.Lock()
			n++
			k := n % 4
			s.bank.mu.Unlock()
			switch k {
			case 1:
				return errors.New("no answer")
			case 2:
				return ErrPending
			case 3:
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		id := sendPacket(t, s, 1000, 20, SplitLucky)
		s.bank.set(nil, trouble)
		for u := range 30 {
			v := s.Join("42", im.User{ID: fmt.Sprint("u", u)})
			_, err := give(t, v, "packet.claim", "1", fmt.Sprintf(`{"packet":%q}`, id))
			if (err == nil) != (u < 20) {
				t.Errorf("claim %d: %v", u, err)
			}
		}
		<-time.After(time.Hour)
		if taken, paid := s.bank.sum(); taken != 1000 || paid != 1000 {
			t.Errorf("taken %d, paid out %d, want 1000 each", taken, paid)
		}
		outs, err := s.gifts.Payouts(t.Context(), id)
		for _, o := range outs {
			if o.State != PayoutPaid {
				t.Errorf("payout %+v", o)
			}
		}
		if err != nil || len(outs) != 20 {
			t.Errorf("%d payouts, %v", len(outs), err)
		}
	})
}

// A18: 10,000 claims of one red packet, all at once, a fifth of them twice, on two nodes that share a ledger, share out its
// sum and no more.
func TestTenThousandClaims(t *testing.T) {
	s := newSite(t, nil, nil)
	nodes := []*Gifts{s.gifts, open(t, imtest.NewHub(t, &im.Options{Logger: slog.New(slog.DiscardHandler)}), s.bank, &s.opts)}
	const users, shares, sum = 10_000, 500, 1_000_003
	id := sendPacket(t, s, sum, shares, SplitLucky)
	var mu sync.Mutex
	won := map[string]int64{}
	refused := 0
	var wg sync.WaitGroup
	begin := time.Now()
	for n := range users + users/5 {
		wg.Go(func() {
			user := fmt.Sprint("u", n%users)
			body, _ := json.Marshal(map[string]string{"packet": id})
			a, err := nodes[n%3%2].claim(t.Context(), &im.Request{Op: "packet.claim", Room: "42", User: im.User{ID: user}, Body: body})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case code(err) == im.CodeForbidden:
				refused++
			case err != nil:
				t.Errorf("%s: %v", user, err)
			default:
				amount := a.(claimAnswer).Amount
				if w, ok := won[user]; ok && w != amount {
					t.Errorf("%s has %d and %d", user, w, amount)
				}
				won[user] = amount
			}
		})
	}
	wg.Wait()
	var total int64
	for _, n := range won {
		total += n
	}
	outs, err := s.gifts.Payouts(t.Context(), id)
	var owed int64
	for _, o := range outs {
		owed += o.Amount
		if won[o.User] != o.Amount {
			t.Errorf("%s was told %d and is owed %d", o.User, won[o.User], o.Amount)
		}
	}
	if len(won) != shares || total != sum || len(outs) != shares || owed != sum || err != nil {
		t.Errorf("%d won together %d, %d are owed together %d (%v); want %d and %d", len(won), total, len(outs), owed, err, shares, sum)
	}
	t.Logf("%d claims decided in %v, %d refused", users+users/5, time.Since(begin).Round(time.Millisecond), refused)
}
