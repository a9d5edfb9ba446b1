package gift

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/ledger"
)

// Gifts sells gifts in the rooms of one hub. Make it with New, before the hub serves, and end it with Close, before the
// hub's Shutdown. Its methods are safe for use by many goroutines.
type Gifts struct {
	hub    *im.Hub
	pay    Charge
	opts   Options
	ledger ledger.Ledger
	guard  guard
	// process names this one among those that share the ledger.
	process string

	life    context.Context // ends when nothing more is waited for
	end     context.CancelFunc
	closing chan struct{} // closed when nothing more is to be begun
	kick    chan struct{} // has the outbox look at once
	busy    chan struct{} // a place for each entry that the outbox works on

	mu      sync.Mutex // protects the fields below
	closed  bool
	running sync.WaitGroup // Add only while not closed
	waiters map[string][]chan *record
	boards  map[string]*board
	claims  map[[2]string]*claimQueue // by packet and room
}

// New registers the operations of gifts on a hub, and starts the worker that finishes orders. It fails if an option
// is out of its bounds, if the ledger is not durable and Options.AllowMemory is not set, or if the Catalogue, which is asked
// once about the room "", has a wrong item. Register once per hub.
//
// The operations are "gift.send", "gift.order", "gift.list" and "gift.top"; "paid.send"; and with a Payer
// "packet.send", "packet.claim" and "packet.show".
func New(hub *im.Hub, charge Charge, opts *Options) (*Gifts, error) {
	if hub == nil || charge == nil {
		return nil, errors.New("gift: New needs a hub and a Charge")
	}
	o, err := opts.complete()
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	g := &Gifts{
		hub: hub, pay: charge, opts: o, ledger: o.Ledger, guard: guard{timeout: o.ChargeTimeout}, process: rand.Text(),
		life: life, end: end, closing: make(chan struct{}), kick: make(chan struct{}, 1), busy: make(chan struct{}, o.Workers),
		waiters: map[string][]chan *record{}, boards: map[string]*board{}, claims: map[[2]string]*claimQueue{},
	}
	if _, err := g.items(life, ""); err != nil && !isRefusal(err) { // a wrong item shows at once
		end()
		return nil, err
	}
	hub.Handle("gift.send", g.sendGift)
	hub.HandleQuery("gift.order", g.showOrder)
	hub.HandleQuery("gift.list", g.list)
	hub.HandleQuery("gift.top", g.showTop)
	if len(o.Tiers) > 0 {
		hub.Handle("paid.send", g.sendPaid)
	}
	if o.Payer != nil {
		hub.Handle("packet.send", g.sendPacket)
		hub.Handle("packet.claim", g.claim)
		hub.HandleQuery("packet.show", g.showPacket)
	}
	g.running.Go(g.outbox)
	return g, nil
}

// Close takes no more orders, lets what is under way come to an end, and returns when that has happened. If ctx
// ends first, what is under way is left to the next start, and the error is that of ctx. Orders that wait for a
// payment service go on when the next process has started. Close the hub after it. More calls do no harm.
func (g *Gifts) Close(ctx context.Context) error {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.closing)
	}
	g.mu.Unlock()
	done := make(chan struct{})
	go func() {
		g.running.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	g.end()
	<-done
	return err
}

// begin has f run on a goroutine that Close waits for, or returns false after Close.
func (g *Gifts) begin(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.running.Go(f)
	return true
}

func (g *Gifts) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

var errClosing = &im.Error{Code: im.CodeShutdown}

// now is the wall clock, in UTC and as fine as a ledger keeps it.
func (g *Gifts) now() time.Time { return g.opts.Now().UTC().Truncate(time.Microsecond) }

// isRefusal reports whether err is an answer for clients.
func isRefusal(err error) bool {
	var refusal *im.Error
	return errors.As(err, &refusal)
}

// mishap makes what a client is told of an error of the ledger or the host: the outcome is open, and the same call may be
// repeated.
func (g *Gifts) mishap(what string, err error) error {
	if isRefusal(err) {
		return err
	}
	g.opts.Logger.Error("gift: "+what, "error", err)
	return &im.Error{Code: im.CodeTimeout, RetryAfter: time.Second}
}
