package gift

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/ledger"
)

// Options are what a host may plug in or change. New copies them.
type Options struct {
	// Ledger keeps the orders. Nil means one in memory, which needs AllowMemory.
	Ledger ledger.Ledger
	// AllowMemory lets New take a ledger that is not durable: orders are then lost with the process, and so is
	// the knowledge of what was charged. For tests and demonstrations.
	AllowMemory bool

	// Catalogue says what can be given. Nil: nothing.
	Catalogue Catalogue
	// Currency is that of paid messages, red packets, items that name none, and of the top givers: gifts in other currencies
	// do not count there. Defaults to "coin".
	Currency string
	// MaxAmount is the largest sum of one order: 1 to MaxAmount. Defaults to 1e12.
	MaxAmount int64

	// Tiers are what paid messages of which amount get. Nil means DefaultTiers; empty switches paid messages off.
	Tiers []Tier
	// Text is asked about the text of each paid message before it is charged, and returns the text to show: the
	// interceptors of the hub do not see it. An *im.Error is the answer as it is. Nil takes every text.
	Text func(ctx context.Context, u im.User, room, text string) (string, error)

	// Payer pays out what red packets hold. Nil switches red packets off.
	Payer Payer
	// MaxShares is how many may share one red packet: 1 to 10,000. Defaults to 1,000.
	MaxShares int64
	// PacketFor is how long a red packet may be claimed; what is left goes back to the giver. 1 s to 7 days; defaults to
	// 10 min.
	PacketFor time.Duration

	// Stream names the stream that is on in a room, such as the id of a broadcast: top givers are counted per stream. It must
	// be quick. Nil means that each room is one stream for ever.
	Stream func(room string) string
	// Zone is where days begin, for the top givers of the day. Nil means UTC.
	Zone *time.Location
	// Top is how many givers the lists in a room's state have: 1 to 20. Defaults to 10. Fewer are shown where
	// long names would not fit into 4 KiB.
	Top int
	// TopEvery is the least time between two changes of the lists in a room. 10 ms to 1 h; defaults to 1 s.
	TopEvery time.Duration

	// Audit is told of each step of an order or payout before the ledger has it, with a Transition as the
	// detail. An error postpones the step, so that no money moves unrecorded. A step may be told twice, after a
	// crash, and of two steps with one version the one in the ledger was taken.
	Audit func(ctx context.Context, action string, detail any) error

	// Expire is how long an order may be pending. 1 s to 7 days; defaults to 15 min.
	Expire time.Duration
	// Ask is how often the Charge is asked again about an order for which it has answered ErrPending. 10 ms to 24 h; defaults
	// to 30 s.
	Ask time.Duration
	// ChargeTimeout is how long one call of the Charge, the Payer, Text or Audit may take; after that its outcome counts as not
	// known. 10 ms to 1 min; defaults to 5 s.
	ChargeTimeout time.Duration
	// Answer is how long a client waits for the end of its order before it is told that the order is pending. It is
	// told the end by a direct message then. 1 ms to 1 min, less than the hub's Timeouts.Hook; defaults to 3 s.
	Answer time.Duration
	// Lease is how long a process has an order to itself. After a crash the order rests for that long. 100 ms to 10 min, and
	// raised to three times ChargeTimeout if it is less; defaults to 15 s.
	Lease time.Duration
	// Poll is how often the ledger is asked for what is due. 10 ms to 1 min; defaults to 1 s.
	Poll time.Duration
	// Workers is how many orders that are due are worked on at the same time. 1 to 1,000; defaults to 16.
	Workers int

	// Logger gets warnings and errors. Nil means slog.Default().
	Logger *slog.Logger
	// Now is the wall clock; it should be that of the hub. Nil means time.Now.
	Now func() time.Time
}

// Transition is the detail of Options.Audit: a step of an order or of a payout.
type Transition struct {
	// Order is how the order will be. It is nil for payouts.
	Order *Order `json:"order,omitempty"`
	// Payout is how the payout will be. It is nil for orders.
	Payout *Payout `json:"payout,omitempty"`
	// From is the state before, empty for what is new.
	From State `json:"from,omitempty"`
	// Version is the one that the entry of the ledger will have.
	Version uint64 `json:"version"`
}

// complete returns a copy with defaults, or an error that names a field and its bound.
func (o *Options) complete() (Options, error) {
	c := Options{}
	if o != nil {
		c = *o
	}
	if c.Ledger == nil {
		c.Ledger = ledger.NewMemory()
	}
	if !c.Ledger.Durable() && !c.AllowMemory {
		return c, errors.New("gift: Options.Ledger is not durable: use storage/bolt or storage/postgres, or set Options.AllowMemory where money is not real")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	if c.Catalogue == nil {
		c.Catalogue = Items()
	}
	if c.Currency == "" {
		c.Currency = "coin"
	}
	if c.Tiers == nil {
		c.Tiers = DefaultTiers()
	}
	return c, errors.Join(c.bounds(), checkCurrency(c.Currency), checkTiers(c.Tiers, c.MaxAmount))
}

// bounds gives numbers their defaults, and checks them.
func (o *Options) bounds() error {
	err := errors.Join(
		within(&o.MaxAmount, "MaxAmount", 1e12, 1, MaxAmount),
		within(&o.MaxShares, "MaxShares", 1000, 1, 10_000),
		within(&o.Top, "Top", 10, 1, 20),
		within(&o.Workers, "Workers", 16, 1, 1000),
		within(&o.PacketFor, "PacketFor", 10*time.Minute, time.Second, 7*24*time.Hour),
		within(&o.TopEvery, "TopEvery", time.Second, 10*time.Millisecond, time.Hour),
		within(&o.Expire, "Expire", 15*time.Minute, time.Second, 7*24*time.Hour),
		within(&o.Ask, "Ask", 30*time.Second, 10*time.Millisecond, 24*time.Hour),
		within(&o.ChargeTimeout, "ChargeTimeout", 5*time.Second, 10*time.Millisecond, time.Minute),
		within(&o.Answer, "Answer", 3*time.Second, time.Millisecond, time.Minute),
		within(&o.Lease, "Lease", 15*time.Second, 100*time.Millisecond, 10*time.Minute),
		within(&o.Poll, "Poll", time.Second, 10*time.Millisecond, time.Minute),
	)
	o.Lease = max(o.Lease, 3*o.ChargeTimeout)
	return err
}

// within gives v its default, and checks its bounds.
func within[T int | int64 | time.Duration](v *T, name string, standard, least, most T) error {
	if *v == 0 {
		*v = standard
	}
	if *v < least || *v > most {
		return fmt.Errorf("gift: Options.%s is %v; want %v to %v", name, *v, least, most)
	}
	return nil
}

func checkCurrency(s string) error {
	if !validWord(s, 16) {
		return fmt.Errorf("gift: the currency %.40q is not 1 to 16 printable ASCII characters without spaces", s)
	}
	return nil
}

// validWord reports whether s is 1 to most printable ASCII characters without spaces.
func validWord(s string, most int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= most
}
