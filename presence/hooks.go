package presence

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxCalls   = 1 << 16 // that wait
	maxHanging = 64      // calls that are left behind, before further ones are left out
)

// hook is Options.OnJoin or OnLeave.
type hook func(ctx context.Context, room string, m Member)

// hooks calls the host's functions one after the other, on a goroutine that exists while there is something to call.
type hooks struct {
	timeout time.Duration
	logger  *slog.Logger
	life    context.Context // of the calls
	endLife context.CancelFunc
	worker  sync.WaitGroup
	hanging atomic.Int64
	dropped atomic.Uint64

	mu      sync.Mutex // guards the fields below
	queue   []hookCall
	running bool
	over    bool
}

type hookCall struct {
	f    hook
	room string
	m    Member
}

func (h *hooks) begin(o *Options) {
	h.timeout, h.logger = o.HookTimeout, o.Logger
	h.life, h.endLife = context.WithCancel(context.Background())
}

// end leaves out what waits, and waits for the call that is under way unless it hangs on.
func (h *hooks) end() {
	h.mu.Lock()
	h.over, h.queue = true, nil
	h.mu.Unlock()
	h.endLife()
	h.worker.Wait()
}

// add has f called soon; nil is nothing to call. It never waits.
func (h *hooks) add(f hook, room string, m Member) {
	if f == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.over:
		return
	case len(h.queue) >= maxCalls:
		if h.dropped.Add(1) == 1 {
			h.logger.Error("OnJoin and OnLeave take too long: some of what happens is not told to them", "waiting", maxCalls)
		}
		return
	}
	h.queue = append(h.queue, hookCall{f, room, m})
	if !h.running {
		h.running = true
		h.worker.Go(h.work)
	}
}

func (h *hooks) work() {
	for {
		h.mu.Lock()
		calls := h.queue
		h.queue = nil
		if h.running = len(calls) > 0; !h.running {
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
		for i := range calls {
			if h.life.Err() != nil {
				break
			}
			h.call(&calls[i])
		}
	}
}

// call calls one hook and waits for it, but not longer than a hook may take.
func (h *hooks) call(c *hookCall) {
	if h.hanging.Load() >= maxHanging {
		h.dropped.Add(1)
		return
	}
	ctx, cancel := context.WithTimeout(h.life, h.timeout)
	done := make(chan struct{})
	h.hanging.Add(1)
	go func() {
		defer h.hanging.Add(-1)
		defer cancel()
		defer close(done)
		defer func() {
			if why := recover(); why != nil {
				h.logger.Error("a hook of presence panicked", "room", c.room, "user", c.m.ID, "panic", why, "stack", string(debug.Stack()))
			}
		}()
		c.f(ctx, c.room, c.m)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		select {
		case <-done:
		default:
			if h.life.Err() == nil {
				h.logger.Warn("a hook of presence hangs and is left behind", "room", c.room, "user", c.m.ID, "after", h.timeout)
			}
		}
	}
}
