package im

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/liveim/im/internal/danmaku"
)

// tick decides about what waits, once per gap, until nothing does.
func (c *core) tick() {
	defer c.release()
	h := c.hub
	timer := time.NewTimer(c.gap())
	defer timer.Stop()
	var decisions []danmaku.Decision[*Draft]
	for {
		select {
		case <-timer.C:
		case <-h.life.Done():
			c.endFlow()
			return
		}
		gap := c.gap()
		more := true
		if err := h.protect("selecting danmaku", func() error {
			decisions, more = c.tickOnce(gap, decisions[:0])
			return nil
		}); err != nil {
			c.flow.mu.Lock()
			c.flow.storing = false
			c.flow.mu.Unlock()
		}
		clear(decisions)
		if !more {
			return
		}
		timer.Reset(gap)
	}
}

// gap is the time between two ticks.
func (c *core) gap() time.Duration { return c.ticket.Gap() }

// tickOnce picks what is shown, stores it and tells the senders. It reports
// whether there is more to do.
func (c *core) tickOnce(gap time.Duration, decisions []danmaku.Decision[*Draft]) (_ []danmaku.Decision[*Draft], more bool) {
	h, f := c.hub, &c.flow
	now := h.steady()
	f.mu.Lock()
	sel := c.selectionLocked()
	decisions = sel.Select(now, now+gap, decisions)
	tally := c.tallyLocked(now)
	c.reportLocked()
	f.storing = true
	f.mu.Unlock()

	events := make([]*Event, 0, len(decisions)+1)
	for i := range decisions {
		if d := &decisions[i]; d.Verdict == danmaku.Pass {
			events = append(events, d.Value.event(d.Count))
		}
	}
	if tally != nil {
		events = append(events, tally)
	}
	var results []Appended
	err := error(ErrRoomClosed)
	if !c.isClosed() {
		results, err = c.storeDanmaku(events)
	}
	f.mu.Lock()
	f.storing = false
	more = sel.Waiting() > 0 || f.told != sel.Totals().Fates()
	f.ticking = more
	f.mu.Unlock()

	c.answer(decisions, events, results, err)
	if tally != nil && err == nil {
		if e, _, err := stamp(tally, results[len(results)-1]); err == nil {
			h.observe(Signal{Type: SignalTally, Room: c.id, Kind: Tally, Event: e})
		}
	}
	return decisions, more
}

func (c *core) storeDanmaku(events []*Event) ([]Appended, error) {
	if len(events) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(c.hub.life, c.hub.opts.Timeouts.Send)
	defer cancel()
	return c.storeAll(ctx, events)
}

// answer tells the senders what a tick has decided. The events that were picked
// stand in events in the order of the decisions.
func (c *core) answer(decisions []danmaku.Decision[*Draft], events []*Event, results []Appended, err error) {
	i := 0
	for _, d := range decisions {
		switch {
		case d.Verdict == danmaku.Shed:
			d.Value.decided(shedReceipts[d.Why], nil)
		case err != nil:
			d.Value.decided(unknownOr(err))
			i++
		case d.Verdict == danmaku.Merged:
			d.Value.decided(Receipt{Status: StatusMerged, Event: d.Into}, nil)
		default:
			d.Value.decided(c.hub.accepted(d.Value, events[i], results[i]))
			i++
		}
	}
}

// tallyLocked returns the event that tells the room what became of the rest, nil
// if there is nothing to tell, or not yet.
func (c *core) tallyLocked(now time.Duration) *Event {
	f := &c.flow
	fates := f.sel.Totals().Fates()
	if fates == f.told {
		return nil
	}
	if since := now - f.toldAt; since < countsEvery || !f.sel.Grown() && since < totalsEvery {
		return nil
	}
	body := TallyBody{Merged: fates.Merged - f.told.Merged, Shed: fates.Shed - f.told.Shed}
	f.told, f.toldAt = fates, now
	for _, n := range f.sel.Counts(nil) {
		if f.wasDeleted(n.ID) {
			continue
		}
		if body.Counts == nil {
			body.Counts = map[string]int{}
		}
		body.Counts[n.ID] = n.N
	}
	raw, _ := json.Marshal(body)
	return &Event{ID: uuid.NewString(), Kind: Tally, Body: raw}
}

// endFlow tells those whose messages wait that they are not shown, for a hub that
// ends.
func (c *core) endFlow() {
	f := &c.flow
	f.mu.Lock()
	f.ticking = false
	var dropped []danmaku.Decision[*Draft]
	if f.sel != nil {
		dropped = f.sel.Drop(nil)
		c.reportLocked()
	}
	f.mu.Unlock()
	for _, d := range dropped {
		d.Value.decided(shedReceipts[danmaku.TooLate], nil)
	}
}
