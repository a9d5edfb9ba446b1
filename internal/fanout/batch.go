package fanout

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport"
)

// Batch is what one seal of a feed holds: some events, encoded once per format
// and tier on first use, and shared by every session. It is immutable but for the
// encodings that it remembers, and safe for use by many goroutines.
type Batch struct {
	room  string
	items []Item
	prev  [lanes]uint64 // by tier: the end of the batch before that the tier saw
	to    uint64        // the position after the batch
	count [lanes]int    // by lane
	size  int           // bytes of the items
	at    time.Time     // when it was sealed
	sharedBytes
}

// holds reports whether the batch has something for the tier.
func (b *Batch) holds(t Tier) bool {
	for l := range t + 1 {
		if b.count[l] > 0 {
			return true
		}
	}
	return false
}

// frame returns the batch as bytes of the format for the tier, or nil if it
// holds nothing for it.
func (b *Batch) frame(f transport.Format, t Tier) []byte {
	if !b.holds(t) {
		return nil
	}
	return b.bytes(f, t, func() []byte {
		events := make([][]byte, 0, len(b.items))
		for _, it := range b.items {
			if it.Lane <= t {
				events = append(events, it.JSON)
			}
		}
		return wire.AppendEvents(make([]byte, 0, b.size+128), b.room, b.prev[t], b.to, events)
	})
}

// Shared is a message for many sessions, encoded once per format on first use.
// It is safe for use by many goroutines.
type Shared struct {
	message []byte
	sharedBytes
}

// NewShared returns a Shared that carries message, a JSON text.
func NewShared(message []byte) *Shared { return &Shared{message: message} }

func (s *Shared) frame(f transport.Format) []byte {
	return s.bytes(f, TierFull, func() []byte { return s.message })
}

// sharedBytes remembers encodings. Readers take no lock.
type sharedBytes struct {
	known atomic.Pointer[[]encoding]
	mu    sync.Mutex // taken to add to known
}

type encoding struct {
	format transport.Format
	tier   Tier
	wire   []byte
}

// bytes returns the encoding for (f, t), which it makes from message() at most once.
func (s *sharedBytes) bytes(f transport.Format, t Tier, message func() []byte) []byte {
	if w := s.find(f, t); w != nil {
		return w
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.find(f, t); w != nil {
		return w
	}
	w := f.Append(nil, message())
	var all []encoding
	if p := s.known.Load(); p != nil {
		all = append(all, *p...)
	}
	all = append(all, encoding{f, t, w})
	s.known.Store(&all)
	return w
}

func (s *sharedBytes) find(f transport.Format, t Tier) []byte {
	p := s.known.Load()
	if p == nil {
		return nil
	}
	for _, e := range *p {
		if e.tier == t && e.format == f {
			return e.wire
		}
	}
	return nil
}
