package sock

// Who reads a polled connection: the task that took the turn from idle. News
// that comes meanwhile is noted, and the task looks once more.
const (
	unstarted uint32 = iota
	idle
	reads
	again // reads, and there is news
	over  // reading has ended
)

// schedule has the connection read, or looked at because of Close or a deadline.
func (c *Conn) schedule() {
	for {
		switch c.turn.Load() {
		case idle:
			if c.turn.CompareAndSwap(idle, reads) {
				c.poller.Go((*readTask)(c))
				return
			}
		case reads:
			if c.turn.CompareAndSwap(reads, again) {
				return
			}
		default:
			return
		}
	}
}

// readTask is a Conn whose turn to read was taken.
type readTask Conn

// Do is netpoll.Task.
func (t *readTask) Do() {
	c := (*Conn)(t)
	c.reading(c.readOn)
}

// firstTask is a readTask with what was read before.
type firstTask struct {
	conn  *Conn
	early []byte
}

// Do is netpoll.Task.
func (t *firstTask) Do() {
	c := t.conn
	c.reading(func() error {
		c.handler.Input(t.early)
		return c.readOn()
	})
}

// readOn reads until nothing is there, and gives the turn back.
func (c *Conn) readOn() error {
	for {
		if err := c.drain(); err != nil {
			return err
		}
		if c.turn.CompareAndSwap(reads, idle) {
			return nil
		}
		c.turn.Store(reads)
	}
}

// writeTask is a Conn that has room again.
type writeTask Conn

// Do is netpoll.Task.
func (t *writeTask) Do() {
	c := (*Conn)(t)
	defer c.tasks.Done()
	defer c.survive("sending")
	c.handler.Writable()
}

// Ready is netpoll.Watcher.
func (c *Conn) Ready(in, out, gone bool) {
	if gone {
		c.state.Or(stateGone)
	}
	if in || gone {
		c.schedule()
	}
	if !out || c.state.Load()&stateShort == 0 || c.state.And(^uint32(stateShort))&stateShort == 0 {
		return
	}
	c.mu.Lock()
	closed := c.state.Load()&stateClosed != 0
	if !closed {
		c.tasks.Add(1)
	}
	c.mu.Unlock()
	if !closed {
		c.poller.Go((*writeTask)(c))
	}
}
