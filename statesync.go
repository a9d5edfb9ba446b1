package im

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
)

// barrier is an event without effect for whose position some calls of Sync wait.
type barrier struct {
	done chan struct{} // closed when err is there
	err  error
}

// Sync returns when this node has folded everything that was stored before the call,
// on whatever node: what Get then returns is linearizable. It appends an event, which viewers do not see; calls that
// come together share one. Writes need no Sync: their versions are decided in the log.
func (s RoomState) Sync(ctx context.Context) error {
	c, err := s.room.hub.core(ctx, s.room.id)
	if err != nil {
		return err
	}
	defer c.release()
	c.mu.Lock()
	b := c.barrier
	if b == nil { // the one that is under way, if there is one, may stand before this call
		b = &barrier{done: make(chan struct{})}
		c.barrier = b
		if !c.syncing {
			c.syncing = true
			c.hub.background(c.passBarriers)
		}
	}
	c.mu.Unlock()
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return &Error{Code: CodeTimeout, cause: ctx.Err()}
	case <-c.hub.life.Done():
		return ErrClosed
	}
}

// passBarriers appends barriers one after the other until nobody waits for one.
func (c *core) passBarriers() {
	for {
		c.mu.Lock()
		b := c.barrier
		c.barrier = nil
		c.syncing = b != nil
		c.mu.Unlock()
		if b == nil {
			return
		}
		b.err = &Error{Code: CodeInternal} // if the log panics
		func() {
			defer close(b.done)
			_ = c.hub.protect("synchronising a room", func() error {
				b.err = c.passBarrier()
				return b.err
			})
		}()
	}
}

func (c *core) passBarrier() error {
	p := c.hub.hookPatience()
	ctx, cancel := p.context()
	defer cancel()
	body, _ := json.Marshal(control{Type: controlSync})
	e, _, err := c.store(ctx, &Event{ID: uuid.NewString(), Kind: System, Body: body})
	if err != nil {
		return err
	}
	return c.await(ctx, e.Pos)
}
