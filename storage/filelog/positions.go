package filelog

// The distances between positions that 0008-positions-on-disk.md explains.
const (
	// headroom is how many positions are left free below durable events that are being written, for volatile ones
	// that come meanwhile.
	headroom = 1 << 12
	// reserve is how far above what is synced a room gives positions: what it skips after an unclean stop.
	reserve = 1 << 20
)

// positions gives the places of one room. Durable events take theirs before they are written, as a flight: they are
// published when it lands, and volatile events that come meanwhile take lower ones. The zero value is a room that gave
// none. Not safe for concurrent use.
type positions struct {
	head  uint64 // of the newest event that is published
	below uint64 // the highest that was given, but for the flight's
	low   uint64 // the lowest of the flight, 0 if there is none
	top   uint64 // the highest of the flight
	safe  uint64 // the highest that is known to be on disk
}

// volatile gives the place of a volatile event, which is published with it. It reports false if there is none left until
// the disk has answered.
func (p *positions) volatile() (uint64, bool) {
	seq := p.below + 1
	if p.low != 0 && seq >= p.low || seq > p.safe+reserve {
		return 0, false
	}
	p.below, p.head = seq, seq
	return seq, true
}

// durable gives the place of the flight's next event.
func (p *positions) durable() uint64 {
	if p.low == 0 {
		p.low = p.below + headroom + 1
		p.top = p.low - 1
	}
	p.top++
	return p.top
}

// landed says that the flight is on disk and published.
func (p *positions) landed() {
	p.head = p.top
	p.synced(p.top)
	p.end()
}

// withdrawn says that the flight failed. Its places are never given again: what was written of it may still be found.
func (p *positions) withdrawn() { p.end() }

func (p *positions) end() { p.below, p.low, p.top = max(p.below, p.top), 0, 0 }

// synced says that what was given up to seq is on disk.
func (p *positions) synced(seq uint64) { p.safe = max(p.safe, seq) }

// found takes over a place that is on disk.
func (p *positions) found(seq uint64) {
	p.head, p.below, p.safe = max(p.head, seq), max(p.below, seq), max(p.safe, seq)
}

// skip goes on above every place that may have been given before an unclean stop. What it returns has to be on disk, as
// a reserve, before the next place is given.
func (p *positions) skip() uint64 {
	p.found(max(p.head, p.below, p.safe) + reserve)
	return p.head
}
