package im

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im/internal/danmaku"
)

// Flow is the flow control of volatile kinds, danmaku above all: how much of it
// viewers are shown when everybody talks at once. The zero value is the defaults.
//
// While a room is under its budget a danmaku goes out at once. Above it, danmaku
// wait, a second at most, and a tick picks among them: by weight first; then who was
// shown least within the last minute, and one of each sender before the second of
// anybody; then by lot. Equal texts become one event that says how many it stands
// for. Every sender is told what became of its message: [StatusOK], [StatusMerged] or
// [StatusShed], with the reason. What the host sends itself with [Room.Send] is counted,
// and never waits.
type Flow struct {
	// Budget is how many volatile events of clients viewers are shown in any
	// second of one room on this node: 1 to 10,000. Defaults to 50. -1 means any number: no
	// flow control.
	Budget int
	// Reserve is the part of Budget that is kept for weights above 0. Others may
	// borrow from it, evenly spread, while nobody needs it. 1 to Budget-1; defaults to a fifth of
	// Budget. -1 means none.
	Reserve int
	// Weight says how important what a user sends is: 0 is ordinary, 100 the most.
	// It must be quick, and not block. Nil gives hosts 20, moderators 10 and everybody
	// else 0; a site with levels or paid colours has its own.
	Weight func(u User, kind Kind) int
}

func (f *Flow) complete() error {
	if f.Budget == 0 {
		f.Budget = 50
	}
	if f.Budget != -1 && (f.Budget < 1 || f.Budget > maxBudget) {
		return fmt.Errorf("im: Options.Flow.Budget is %d: want 1 to %d events a second, 0 for 50, or -1 for any number", f.Budget, maxBudget)
	}
	switch {
	case f.Reserve == 0:
		f.Reserve = max(f.Budget, 0) / 5
	case f.Reserve == -1:
		f.Reserve = 0
	case f.Reserve < 1 || f.Budget != -1 && f.Reserve >= f.Budget:
		return fmt.Errorf("im: Options.Flow.Reserve is %d: want 1 to Budget-1, 0 for a fifth of Budget, or -1 for none", f.Reserve)
	}
	if f.Weight == nil {
		f.Weight = weightByRole
	}
	return nil
}

func weightByRole(u User, _ Kind) int {
	switch {
	case u.HasRole("host"):
		return 20
	case u.HasRole("moderator"):
		return 10
	}
	return 0
}

// TallyBody is the body of an event of the kind [Tally], which tells a room that
// is over its budget what became of the rest. It is sent at most four times a
// second, and only while there is something to tell.
type TallyBody struct {
	// Counts says of events that were shown how many equal messages they stand for
	// by now, by event id.
	Counts map[string]int `json:"counts,omitempty"`
	Merged uint64         `json:"merged,omitempty"` // messages merged since the last tally
	Shed   uint64         `json:"shed,omitempty"`   // messages not shown since the last tally
}

const (
	countsEvery = 250 * time.Millisecond // between two tallies that renew counts
	totalsEvery = time.Second            // between two that only add up
)

// flow is the flow control of one room.
type flow struct {
	mu       sync.Mutex // guards the fields below
	sel      *danmaku.Selection[*Draft]
	storing  bool           // what a tick has picked is on its way to the log, and goes first
	ticking  bool           // a goroutine decides about what waits
	told     danmaku.Totals // as of the last tally
	toldAt   time.Duration  // when
	reported danmaku.Totals // as Stats knows them

	// deleted are the ids of volatile events that were deleted lately, which are counted no more. It is replaced, never
	// changed, so that it needs no lock: who folds must not wait for who decides.
	deleted atomic.Pointer[[]string]
}

// FlowStats is how one room stands with its budget.
type FlowStats struct {
	Budget  int  // volatile events a second, -1 for any number
	Busy    bool // over the budget now, or a moment ago
	Waiting int  // messages that wait for a decision
	Offered uint64
	Shown   uint64
	Merged  uint64
	Shed    uint64
}

// Flow returns how the room stands with its budget on this node. It costs
// nothing for a room that is not in use.
func (r *Room) Flow() FlowStats {
	c, ok := r.hub.rooms.get(r.id)
	if !ok {
		return FlowStats{Budget: r.hub.opts.Flow.Budget}
	}
	f := &c.flow
	f.mu.Lock()
	defer f.mu.Unlock()
	s := FlowStats{Budget: c.budget()}
	if f.sel != nil {
		t := f.sel.Totals()
		s.Busy, s.Waiting = f.sel.Busy(), f.sel.Waiting()
		s.Offered, s.Shown, s.Merged, s.Shed = t.Offered, t.Shown, t.Merged, t.Shed
	}
	return s
}

// budget is what viewers of the room are shown in a second, -1 for any number.
func (c *core) budget() int {
	budget := c.hub.opts.Flow.Budget
	if m := c.inForce(); m != nil && m.Budget > 0 {
		budget = m.Budget
	}
	if budget < 0 {
		return budget
	}
	return max(1, int(float64(budget)*c.hub.budgetShare()))
}

// selection returns the room's selection with the budget of now.
func (c *core) selectionLocked() *danmaku.Selection[*Draft] {
	f, o := &c.flow, &c.hub.opts.Flow
	budget, reserve := c.budget(), 0
	switch {
	case budget < 0: // what still waits from before
		budget = maxBudget
	case o.Budget > 0:
		reserve = o.Reserve * budget / o.Budget
	}
	if f.sel == nil {
		f.sel = danmaku.New[*Draft](budget, 0, rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	f.sel.SetBudget(budget, reserve)
	return f.sel
}

// candidate is what the selection is told of a message.
func (h *Hub) candidate(u *User, kind Kind, body json.RawMessage) danmaku.Candidate {
	c := danmaku.Candidate{Sender: maphash.String(h.seed, u.ID), Weight: h.weight(u, kind)}
	if c.Weight == 0 {
		c.Key = danmaku.Key(h.seed, h.textOf(kind, body))
		if c.Key != 0 && kind != Danmaku {
			c.Key ^= maphash.String(h.seed, string(kind))
		}
	}
	return c
}

// weight asks the host how important what a user sends is.
func (h *Hub) weight(u *User, kind Kind) (w int) {
	_ = h.protect("Options.Flow.Weight", func() error {
		w = h.opts.Flow.Weight(*u, kind)
		return nil
	})
	return min(max(0, w), 100)
}

// offerVolatile is the SendFunc of volatile kinds.
func (h *Hub) offerVolatile(ctx context.Context, d *Draft) (Receipt, error) {
	u := d.Session.User()
	cand := h.candidate(&u, d.kind, d.Body)
	return h.offer(ctx, d.room, &cand, func() *Draft { return d })
}

// offer has the room decide about a message: at once, or later, in which case the
// status is StatusWaiting and the draft is told. The draft is made only if it is
// needed.
func (h *Hub) offer(ctx context.Context, room string, cand *danmaku.Candidate, draft func() *Draft) (Receipt, error) {
	c, err := h.core(ctx, room)
	if err != nil {
		return Receipt{}, err
	}
	defer c.release()
	if c.budget() == -1 {
		return h.storeSoon(ctx, c, draft())
	}
	if c.isClosed() {
		return Receipt{}, ErrRoomClosed
	}
	a, d := c.offer(cand, draft)
	switch a.Verdict {
	case danmaku.Pass:
		return h.storeSoon(ctx, c, d)
	case danmaku.Merged:
		return Receipt{Status: StatusMerged, Event: a.Into}, nil
	case danmaku.Shed:
		return shedReceipts[a.Why], nil
	}
	return Receipt{Status: StatusWaiting}, nil
}

// storeSoon is storeDraft within Timeouts.Send: the log may have to wait for a disk or an engine.
func (h *Hub) storeSoon(ctx context.Context, c *core, d *Draft) (Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, h.opts.Timeouts.Send)
	defer cancel()
	return h.storeDraft(ctx, c, d)
}

// shedReceipts are the answers to what is not shown.
var shedReceipts = [danmaku.WhyCount]Receipt{
	danmaku.Crowded: {Status: StatusShed, Reason: "too many talk at once"},
	danmaku.TooMany: {Status: StatusShed, Reason: "some of yours still wait to be shown"},
	danmaku.TooLate: {Status: StatusShed, Reason: "its turn did not come within a second"},
}

func (c *core) offer(cand *danmaku.Candidate, draft func() *Draft) (danmaku.Answer[*Draft], *Draft) {
	h, f := c.hub, &c.flow
	var d *Draft
	f.mu.Lock()
	sel := c.selectionLocked()
	a := sel.Offer(h.steady(), cand, !f.storing)
	if a.Verdict == danmaku.Pass || a.Verdict == danmaku.Wait {
		d = draft()
		if a.ID != nil {
			*a.ID = d.id
		}
	}
	if a.Verdict == danmaku.Wait {
		*a.Value = d
		d.await()
	}
	evicted := sel.Evicted(nil)
	begin := !f.ticking && a.Verdict != danmaku.Pass
	f.ticking = f.ticking || begin
	c.reportLocked()
	f.mu.Unlock()
	for _, e := range evicted {
		e.Value.decided(shedReceipts[e.Why], nil)
	}
	if begin {
		if c.acquire() {
			h.background(c.tick)
		}
	}
	return a, d
}

// reportLocked adds what is new to the hub's Stats.
func (c *core) reportLocked() {
	f, stats := &c.flow, &c.hub.stats
	t := f.sel.Totals()
	stats.offered.Add(t.Offered - f.reported.Offered)
	stats.shown.Add(t.Shown - f.reported.Shown)
	stats.merged.Add(t.Merged - f.reported.Merged)
	stats.shed.Add(t.Shed - f.reported.Shed)
	f.reported = t
}

// note counts what the host shows by itself against the budget.
func (c *core) note() {
	if c.budget() == -1 {
		return
	}
	c.flow.mu.Lock()
	c.selectionLocked().Note(c.hub.steady())
	c.flow.mu.Unlock()
}

// steady is the hub's clock for the flow control.
func (h *Hub) steady() time.Duration { return time.Duration(h.clock()) }
