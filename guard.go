package im

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
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
	waits   sync.Pool // of *guardWait
}

// guardWait is what one call waits with, and then another.
type guardWait struct {
	result chan error // holds one
	timer  *time.Timer
}

// run calls f and returns its error; a panic or Goexit is CodeInternal. If f
// has not returned after d, or when ctx ends, run returns CodeTimeout and leaves f
// behind with a context that has ended.
func (g *guard) run(ctx context.Context, d time.Duration, what string, f func(ctx context.Context) error) error {
	if g.hanging.Load() >= g.max {
		return &Error{Code: CodeOverloaded, RetryAfter: time.Second, cause: fmt.Errorf("%d calls of hooks hang", g.max)}
	}
	call := &guardCall{guard: g, what: what, f: f, ctx: hookContext{parent: ctx, until: time.Now().Add(d)}}
	w, ok := g.waits.Get().(*guardWait)
	if ok {
		w.timer.Reset(d)
	} else {
		w = &guardWait{make(chan error, 1), time.NewTimer(d)}
	}
	go call.do(w.result)
	select {
	case err := <-w.result:
		return g.done(w, err)
	case <-w.timer.C:
	case <-ctx.Done():
	}
	select {
	case err := <-w.result: // both came at once
		return g.done(w, err)
	default:
	}
	g.hanging.Add(1)
	if !call.left.CompareAndSwap(false, true) {
		g.hanging.Add(-1)
		return g.done(w, <-w.result) // it has returned just now
	}
	w.timer.Stop()
	cause := context.Cause(call.ctx.real())
	call.ctx.end()
	return &Error{Code: CodeTimeout, cause: fmt.Errorf("%s has not returned: %w", what, cause)}
}

// done gives back what a call waited with.
func (g *guard) done(w *guardWait, err error) error {
	w.timer.Stop()
	g.waits.Put(w)
	return err
}

// guardCall is one call of a hook.
type guardCall struct {
	guard *guard
	what  string
	f     func(ctx context.Context) error
	left  atomic.Bool // whoever sets it first decides who accounts for a late return
	ctx   hookContext
}

// do is the goroutine of the call.
func (c *guardCall) do(result chan<- error) {
	var err error
	returned := false
	defer func() {
		if p := recover(); p == nil && !returned {
			err = &Error{Code: CodeInternal, cause: fmt.Errorf("%s ended its goroutine", c.what)}
		} else if p != nil {
			c.guard.log("a hook of the host panicked", "hook", c.what, "panic", p, "stack", string(debug.Stack()))
			err = &Error{Code: CodeInternal, cause: fmt.Errorf("%s panicked: %v", c.what, p)}
		}
		c.ctx.end()
		late := !c.left.CompareAndSwap(false, true)
		result <- err // nobody may read it
		if late {
			c.guard.hanging.Add(-1)
		}
	}()
	err = c.f(&c.ctx)
	returned = true
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
