package gift

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/ledger"
)

// faultyLog is a log that fails when it is asked to append a gift.
type faultyLog struct {
	*im.MemoryLog
	fault func(append func() error) error
}

func (l *faultyLog) Append(ctx context.Context, room string, events []*im.Event) (out []im.Appended, err error) {
	call := func() error {
		out, err = l.MemoryLog.Append(ctx, room, events)
		return err
	}
	if len(events) > 0 && events[0].Kind == im.Gift && l.fault != nil {
		if err := l.fault(call); err != nil {
			return nil, err
		}
		return out, nil
	}
	return out, call()
}

func newFaultyLog(t *testing.T) *faultyLog {
	log, err := im.NewMemoryLog(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &faultyLog{MemoryLog: log}
}

func gifts(t imtest.TB, hub *imtest.Hub) (events []*im.Event) {
	t.Helper()
	for page, err := range hub.Room("42").Pages(t.Context(), im.HistoryQuery{Kinds: []im.Kind{im.Gift}, Max: 500}) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, page.Events...)
	}
	return events
}

// A process dies after the event was stored and before the ledger knew: the next one finds it in the log, however long that
// is ago, and shows it no second time.
func TestCrashBetweenEventAndLedger(t *testing.T) {
	for _, stored := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			log := newFaultyLog(t)
			secret := []byte("0123456789abcdef")
			s := newSite(t, nil, &im.Options{Log: log, Secret: secret})
			log.fault = func(call func() error) error {
				if stored {
					if err := call(); err != nil {
						return err
					}
				}
				s.gifts.end() // the process is dead
				return errors.New("dead")
			}
			ann := s.Join("42", im.User{ID: "ann"})
			r := mustGive(t, ann, "c1", `{"gift":"rose"}`, StateCharged)
			log.fault = nil
			_ = s.gifts.Close(t.Context())
			_ = s.Close()
			if stored {
				<-time.After(6 * time.Minute) // longer than the log remembers ids, but for those of events that it has
			}
			hub := imtest.NewHub(t, &im.Options{Log: log, Secret: secret, Logger: slog.New(slog.DiscardHandler)})
			g := open(t, hub, s.bank, &s.opts)
			inState(t, g, r.Order, StateDelivered)
			if events := gifts(t, hub); len(events) != 1 || events[0].ID != r.Order {
				t.Errorf("the room has %d gifts, want 1", len(events))
			}
			if taken, _ := s.bank.sum(); taken != 99 {
				t.Errorf("the bank has taken %d, want 99", taken)
			}
			<-time.After(2 * time.Minute)
			var l TopList
			if l = shownTop(t, &site{Hub: hub}, "all"); len(l.Top) != 1 || l.Top[0].Amount != 99 {
				t.Errorf("top givers after the crash: %+v", l)
			}
		})
	}
}

// Where the log no longer reaches back, nobody can tell whether the room has seen it: a human decides.
func TestCrashAndTheLogIsGone(t *testing.T) {
	for _, shown := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			log := newFaultyLog(t)
			s := newSite(t, nil, &im.Options{Log: log})
			log.fault = func(call func() error) error {
				s.gifts.end()
				return errors.Join(call(), errors.New("dead"))
			}
			ann := s.Join("42", im.User{ID: "ann"})
			r := mustGive(t, ann, "c1", `{"gift":"rose"}`, StateCharged)
			log.fault = nil
			_ = s.gifts.Close(t.Context())
			_ = s.Close()
			log.Reset("42")

			hub := imtest.NewHub(t, &im.Options{Log: log, Logger: slog.New(slog.DiscardHandler)})
			g := open(t, hub, s.bank, &s.opts)
			inState(t, g, r.Order, StateReview)
			<-time.After(time.Hour)
			if n := len(gifts(t, hub)); n != 0 {
				t.Errorf("the room has seen %d gifts of an order in review", n)
			}
			want := 1
			if shown {
				want = 0
			}
			if err := g.Settle(t.Context(), r.Order, shown); err != nil {
				t.Fatal(err)
			}
			inState(t, g, r.Order, StateDelivered)
			if n := len(gifts(t, hub)); n != want {
				t.Errorf("the room has seen %d gifts, want %d", n, want)
			}
			if err := g.Settle(t.Context(), r.Order, true); code(err) != im.CodeConflict {
				t.Errorf("Settle again: %v", err)
			}
		})
	}
}

// An append that had no answer is looked for, and not made again.
func TestAppendWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFaultyLog(t)
		s := newSite(t, nil, &im.Options{Log: log})
		n := 0
		log.fault = func(call func() error) error {
			if n++; n == 1 {
				_ = call()
			}
			return errors.New("no answer")
		}
		ann := s.Join("42", im.User{ID: "ann"})
		mustGive(t, ann, "c1", `{"gift":"rose"}`, StateDelivered)
		if n := len(gifts(t, s.Hub)); n != 1 {
			t.Errorf("the room has %d gifts, want 1", n)
		}
	})
}

func TestClosedRoomIsRefunded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, nil, nil)
		ann := s.Join("42", im.User{ID: "ann"})
		s.bank.set(nil, func(ctx context.Context, call, _ string) error {
			if call == "commit" {
				return s.Room("42").Close(ctx, "over")
			}
			return nil
		})
		_, err := give(t, ann, "gift.send", "c1", `{"gift":"rose"}`)
		if err != nil && code(err) != "" {
			t.Fatal(err)
		}
		orders, err := s.gifts.Orders(t.Context(), Query{User: "ann"})
		if err != nil || len(orders) != 1 {
			t.Fatalf("%+v, %v", orders, err)
		}
		inState(t, s.gifts, orders[0].ID, StateRefunded)
		if taken, _ := s.bank.sum(); taken != 0 {
			t.Errorf("the bank has %d", taken)
		}
	})
}

// What the host records comes first: no money moves while it cannot.
func TestAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := make(chan struct{})
		var actions []string
		s := newSite(t, func(o *Options) {
			o.Audit = func(_ context.Context, action string, detail any) error {
				select {
				case <-broken:
				default:
					return errors.New("the disk is full")
				}
				tr := detail.(Transition)
				if tr.Order == nil || tr.Order.User != "ann" || tr.Version == 0 {
					t.Errorf("%s: %+v", action, tr)
				}
				actions = append(actions, string(tr.From)+" "+action)
				return nil
			}
		}, nil)
		ann := s.Join("42", im.User{ID: "ann"})
		if _, err := give(t, ann, "gift.send", "c1", `{"gift":"rose"}`); err == nil || len(s.bank.book) != 0 {
			t.Errorf("got %v with %d accounts", err, len(s.bank.book))
		}
		close(broken)
		r := mustGive(t, ann, "c1", `{"gift":"rose"}`, StateDelivered)
		if err := s.gifts.Refund(t.Context(), r.Order, ""); err != nil {
			t.Fatal(err)
		}
		inState(t, s.gifts, r.Order, StateRefunded)
		want := []string{" gift.pending", "pending gift.charged", "charged gift.delivered", "delivered gift.refunding", "refunding gift.refunded"}
		if len(actions) != len(want) {
			t.Fatalf("audit: %q", actions)
		}
		for n := range want {
			if actions[n] != want[n] {
				t.Errorf("audit %d: %q, want %q", n, actions[n], want[n])
			}
		}
	})
}

// Entries of other features that nobody works off do not keep ours from being worked off.
func TestSharedLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := ledger.NewMemory()
		for n := range 3000 {
			key := "other/" + string(rune('a'+n%26)) + time.Duration(n).String()
			if _, err := book.Commit(t.Context(), ledger.Change{Entry: ledger.Entry{Key: key, Kind: "other", Due: time.Unix(1, 0)}}); err != nil {
				t.Fatal(err)
			}
		}
		s := newSite(t, func(o *Options) { o.Ledger = book }, nil)
		s.bank.set(func(_ context.Context, call, _ string) error {
			s.bank.mu.Lock()
			defer s.bank.mu.Unlock()
			if call == "commit" && len(s.bank.book) == 1 && s.bank.before != nil {
				s.bank.before = nil
				return errors.New("once")
			}
			return nil
		}, nil)
		ann := s.Join("42", im.User{ID: "ann"})
		r, err := give(t, ann, "gift.send", "c1", `{"gift":"rose"}`)
		if err != nil {
			t.Fatal(err)
		}
		inState(t, s.gifts, r.Order, StateDelivered)
	})
}
