//go:build linux

package load

import (
	"bytes"
	"time"

	"github.com/liveim/im/bench/rig"
)

var marker = []byte(rig.Marker)

const (
	// smallest is the least size of a message, by the contract of the rig.
	smallest = 80
	// longestStamp is how far the numbers of a message may reach, from its marker on.
	longestStamp = len(rig.Marker) + 20 + len(`,"n":`) + 20 + 1
)

// count returns how many messages are in p. After a marker it goes on skip bytes
// further, where the next one may be at the earliest.
func count(p []byte, skip int) (n uint64) {
	for {
		i := bytes.Index(p, marker)
		if i < 0 {
			return n
		}
		n++
		p = p[min(len(p), i+skip):]
	}
}

// stamp is what a message says of itself.
type stamp struct {
	at int64  // when it was published, in nanoseconds since 1970
	n  uint64 // which of its room
}

// stamps appends the stamps of all messages in p. If more of the payload is to come it
// leaves those that may be cut, and returns how much of p is done with.
func stamps(dst []stamp, p []byte, skip int, more bool) (all []stamp, used int) {
	for {
		i := bytes.Index(p[used:], marker)
		switch {
		case i < 0 && more:
			return dst, max(used, len(p)-len(marker)+1)
		case i < 0:
			return dst, len(p)
		}
		used += i
		if more && len(p)-used < longestStamp {
			return dst, used
		}
		dst = append(dst, readStamp(p[used+len(marker):]))
		used = min(len(p), used+skip)
	}
}

func readStamp(p []byte) (s stamp) {
	at, p := digits(p)
	s.at = int64(at)
	if p, ok := bytes.CutPrefix(p, []byte(`,"n":`)); ok {
		s.n, _ = digits(p)
	}
	return s
}

func digits(p []byte) (v uint64, rest []byte) {
	i := 0
	for ; i < len(p) && '0' <= p[i] && p[i] <= '9'; i++ {
		v = 10*v + uint64(p[i]-'0')
	}
	return v, p[i:]
}

// sample remembers which messages a connection has had. Only some connections have
// one.
type sample struct {
	seen       []uint64 // a bit for each message
	last       uint64
	doubles    uint64
	disordered uint64 // that came after a later one
}

// mostSeen bounds what a stamp that is no number of a message can make a sample remember.
const mostSeen = 1 << 28

func (s *sample) see(n uint64) {
	if n == 0 || n > mostSeen {
		s.doubles++
		return
	}
	word, bit := int(n/64), uint64(1)<<(n%64)
	for word >= len(s.seen) {
		s.seen = append(s.seen, make([]uint64, 16)...)
	}
	switch {
	case s.seen[word]&bit != 0:
		s.doubles++
	case n < s.last:
		s.disordered++
	}
	s.seen[word] |= bit
	s.last = max(s.last, n)
}

// tally is what the connections of a swarm count together.
type tally struct {
	messages uint64
	latency  Histogram
	skip     int
	memo     memo
	now      int64 // of the read that is looked at, in nanoseconds since 1970; 0: not asked yet
	scratch  []stamp
}

// take counts what is in a payload that more may follow, and returns how much of it is done with.
func (t *tally) take(got *uint64, s *sample, p []byte, more bool) (used int) {
	if s == nil {
		n := count(p, t.skip)
		*got += n
		t.messages += n
		if used = len(p); more {
			used = max(0, used-len(marker)+1)
		}
		return used
	}
	t.scratch, used = stamps(t.scratch[:0], p, t.skip, more)
	t.add(got, s, t.scratch)
	return used
}

// add counts messages whose stamps are known.
func (t *tally) add(got *uint64, s *sample, all []stamp) {
	*got += uint64(len(all))
	t.messages += uint64(len(all))
	if s == nil || len(all) == 0 {
		return
	}
	if t.now == 0 {
		t.now = time.Now().UnixNano()
	}
	for _, m := range all {
		s.see(m.n)
		t.latency.Record(time.Duration(t.now - m.at))
	}
}
