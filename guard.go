package im

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// guard runs code of the host so that a panic, a hang or a Goexit costs no more
// than the operation it was called for: on a goroutine of its own, never under a
// lock, and not longer than a given time.
type guard struct {
	max     int64        // hanging calls before new ones are refused
	hanging atomic.Int64 // calls that nobody waits for any more
	log     func(msg string, args ...any)
}

// run calls f and returns its error; a panic or Goexit is CodeInternal. If f
// has not returned after d, or when ctx ends, run returns CodeTimeout and leaves f
// behind with a context that has ended.
func (g *guard) run(ctx context.Context, d time.Duration, what string, f func(ctx context.Context) error) error {
	if g.hanging.Load() >= g.max {
		return &Error{Code: CodeOverloaded, RetryAfter: time.Second, cause: fmt.Errorf("%d calls of hooks hang", g.max)}
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	result := make(chan error, 1)
	var left atomic.Bool // whoever sets it first decides who accounts for a late return
	go func() {
		err := error(&Error{Code: CodeInternal, cause: fmt.Errorf("%s ended its goroutine", what)})
		defer func() {
			if p := recover(); p != nil {
				g.log("a hook of the host panicked", "hook", what, "panic", p, "stack", string(debug.Stack()))
				err = &Error{Code: CodeInternal, cause: fmt.Errorf("%s panicked: %v", what, p)}
			}
			result <- err
			cancel() // after the result, which run would else miss
			if !left.CompareAndSwap(false, true) {
				g.hanging.Add(-1)
			}
		}()
		err = f(ctx)
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-result: // both came at once
		return err
	default:
	}
	g.hanging.Add(1)
	if !left.CompareAndSwap(false, true) {
		g.hanging.Add(-1)
		return <-result // it has returned just now
	}
	return &Error{Code: CodeTimeout, cause: fmt.Errorf("%s has not returned: %w", what, context.Cause(ctx))}
}

// protect runs f, which may call a Log of the host, and makes an error of a panic.
func (h *Hub) protect(what string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.opts.Logger.Error("a part of the hub panicked and goes on", "what", what, "panic", p, "stack", string(debug.Stack()))
			err = &Error{Code: CodeInternal, cause: fmt.Errorf("%s panicked: %v", what, p)}
		}
	}()
	return f()
}
