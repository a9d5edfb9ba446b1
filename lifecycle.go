package im

import (
	"context"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// lifecycle is how a hub ends: it stops to take connections and requests, tells
// every session, waits, and stops its goroutines.
type lifecycle struct {
	endLife     context.CancelFunc
	closed      chan struct{}  // closed when everything has ended
	connections sync.WaitGroup // one for each connection
	inflight    sync.WaitGroup // one for each request in work
	tasks       sync.WaitGroup // one for each goroutine of the hub
	once        sync.Once      // ends the hub
	crowd       atomic.Int64   // sessions when leaving began: so many have to come back

	lifeMu    sync.Mutex // guards the fields below, and Add of the groups above
	connected int        // connections
	leaving   bool       // no new connections and requests
	stopping  bool       // no new goroutines
}

// connect counts a new connection in.
func (h *Hub) connect() error {
	if _, ok := h.limits.accept.take(time.Now()); !ok {
		return &Error{Code: CodeOverloaded, RetryAfter: h.returnTime()}
	}
	return h.count()
}

// count is connect for a connection that the host brings itself.
func (h *Hub) count() error {
	h.lifeMu.Lock()
	defer h.lifeMu.Unlock()
	if h.leaving {
		return &Error{Code: CodeShutdown, RetryAfter: h.returnTime(), cause: ErrClosed}
	}
	if err := h.admitConnection(); err != nil {
		return err
	}
	if h.connected >= h.opts.Bounds.Sessions {
		return &Error{Code: CodeOverloaded, RetryAfter: h.returnTime()}
	}
	h.connected++
	h.connections.Add(1)
	return nil
}

// disconnect counts it out again.
func (h *Hub) disconnect() {
	h.lifeMu.Lock()
	h.connected--
	h.lifeMu.Unlock()
	h.connections.Done()
}

// begin counts a request in; done must follow.
func (h *Hub) begin() error {
	h.lifeMu.Lock()
	defer h.lifeMu.Unlock()
	if h.leaving {
		return &Error{Code: CodeShutdown}
	}
	h.inflight.Add(1)
	return nil
}

func (h *Hub) draining() bool {
	h.lifeMu.Lock()
	defer h.lifeMu.Unlock()
	return h.leaving
}

// leave makes the hub refuse what is new.
func (h *Hub) leave() {
	h.lifeMu.Lock()
	defer h.lifeMu.Unlock()
	h.leaving = true
	h.crowd.CompareAndSwap(0, int64(h.sessions.len()))
}

// background runs f on a goroutine that the hub waits for. It does nothing when
// the hub has ended. A panic ends f only.
func (h *Hub) background(f func()) {
	h.lifeMu.Lock()
	if h.stopping {
		h.lifeMu.Unlock()
		return
	}
	h.tasks.Add(1)
	h.lifeMu.Unlock()
	go func() {
		defer h.tasks.Done()
		_ = h.protect("a goroutine of the hub", func() error {
			f()
			return nil
		})
	}()
}

// after runs f in the background after d, or not at all if the hub ends before.
func (h *Hub) after(d time.Duration, f func()) {
	h.background(func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			f()
		case <-h.life.Done():
		}
	})
}

// returnTime is when a client should come back: spread at random over the time
// that it takes to let so many in again.
func (h *Hub) returnTime() time.Duration {
	crowd := max(int64(h.sessions.len()), h.crowd.Load()) // those that were told first are gone when the last are
	spread := min(max(time.Second, time.Duration(crowd)*2*time.Millisecond), 20*time.Second)
	return 100*time.Millisecond + rand.N(spread)
}

// Shutdown ends the hub gracefully. It refuses new connections and requests,
// lets requests in work finish, refuses messages that wait for a moderator (nobody has seen them,
// so they are not shown, and their senders are told), delivers what was accepted, tells every session
// when to come back, spread over up to 20 s, and waits until they have gone; then
// it stores what the log keeps of rooms and stops. If ctx ends first, the rest is cut off
// as by [Hub.Close], and the error is that of ctx.
//
// Call it before http.Server.Shutdown, which does not know of WebSocket
// connections. It may be called more than once; later calls wait for the first.
func (h *Hub) Shutdown(ctx context.Context) error {
	h.leave()
	wait(ctx, &h.inflight)
	for c := range h.openRooms() {
		c.dropHeld(errNotReviewed())
		c.endFlow()
	}
	h.flushRooms()
	for _, s := range h.sessions.all() {
		s.end(&Error{Code: CodeShutdown, RetryAfter: h.returnTime()})
		if _, polls := pollConn(s); polls && s.outlet.BlockedFor(time.Now()) > 0 {
			s.abort() // no request waits; its next one is refused with the same advice
		}
	}
	wait(ctx, &h.connections)
	h.settleRooms(ctx)
	err := ctx.Err()
	h.end()
	return err
}

// Close ends the hub at once: connections are cut, and what they have not been
// sent they fetch when they resume elsewhere. It waits for the hub's goroutines. Calls
// of hooks that hang are left behind.
func (h *Hub) Close() error {
	h.leave()
	h.end()
	return nil
}

// end cuts all connections, stops all goroutines and waits for them.
func (h *Hub) end() {
	h.once.Do(func() {
		h.endLife()
		for _, s := range h.sessions.all() {
			s.abort()
		}
		h.connections.Wait()
		h.engine.Close()
		h.lifeMu.Lock()
		h.stopping = true
		h.lifeMu.Unlock()
		h.tasks.Wait()
		for _, c := range h.rooms.all() {
			c.discard()
		}
		close(h.closed)
	})
	<-h.closed
}

// flushRooms delivers what has been accepted so far.
func (h *Hub) flushRooms() {
	for c := range h.openRooms() {
		cursors, _ := c.Flush(time.Now(), nil)
		for _, cursor := range cursors {
			cursor.Outlet().Flush()
		}
	}
}

// settleRooms stores what rooms hold beyond their log: totals that were not yet
// appended, and snapshots.
func (h *Hub) settleRooms(ctx context.Context) {
	for c := range h.openRooms() {
		c.mergeAll(ctx)
		h.saveRoom(ctx, c)
	}
}

// openRooms yields the rooms in use that have been opened.
func (h *Hub) openRooms() iter.Seq[*core] {
	return func(yield func(*core) bool) {
		for _, c := range h.rooms.all() {
			select {
			case <-c.opened:
			default:
				continue
			}
			if c.openErr == nil && !yield(c) {
				return
			}
		}
	}
}

// saveRoom saves a room's snapshot. One that fails is saved with the next.
func (h *Hub) saveRoom(ctx context.Context, c *core) {
	if err := c.save(ctx); err != nil {
		h.opts.Logger.Warn("the snapshot of a room could not be saved", "room", c.id, "error", err)
	}
}

// wait waits for the group, or until ctx ends.
func wait(ctx context.Context, g *sync.WaitGroup) {
	done := make(chan struct{})
	go func() { // ends with the group, which Close forces to end
		g.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// pool runs functions on few goroutines, which exist only while there is work.
type pool struct {
	max     int
	start   func(func())
	protect func(what string, f func() error) error

	mu      sync.Mutex // guards the fields below
	queue   []func()
	running int
}

func (p *pool) run(f func()) {
	p.mu.Lock()
	p.queue = append(p.queue, f)
	more := p.running < p.max
	if more {
		p.running++
	}
	p.mu.Unlock()
	if more {
		p.start(p.work)
	}
}

func (p *pool) work() {
	for {
		p.mu.Lock()
		if len(p.queue) == 0 {
			p.running--
			p.queue = nil
			p.mu.Unlock()
			return
		}
		f := p.queue[0]
		p.queue[0] = nil
		p.queue = p.queue[1:]
		p.mu.Unlock()
		_ = p.protect("a background task", func() error {
			f()
			return nil
		})
	}
}
