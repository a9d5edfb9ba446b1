package gift

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// Charge takes the money: the host's wallet, or a payment service. It is called from many goroutines, and from
// every process that works on the ledger.
//
// Each method is idempotent by Order.ID: hand it to the payment service as the key of the call. Called again, a method
// does not do it again and answers how it stands, so that asking again is always safe. Order.Amount and
// Order.Currency are the same in all calls.
//
// Errors decide how the order goes on:
//
//	nil                it is done
//	ErrPending         it will be decided later: by Gifts.Notify, or by being asked again
//	*Declined          no, for good: nothing was taken, and nothing will be
//	any other          not known: it may have happened. It is asked again, with growing pauses, until the order expires
//
// A call that outlasts Options.ChargeTimeout counts as not known; its context ends then, and it is left behind if
// it does not heed that.
type Charge interface {
	// Reserve sets the sum of an order aside, so that Commit is sure to get it. A wallet that takes money in one
	// step may do nothing here. For an order that is committed it returns nil.
	Reserve(ctx context.Context, o Order) error
	// Commit takes what was reserved.
	Commit(ctx context.Context, o Order) error
	// Refund gives everything back that was reserved or committed, and answers nil for an order of which it knows
	// nothing. Once it has returned nil, Reserve and Commit of the order must be refused for good, those too that
	// were under way and arrive late: remember the id. It must not decline what it can ever do: a *Declined has the order
	// go to review.
	Refund(ctx context.Context, o Order) error
}

// Payer pays out what red packets hold: shares to those who have claimed them, and the rest to the giver.
type Payer interface {
	// Pay gives a user a sum. It is idempotent by Payout.ID, and its errors are those of a Charge: it is asked again until it
	// returns nil or a *Declined, which has the payout go to review.
	Pay(ctx context.Context, p Payout) error
}

// ErrPending is what a Charge or Payer returns for what will be decided later.
var ErrPending = errors.New("gift: not decided yet")

// Declined is the error of a Charge that says no for good.
type Declined struct {
	Reason string // a sentence for the giver
}

func (d *Declined) Error() string { return "gift: declined: " + d.Reason }

// maxHanging is how many calls of the host may hang before new ones are refused.
const maxHanging = 1000

var errHanging = errors.New("gift: too many calls of the host hang; nothing was called")

// guard calls what the host has given us.
type guard struct {
	timeout time.Duration
	hanging atomic.Int64
}

// call runs f on a goroutine of its own, so that neither a panic nor a hang of the host's code costs more than the
// call. A call that nobody waits for any more has an outcome that is not known.
func (g *guard) call(ctx context.Context, what string, f func(ctx context.Context) error) error {
	if g.hanging.Load() >= maxHanging {
		return errHanging
	}
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	result := make(chan error, 1)
	g.hanging.Add(1)
	go func() {
		defer g.hanging.Add(-1)
		err := fmt.Errorf("gift: %s did not return", what) // Goexit
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("gift: %s panicked: %v\n%s", what, p, debug.Stack())
			}
			result <- err
		}()
		err = f(ctx)
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("gift: %s has not answered: %w", what, ctx.Err())
	}
}

// ask is guard.call for what has a result.
func ask[T any](ctx context.Context, g *guard, what string, f func(ctx context.Context) (T, error)) (T, error) {
	result := make(chan T, 1) // a variable would be shared with a call that was left behind
	err := g.call(ctx, what, func(ctx context.Context) error {
		v, err := f(ctx)
		result <- v
		return err
	})
	if err != nil {
		var zero T
		return zero, err
	}
	return <-result, nil
}
