package netpoll

import "sync"

// spare is how many goroutines a crew keeps that have nothing to do. Their stacks
// have grown to what the work needs, which a new goroutine would have to do first.
const spare = 16

// crew runs tasks on goroutines of its own, as many as run at a time. The zero
// crew is ready.
type crew struct {
	mu     sync.Mutex // guards the fields below
	idle   []chan Task
	closed bool
}

// run has t done soon. It does not block.
func (c *crew) run(t Task) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		hand := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		hand <- t
		return
	}
	c.mu.Unlock()
	go c.work(t)
}

// work is a goroutine. It ends when enough others are idle, and with close.
func (c *crew) work(t Task) {
	var hand chan Task
	for {
		t.Do() // a Goexit in it ends this goroutine and no other
		t = nil
		c.mu.Lock()
		if c.closed || len(c.idle) == spare {
			c.mu.Unlock()
			return
		}
		if hand == nil {
			hand = make(chan Task, 1)
		}
		c.idle = append(c.idle, hand)
		c.mu.Unlock()
		var ok bool
		if t, ok = <-hand; !ok {
			return
		}
	}
}

// close ends the goroutines that are idle, and the others after their task.
func (c *crew) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, hand := range c.idle {
		close(hand)
	}
	c.idle = nil
}
