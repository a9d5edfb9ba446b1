package im

import (
	"math"
	"sync/atomic"
	"time"
)

// Stats is what a hub has done since it was made, and what it holds now.
type Stats struct {
	Sessions int // connections now, those that have not said who they are included
	Users    int // users with a session now
	Rooms    int // rooms in use on this node now

	Accepted uint64 // events stored, of clients and of the host
	Refused  uint64 // requests answered with an error

	Offered uint64 // volatile events that clients wanted to be shown
	Shown   uint64 // of these: became events
	Merged  uint64 // of these: counted in an equal one
	Shed    uint64 // of these: not shown. What waits is in none of the three

	Sends     uint64 // sends to connections; one carries all that has gathered
	SentBytes uint64 // bytes that connections took
	// BatchedSends are those of Sends that entered the kernel together with others,
	// BatchedCalls how many calls that took. Both are 0 without io_uring.
	BatchedSends uint64
	BatchedCalls uint64
	FullSends    uint64 // sends that filled a connection
	Gaps         uint64 // times that a slow client was told of a gap
	Missed       uint64 // volatile events that were left out for slow clients
	Resets       uint64 // times that a slow client had to enter its room again
	Lowered      int    // sessions that get no volatile events now, because they lag

	Flushes    uint64        // deliveries of rooms; one goes to all that are in the room
	IO         IO            // how plain TCP connections are read and written; see Options.IO
	SlowestGap time.Duration // the longest of the rooms' gaps now; see Options.FlushGap

	HangingHooks int // calls of hooks and operations that have not returned in their time

	Pressure float64       // how hard the hub is pressed; 1 is the limit. See Options.Pressure
	Brownout BrownoutLevel // what it leaves out because of that
}

// counters are what Stats sums up beyond what the delivery engine counts.
type counters struct {
	accepted atomic.Uint64
	refused  atomic.Uint64
	resets   atomic.Uint64

	offered, shown, merged, shed atomic.Uint64
}

// Stats returns the counts as of now. It is cheap enough to be called every second.
func (h *Hub) Stats() Stats {
	return Stats{
		Sessions:     h.sessions.len(),
		Users:        h.users.len(),
		Rooms:        h.rooms.len(),
		Accepted:     h.stats.accepted.Load(),
		Refused:      h.stats.refused.Load(),
		Offered:      h.stats.offered.Load(),
		Shown:        h.stats.shown.Load(),
		Merged:       h.stats.merged.Load(),
		Shed:         h.stats.shed.Load(),
		Sends:        h.sent.Sends.Load(),
		SentBytes:    h.sent.SentBytes.Load(),
		FullSends:    h.sent.Short.Load(),
		Gaps:         h.sent.Gaps.Load(),
		Missed:       h.sent.Missed.Load(),
		Resets:       h.stats.resets.Load(),
		Lowered:      int(h.sent.Lowered.Load()),
		Flushes:      h.engine.Flushes(),
		BatchedSends: h.batching.Sends.Load(),
		BatchedCalls: h.batching.Enters.Load(),
		IO:           h.io(),
		SlowestGap:   h.slowestGap(),
		HangingHooks: int(h.guard.hanging.Load()),
		Pressure:     math.Float64frombits(h.pressure.last.Load()),
		Brownout:     h.brownout(),
	}
}

// slowestGap is the longest gap of a room in use.
func (h *Hub) slowestGap() (gap time.Duration) {
	for c := range h.openRooms() {
		gap = max(gap, c.ticket.Gap())
	}
	return gap
}
