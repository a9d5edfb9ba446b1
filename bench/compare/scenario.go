//go:build linux

// Package compare runs the scenarios of the comparison: it starts a server in a process of
// its own, lets clients join it from this one, has it publish, and counts what arrives and
// what it took.
package compare

import (
	"fmt"
	"time"

	"github.com/liveim/im/bench/load"
	"github.com/liveim/im/bench/report"
	"github.com/liveim/im/bench/rig"
)

// Scenario is what is done with every peer.
type Scenario struct {
	report.Scenario
	Clients int
	Rooms   int
	Rate    float64 // messages a second in each room, if Kind is Rate
	Size    int     // of a message, in bytes
	Deflate bool
	Way     load.Way
	History int

	Settle time.Duration // after the joins; idle cost is measured then
	Warm   time.Duration // publishing before the measurement
	For    time.Duration // and in it
	Pinned bool          // server and clients have a processor each
}

// window is how far publishing without a rate may be ahead of the slowest client.
const window = 1000

// Scenarios returns all of them. Short ones last a few seconds altogether.
func Scenarios(short bool) []Scenario {
	all := []Scenario{
		fan("viewers-1000", 1000, 20), fan("viewers-5000", 5000, 4), fan("viewers-10000", 10000, 2),
		fan("storm", 1000, 200),
		{Scenario: report.Scenario{Name: "saturation", Kind: report.Saturation, About: "1,000 viewers in one room, published as fast as all of them get it. Server and clients have one processor each."}, Clients: 1000, Rooms: 1, Pinned: true},
		{Scenario: report.Scenario{Name: "rooms", Kind: report.Rate, About: "1,000 rooms with 10 viewers each, 2 messages a second in each room."}, Clients: 10000, Rooms: 1000, Rate: 2},
		deflated("deflate", 20), deflated("deflate-storm", 200),
		{Scenario: report.Scenario{Name: "idle", Kind: report.Idle, About: "10,000 viewers in one room, in which nothing happens; after garbage collection."}, Clients: 10000, Rooms: 1},
		{Scenario: report.Scenario{Name: "joins", Kind: report.Joins, About: "10,000 clients join one room, 256 at a time. With authentication, state and 20 messages of history where a server has that, bare handshakes where it has not."}, Clients: 10000, Rooms: 1, History: 20},
		{Scenario: report.Scenario{Name: "sse", Kind: report.Rate, About: "1,000 viewers over server-sent events, 20 messages a second."}, Clients: 1000, Rooms: 1, Rate: 20, Way: load.Stream},
		{Scenario: report.Scenario{Name: "poll", Kind: report.Rate, About: "1,000 viewers over long-poll, 20 messages a second."}, Clients: 1000, Rooms: 1, Rate: 20, Way: load.Poll},
		{Scenario: report.Scenario{Name: "publish100", Kind: report.Publishes, About: "One goroutine publishes into 100 rooms with 10 viewers each, in turn, as fast as all of them get it. Server and clients have one processor each."}, Clients: 1000, Rooms: 100, Pinned: true},
	}
	for i := range all {
		s := &all[i]
		s.Size, s.Settle, s.Warm, s.For = 200, 2*time.Second, time.Second, 10*time.Second
		if s.Kind != report.Rate {
			s.For = 5 * time.Second
		}
		if short {
			s.Settle, s.Warm, s.For = 500*time.Millisecond, 500*time.Millisecond, 2*time.Second
		}
	}
	return all
}

func fan(name string, viewers int, rate float64) Scenario {
	about := fmt.Sprintf("%d viewers in one room, %g messages a second of 200 bytes.", viewers, rate)
	return Scenario{Scenario: report.Scenario{Name: name, Kind: report.Rate, About: about}, Clients: viewers, Rooms: 1, Rate: rate}
}

func deflated(name string, rate float64) Scenario {
	s := fan(name, 1000, rate)
	s.About = fmt.Sprintf("1000 viewers in one room, %g messages a second of 200 bytes, with permessage-deflate without context takeover.", rate)
	s.Deflate = true
	return s
}

// fits says whether a scenario makes sense with a peer.
func (s *Scenario) fits(p *rig.Peer) bool {
	switch {
	case s.Way == load.Stream && p.Dialect.Stream == nil, s.Way == load.Poll && p.Dialect.Poll == nil:
		return false
	}
	if p.Joins && s.Kind != report.Joins {
		return false
	}
	// What sheds sheds what it is flooded with, and is otherwise as its sibling.
	return !p.Sheds || s.Kind == report.Rate && s.Rooms == 1 && s.Way == load.WebSocket
}
