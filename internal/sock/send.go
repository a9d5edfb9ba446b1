package sock

import "sync"

// Parcels hold what a transient goroutine writes. On the native path that is
// only the beginning of what did not fit, because a write that completes is the
// one sure sign of room: waiting for an edge of the poller alone could miss it.
const (
	smallParcel = 4 << 10
	largeParcel = 32 << 10
)

type parcel struct{ b []byte }

var (
	smallParcels = sync.Pool{New: func() any { return &parcel{make([]byte, 0, smallParcel)} }}
	largeParcels = sync.Pool{New: func() any { return &parcel{make([]byte, 0, largeParcel)} }}
)

// newParcel copies up to limit bytes of bufs, from byte skip on.
func newParcel(bufs [][]byte, skip, limit int) *parcel {
	pool := &smallParcels
	if limit > smallParcel {
		pool = &largeParcels
	}
	p := pool.Get().(*parcel)
	for _, b := range bufs {
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		b = b[skip:]
		skip = 0
		room := limit - len(p.b)
		if len(b) >= room {
			p.b = append(p.b, b[:room]...)
			break
		}
		p.b = append(p.b, b...)
	}
	return p
}

func (p *parcel) free() {
	pool := &smallParcels
	if cap(p.b) > smallParcel {
		pool = &largeParcels
	}
	p.b = p.b[:0]
	pool.Put(p)
}

// TrySend sends the concatenation of bufs as far as that is possible without
// blocking, and returns how many bytes it took; those reach the peer in order
// unless the connection fails. It keeps neither bufs nor the buffers.
//
// A short count with a nil error means that writable is called once, when there
// is room; do not call TrySend before. That may happen before TrySend has
// returned. An error means that the connection is closed.
//
// A full connection holds at most 32 KiB and a goroutine.
func (c *Conn) TrySend(bufs [][]byte) (int, error) {
	total := 0
	for _, b := range bufs {
		total += len(b)
	}
	state := c.state.Load()
	if total == 0 && state&stateClosed == 0 {
		return 0, nil
	}
	n := 0
	if c.raw != nil && state&(stateBusy|stateClosed) == 0 {
		var err error
		if n, err = c.sendNow(bufs, total); err != nil {
			return n, c.fail(err)
		}
		if n == total {
			return n, nil
		}
	}
	return c.park(bufs, n, total)
}

// park hands bytes from n on to a goroutine that writes them, and returns how
// many were taken in all.
func (c *Conn) park(bufs [][]byte, n, total int) (int, error) {
	limit := smallParcel
	if c.raw == nil && total > smallParcel {
		limit = largeParcel
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state := c.state.Load(); {
	case state&stateClosed != 0:
		return n, c.closedLocked()
	case state&stateBusy != 0:
		c.short = true
		return n, nil
	}
	p := newParcel(bufs, n, limit)
	n += len(p.b)
	c.short = n < total
	c.state.Or(stateBusy)
	c.flusher.Add(1)
	go c.flush(p)
	return n, nil
}

// flush is a goroutine that writes one parcel and then says that there is room,
// if anybody has asked. Close ends it.
func (c *Conn) flush(p *parcel) {
	defer c.flusher.Done()
	defer c.survive("sending")
	_, err := c.conn.Write(p.b)
	p.free()
	if err != nil {
		_ = c.fail(err)
		return
	}
	c.mu.Lock()
	state := c.state.Load()
	short := c.short
	c.short = false
	c.state.And(^uint32(stateBusy))
	c.mu.Unlock()
	switch {
	case state&stateClosed != 0:
	case state&stateEnding != 0:
		c.halfClose()
	case short:
		c.writable()
	}
}
