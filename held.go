package im

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im/internal/danmaku"
	"github.com/liveim/im/internal/wire"
)

// Bounds of what a room holds.
const (
	maxHeld       = 1000            // messages that wait
	rememberFates = 1000            // of those that waited, for retries
	fatesCount    = 5 * time.Minute // as long after the last one a retry is looked up among them
	heldAtOnce    = 16              // senders whose messages are accepted at the same time
)

// heldQueue are the messages of a room that wait for a moderator, or for their
// time. It is in memory, and of this node. While something waits one goroutine takes care of it. Safe
// for use by many goroutines; the zero value is ready.
type heldQueue struct {
	count atomic.Int32 // len(waiting)
	until atomic.Int64 // when fates count no more, in nanoseconds since 1970

	mu      sync.Mutex // guards the fields below; innermost
	waiting []*heldDraft
	fates   recent[string, heldFate] // by event id
	running bool                     // the goroutine is there
	wake    chan struct{}            // has it look again
}

// heldDraft is a message that waits.
type heldDraft struct {
	draft  *Draft
	final  SendFunc // accepts it
	event  Event    // as moderators see it
	due    time.Time
	passed bool // a moderator has let it through
	taken  bool // it is being accepted
}

// heldFate is what became of a message that waited.
type heldFate struct {
	digest  string
	receipt Receipt
	err     error
}

// refused reports whether it was not accepted.
func (f *heldFate) refused() bool { return f.err != nil }

// final reports whether it is the answer to a retry as well. What was shed is a new candidate, and
// what failed is tried again.
func (f *heldFate) final() bool {
	if f.err != nil {
		return asError(f.err).Code.Retry() == RetryNever
	}
	return f.receipt.Status == StatusOK || f.receipt.Status == StatusMerged
}

// remembers reports whether a message may have met its fate of late.
func (q *heldQueue) remembers() bool { return q.until.Load() > time.Now().UnixNano() }

// decided returns what became of a draft that is the retry of one which has waited. It
// counts also when messages do not wait any more: what a moderator has dropped stays out.
func (q *heldQueue) decided(d *Draft) (heldFate, bool) {
	if !q.remembers() {
		return heldFate{}, false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	f, ok := q.fates.get(d.id)
	if !ok || f.digest == d.digest && !f.final() {
		return heldFate{}, false
	}
	return sameContent(f, d.digest), true
}

// empty reports whether nothing waits.
func (q *heldQueue) empty() bool { return q.count.Load() == 0 }

// has reports whether something of a user waits.
func (q *heldQueue) has(user string) bool {
	if q.empty() {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.waiting, func(d *heldDraft) bool { return d.event.From.ID == user })
}

// signal has the goroutine look again.
func (q *heldQueue) signal() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running {
		select {
		case q.wake <- struct{}{}:
		default: // it has not looked since the last time
		}
	}
}

// add lets d wait, for the delay and behind what waits already. It reports whether d is new
// and whether somebody must start the goroutine. Of what is not new it returns the fate so far.
func (q *heldQueue) add(d *heldDraft, delay time.Duration, now time.Time) (fate heldFate, fresh, start bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if f, ok := q.fates.get(d.event.ID); ok && (f.digest != d.event.Digest || f.final()) {
		return sameContent(f, d.event.Digest), false, false
	}
	if i := q.findLocked(d.event.ID); i >= 0 {
		return sameContent(heldFate{digest: q.waiting[i].event.Digest, receipt: Receipt{Status: StatusHeld}}, d.event.Digest), false, false
	}
	if len(q.waiting) >= maxHeld {
		wait := max(q.waiting[0].due.Sub(now), 100*time.Millisecond)
		return heldFate{err: &Error{Code: CodeOverloaded, Reason: "too many messages wait for a moderator", RetryAfter: wait}}, false, false
	}
	d.due = now.Add(delay)
	if n := len(q.waiting); n > 0 && q.waiting[n-1].due.After(d.due) {
		d.due = q.waiting[n-1].due
	}
	q.waiting = append(q.waiting, d)
	q.count.Store(int32(len(q.waiting)))
	start = !q.running
	if start {
		q.running, q.wake = true, make(chan struct{}, 1)
		q.fates.max = rememberFates
	}
	return heldFate{receipt: Receipt{Status: StatusHeld}}, true, start
}

// sameContent makes a conflict of a fate if it was of other content.
func sameContent(f heldFate, digest string) heldFate {
	if f.digest != digest {
		return heldFate{err: errIDTaken()}
	}
	return f
}

func (q *heldQueue) findLocked(id string) int {
	return slices.IndexFunc(q.waiting, func(d *heldDraft) bool { return d.event.ID == id })
}

// take returns what is to be accepted now, in order, and how long to wait until there is
// more. A sender's message waits for the earlier ones of the same sender. If nothing waits any more the
// goroutine ends.
func (q *heldQueue) take(now time.Time) (ready []*heldDraft, wait time.Duration, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.running = false
		return nil, 0, false
	}
	undecided := map[string]bool{}
	for _, d := range q.waiting {
		if sender := d.event.From.ID; (d.passed || !d.due.After(now)) && !undecided[sender] {
			d.taken = true
			ready = append(ready, d)
		} else {
			undecided[sender] = true
		}
	}
	return ready, q.waiting[0].due.Sub(now), true
}

// settle takes out what has met its fate. It reports false if somebody else was
// first.
func (q *heldQueue) settle(d *heldDraft, receipt Receipt, err error) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, d)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	q.count.Store(int32(len(q.waiting)))
	q.until.Store(time.Now().Add(fatesCount).UnixNano())
	q.fates.put(d.event.ID, heldFate{d.event.Digest, receipt, err})
	return true
}

// pending returns what can still be decided.
func (q *heldQueue) pending() []*heldDraft {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(q.waiting), func(d *heldDraft) bool { return d.taken })
}

// hold lets a draft wait in place of accepting it.
func (h *Hub) hold(ctx context.Context, d *Draft, delay time.Duration, final SendFunc) (Receipt, error) {
	c, err := h.core(ctx, d.room)
	if err != nil {
		return Receipt{}, err
	}
	kept := false // by the goroutine
	defer func() {
		if !kept {
			c.release()
		}
	}()
	if c.isClosed() {
		return Receipt{}, ErrRoomClosed
	}
	if h.draining() { // nobody would see to it any more
		return Receipt{}, errNotReviewed()
	}
	held := &heldDraft{draft: d, final: final, event: Event{
		ID: d.id, Kind: d.kind, Class: h.kinds[d.kind].Class, From: d.from, At: h.opts.Now(), Body: d.Body, Digest: d.digest,
	}}
	fate, fresh, start := c.held.add(held, delay, time.Now())
	if start {
		kept = true
		h.background(c.holdLoop)
	}
	if fresh {
		c.tellStaff(held.message(time.Now()))
		c.held.signal()
	}
	return fate.receipt, fate.err
}

// holdLoop accepts what has waited long enough, until nothing waits any more.
func (c *core) holdLoop() {
	defer c.release()
	for c.hub.life.Err() == nil {
		if why := c.dropsHeld(); why != nil {
			c.dropHeld(why)
		}
		ready, wait, more := c.held.take(time.Now())
		if len(ready) > 0 {
			c.passHeld(ready)
			continue
		}
		if !more {
			return
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-c.held.wake:
		case <-c.hub.life.Done():
		}
		t.Stop()
	}
}

// dropsHeld says why nothing that waits will be shown, nil if it will.
func (c *core) dropsHeld() *Error {
	m := c.inForce()
	switch {
	case c.hub.draining():
		return errNotReviewed()
	case c.isClosed():
		return &Error{Code: CodeRoomClosed}
	case m != nil && m.Stopped:
		return errStopped()
	}
	return nil
}

func errNotReviewed() *Error {
	return errorf(CodeShutdown, "the server restarts before a moderator could look at this; send it again")
}

// dropHeld refuses everything that waits.
func (c *core) dropHeld(why *Error) {
	for _, d := range c.held.pending() {
		c.settleHeld(d, Receipt{}, why)
	}
}

// passHeld accepts messages. Those of one sender go one after the other, those of
// several at the same time, since the fate of one may take a while.
func (c *core) passHeld(ready []*heldDraft) {
	var senders [][]*heldDraft
	index := map[string]int{}
	for _, d := range ready {
		i, ok := index[d.event.From.ID]
		if !ok {
			i = len(senders)
			index[d.event.From.ID] = i
			senders = append(senders, nil)
		}
		senders[i] = append(senders[i], d)
	}
	var all sync.WaitGroup
	slots := make(chan struct{}, heldAtOnce)
	for _, list := range senders {
		slots <- struct{}{}
		all.Go(func() {
			for _, d := range list {
				c.passOne(d)
			}
			<-slots
		})
	}
	all.Wait()
}

// passOne accepts one message, unless the hub ends.
func (c *core) passOne(d *heldDraft) {
	if c.hub.begin() != nil { // Shutdown waits for what has begun
		c.settleHeld(d, Receipt{}, errNotReviewed())
		return
	}
	defer c.hub.inflight.Done()
	var receipt Receipt
	err := c.hub.protect("accepting a held message", func() error {
		ctx, cancel := context.WithTimeout(c.hub.life, danmaku.MaxAge+c.hub.opts.Timeouts.Send)
		defer cancel()
		r, err := d.final(ctx, d.draft)
		receipt = r
		return err
	})
	c.settleHeld(d, receipt, err)
}

// settleHeld tells the sender of a message that has waited, and the staff, what
// became of it. It reports false if somebody else was first.
func (c *core) settleHeld(d *heldDraft, receipt Receipt, err error) bool {
	if !c.held.settle(d, receipt, err) {
		return false
	}
	d.draft.Settle(receipt, err)
	status := string(receipt.Status)
	if err != nil {
		status = wire.StatusRefused
	}
	c.tellStaff(encode(&wire.Message{Op: wire.OpHeld, Room: c.id, Event: d.event.ID, Status: status}))
	return true
}
