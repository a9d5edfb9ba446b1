package bolt_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/gift"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/ledger"
	"github.com/liveim/im/storage/bolt"
	"github.com/liveim/im/storage/filelog"
)

// What the process that is killed is told by its environment.
const (
	stormDir  = "GIFT_STORM_DIR"
	stormAddr = "GIFT_STORM_ADDR"
	stormPay  = "GIFT_STORM_BANK"
)

const stormRooms = 4

// TestGiftStormChild is the process that is killed: a hub on a file log whose orders are in a bolt file. In a run of its own
// it does nothing.
func TestGiftStormChild(t *testing.T) {
	dir := os.Getenv(stormDir)
	if dir == "" {
		return
	}
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
	}
	book, err := bolt.Open(filepath.Join(dir, "orders.db"), nil)
	fail(err)
	quiet := slog.New(slog.DiscardHandler)
	log, err := filelog.Open(filepath.Join(dir, "rooms"), &filelog.Options{Logger: quiet})
	fail(err)
	hub, err := im.New(imtest.BearerUser, &im.Options{
		Log: log, Logger: quiet, Pressure: func() float64 { return 0 },
		Limits: im.Limits{Requests: im.Unlimited, Connection: im.Unlimited, Address: im.Unlimited, Accept: im.Unlimited},
	})
	fail(err)
	gifts, err := gift.New(hub, &remoteCharge{os.Getenv(stormPay), &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}, &gift.Options{
		Ledger:        book,
		Catalogue:     gift.Items(gift.Item{ID: "rose", Price: 7, ComboWindow: time.Minute}),
		ChargeTimeout: 300 * time.Millisecond, Answer: time.Second, Lease: time.Second, Poll: 100 * time.Millisecond, Workers: 64,
		TopEvery: 200 * time.Millisecond, Logger: quiet,
	})
	fail(err)
	mux := stormHandler(hub, gifts)
	var ln net.Listener
	for deadline := time.Now().Add(5 * time.Second); ; runtime.Gosched() { // the one before died a moment ago
		if ln, err = net.Listen("tcp", os.Getenv(stormAddr)); err == nil || time.Now().After(deadline) {
			break
		}
	}
	fail(err)
	go func() { _ = (&http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}).Serve(ln) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1) // the parent is gone
}

// stormHandler serves the hub, refunds, and how many orders are not final.
func stormHandler(hub *im.Hub, gifts *gift.Gifts) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/im/", http.StripPrefix("/im", hub))
	mux.HandleFunc("/refund", func(w http.ResponseWriter, r *http.Request) {
		if err := gifts.Refund(r.Context(), r.FormValue("order"), "test"); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	})
	mux.HandleFunc("/left", func(w http.ResponseWriter, r *http.Request) {
		left := 0
		for _, s := range []gift.State{gift.StatePending, gift.StateCharged, gift.StateCanceling, gift.StateRefunding} {
			orders, err := gifts.Orders(r.Context(), gift.Query{State: s, Max: 1000})
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			left += len(orders)
		}
		fmt.Fprint(w, left)
	})
	return mux
}

// TestGiftStorm has many givers send gifts, a fifth of them twice, to a hub that is killed every two seconds, with a bank that
// fails and hangs. In the end the bank's book, the ledger and the log say the same.
func TestGiftStorm(t *testing.T) {
	s := &storm{t: t, kills: 5, givers: 200, gifts: 1000, orders: map[string]string{}}
	if soakGifts() {
		s.kills, s.givers, s.gifts = 30, 1000, 20_000
	}
	s.run()
}

func soakGifts() bool { return os.Getenv("IM_SOAK") != "" }

type storm struct {
	t             *testing.T
	kills         int
	givers, gifts int
	dir, addr     string
	bank          stormBank
	bankURL       string
	giver         stormGiver
	next          atomic.Int64 // gifts begun
	killed        atomic.Bool  // as often as wanted
	repeats       atomic.Int64
	tries         atomic.Int64

	mu     sync.Mutex        // protects the fields below
	orders map[string]string // by user and cid: the order that the giver was told, or "" if it was declined
	child  *exec.Cmd
	stdin  io.WriteCloser
}

func (s *storm) start() {
	child := exec.Command(os.Args[0], "-test.run=^TestGiftStormChild$")
	child.Env = append(os.Environ(), stormDir+"="+s.dir, stormAddr+"="+s.addr, stormPay+"="+s.bankURL)
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		s.t.Error(err)
		return
	}
	s.child, s.stdin = child, in
}

func (s *storm) kill() {
	_ = s.child.Process.Kill()
	_ = s.child.Wait()
	_ = s.stdin.Close()
}

func (s *storm) run() {
	t := s.t
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.dir, s.addr = t.TempDir(), ln.Addr().String()
	_ = ln.Close()
	s.bank.book = map[string]*stormAccount{}
	bank := httptest.NewServer(&s.bank)
	defer bank.Close()
	s.bankURL = bank.URL
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	s.giver = stormGiver{"http://" + s.addr, &http.Client{Transport: transport}}

	begin := time.Now()
	s.start()
	var giving sync.WaitGroup
	for range 48 {
		giving.Go(s.give)
	}
	for range s.kills {
		<-time.After(2 * time.Second)
		s.kill()
		s.start()
	}
	s.killed.Store(true)
	giving.Wait()
	given := time.Since(begin)
	s.settle()
	s.kill()
	bank.CloseClientConnections()
	s.check()
	t.Logf("%d kills, %d gifts of %d givers in %v, %d requests of which %d repeated what was answered; the bank had %d calls, failed %d, hung in %d",
		s.kills, len(s.orders), s.givers, given.Round(time.Millisecond), s.tries.Load(), s.repeats.Load(), s.bank.calls, s.bank.fails, s.bank.hangs)
}

// give sends gifts until there were enough, of gifts and of kills.
func (s *storm) give() {
	for !s.t.Failed() {
		n := int(s.next.Add(1)) - 1
		if n >= s.gifts && s.killed.Load() {
			return
		}
		user, cid := fmt.Sprint("giver-", n%s.givers), fmt.Sprint("c", n)
		room := fmt.Sprint("room-", n%stormRooms)
		order, ok := s.answered(user, room, cid, 1+n%3)
		if !ok {
			return
		}
		s.mu.Lock()
		s.orders[user+" "+cid] = order
		s.mu.Unlock()
		if n%5 == 0 {
			s.repeats.Add(1)
			again, ok := s.answered(user, room, cid, 1+n%3)
			if ok && again != order && order != "" && again != "" {
				s.t.Errorf("gift %s of %s was order %s and is %s", cid, user, order, again)
			}
		}
		if n%100 == 1 && order != "" { // the host thinks better of it; if the process dies meanwhile, or the order is not there yet, so be it
			_, _ = s.giver.post(s.t.Context(), "/refund?order="+order, user, "")
		}
	}
}

// answered sends a gift until the hub has answered.
func (s *storm) answered(user, room, cid string, count int) (order string, ok bool) {
	for deadline := time.Now().Add(60 * time.Second); ; {
		s.tries.Add(1)
		a, err := s.giver.send(s.t.Context(), user, room, cid, count)
		switch {
		case err == nil:
			return a.Body.Order, true
		case err != errAgain || time.Now().After(deadline):
			s.t.Errorf("gift %s of %s: %v (%+v)", cid, user, err, a)
			return "", false
		}
		<-time.After(time.Duration(20+rand.IntN(60)) * time.Millisecond)
	}
}

// settle waits until every order has come to its end.
func (s *storm) settle() {
	for deadline := time.Now().Add(time.Minute); ; {
		left, err := s.giver.post(s.t.Context(), "/left", "host", "")
		if err == nil && string(left) == "0" {
			return
		}
		if time.Now().After(deadline) {
			s.t.Errorf("orders are left after a minute: %s, %v", left, err)
			return
		}
		<-time.After(100 * time.Millisecond)
	}
}

// check compares the three books.
func (s *storm) check() {
	t := s.t
	orders, totals := s.readLedger()
	events := s.readLog()
	states := map[gift.State]int{}
	var delivered, taken int64
	for id, o := range orders {
		states[o.State]++
		if o.State == gift.StateDelivered {
			delivered += o.Amount
		}
		s.checkOrder(&o, events[id])
		delete(events, id)
	}
	for id, a := range s.bank.book {
		if _, ok := orders[id]; !ok {
			t.Errorf("the bank has an order %s that the ledger has not", id)
		}
		taken += a.taken()
	}
	if len(events) > 0 {
		t.Errorf("the rooms have events of %d orders that the ledger has not", len(events))
	}
	s.checkTold(orders)
	if taken != delivered || totals != delivered {
		t.Errorf("the bank has %d, delivered was %d, the top givers have %d", taken, delivered, totals)
	}
	t.Logf("charged %d = delivered %d = counted %d; orders %v", taken, delivered, totals, states)
}

// checkOrder compares one order with the bank, and with how many events the room has of it.
func (s *storm) checkOrder(o *gift.Order, events int) {
	a := s.bank.book[o.ID]
	if a == nil {
		a = &stormAccount{}
	}
	ok := false
	switch o.State {
	case gift.StateDelivered:
		ok = events == 1 && a.taken() == o.Amount && a.commits == 1
	case gift.StateRefunded:
		ok = events == 1 && a.taken() == 0
	case gift.StateFailed, gift.StateCanceled:
		ok = events == 0 && a.taken() == 0
	}
	if !ok {
		s.t.Errorf("order %s of %d ends as %s (%s), the room has %d events of it, the bank has %d, taken %d times", o.ID, o.Amount, o.State, o.Reason, events, a.taken(), a.commits)
	}
}

// checkTold compares the orders with what the givers were told.
func (s *storm) checkTold(orders map[string]gift.Order) {
	known := map[string]string{}
	for what, id := range s.orders {
		if id == "" {
			continue
		}
		if other := known[id]; other != "" {
			s.t.Errorf("%s and %s are one order", what, other)
		}
		known[id] = what
		if _, ok := orders[id]; !ok {
			s.t.Errorf("the order of %s is lost", what)
		}
	}
	if len(orders) != len(s.orders) {
		s.t.Errorf("%d orders of %d gifts", len(orders), len(s.orders))
	}
}

// readLedger returns all orders, and what the givers have given over all rooms.
func (s *storm) readLedger() (orders map[string]gift.Order, totals int64) {
	l, err := bolt.Open(filepath.Join(s.dir, "orders.db"), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer l.Close()
	orders = map[string]gift.Order{}
	for q := (ledger.Query{Prefix: "gift/", Max: 1000}); ; {
		entries, err := l.List(s.t.Context(), q)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range entries {
			q.After = e.Key
			switch e.Kind {
			case "gift.order":
				var o gift.Order
				if err := json.Unmarshal(e.Data, &o); err != nil {
					s.t.Fatal(err)
				}
				orders[o.ID] = o
			case "gift.total":
				var n struct{ Amount int64 }
				if err := json.Unmarshal(e.Data, &n); err != nil {
					s.t.Fatal(err)
				}
				totals += n.Amount
			}
		}
		if len(entries) < q.Max {
			return orders, totals / 2 // of the day and of all time
		}
	}
}

// readLog counts the gifts in the rooms by order, and checks that combos have no gap and nothing twice.
func (s *storm) readLog() map[string]int {
	log, err := filelog.Open(filepath.Join(s.dir, "rooms"), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	found := map[string]int{}
	for n := range stormRooms {
		combos := map[string]map[int64]int64{} // id, count, of which in this event
		for r := (im.Range{Max: 1000}); ; {
			page, err := log.Read(context.Background(), fmt.Sprint("room-", n), r)
			if err != nil {
				s.t.Fatal(err)
			}
			for _, e := range page.Events {
				r.After = e.Pos
				if e.Kind != im.Gift {
					continue
				}
				b, err := im.Decode[gift.Body](e)
				if err != nil || b.Combo == nil || b.Order != e.ID {
					s.t.Fatalf("event %+v, %v", e, err)
				}
				found[e.ID]++
				if combos[b.Combo.ID] == nil {
					combos[b.Combo.ID] = map[int64]int64{}
				}
				combos[b.Combo.ID][b.Combo.Count] = b.Count
			}
			if !page.More {
				break
			}
		}
		for id, counts := range combos {
			var sum, most int64
			for count, of := range counts {
				sum, most = sum+of, max(most, count)
			}
			if sum != most {
				s.t.Errorf("combo %s has %d gifts and counts up to %d", id, sum, most)
			}
		}
	}
	return found
}
