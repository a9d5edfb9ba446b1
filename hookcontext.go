package im

import (
	"context"
	"sync"
	"time"
)

// hookContext is context.WithDeadline for a hook: most hooks do not ask how much time they
// have, and then nothing is made. It must not be copied, and ends with end.
type hookContext struct {
	parent context.Context
	until  time.Time

	mu     sync.Mutex // guards the fields below
	made   context.Context
	cancel context.CancelFunc
	over   bool
}

var _ context.Context = (*hookContext)(nil)

// real returns the context that this one stands for.
func (c *hookContext) real() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil {
		c.made, c.cancel = context.WithDeadline(c.parent, c.until)
		if c.over {
			c.cancel()
		}
	}
	return c.made
}

// end ends it.
func (c *hookContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.cancel != nil {
		c.cancel()
	}
}

// Deadline is context.Context.
func (c *hookContext) Deadline() (time.Time, bool) {
	if d, ok := c.parent.Deadline(); ok && d.Before(c.until) {
		return d, true
	}
	return c.until, true
}

// Done is context.Context.
func (c *hookContext) Done() <-chan struct{} { return c.real().Done() }

// Err is context.Context.
func (c *hookContext) Err() error { return c.real().Err() }

// Value is context.Context. The package context asks it for the context that cancels, and why that
// did, once it has seen Done.
func (c *hookContext) Value(key any) any {
	c.mu.Lock()
	made := c.made
	if made == nil && (c.over || !time.Now().Before(c.until)) {
		c.mu.Unlock()
		made = c.real()
	} else {
		c.mu.Unlock()
	}
	if made != nil {
		return made.Value(key)
	}
	return c.parent.Value(key)
}
