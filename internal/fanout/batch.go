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
	items []Item        // those that were removed have no JSON
	prev  [lanes]uint64 // by tier: the end of the batch before that the tier saw
	to    uint64        // the position after the batch
	count [lanes]int    // by lane, those that were removed included
	size  int           // bytes of the items
	at    time.Time     // when it was sealed
	// dead says of items with a Key that a later batch, or a later item, has a newer value; nil: none has a
	// Key. superseded says that there are such items.
	dead       []atomic.Bool
	superseded atomic.Bool
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
// holds nothing for it. A lean frame leaves out items that are superseded: whoever gets it gets the newer
// values later. It may hold no event at all, for the session's position.
func (b *Batch) frame(f transport.Format, t Tier, lean bool) []byte {
	if !b.holds(t) {
		return nil
	}
	return b.bytes(kind{format: f, tier: t, lean: lean}, func() []byte { return b.encode(f, t, lean) })
}

func (b *Batch) encode(f transport.Format, t Tier, lean bool) []byte {
	events := make([][]byte, 0, len(b.items))
	for i, it := range b.items {
		if it.Lane <= t && it.JSON != nil && !(lean && b.dead[i].Load()) {
			events = append(events, it.JSON)
		}
	}
	return f.Append(nil, wire.AppendEvents(make([]byte, 0, b.size+128), b.room, b.prev[t], b.to, events))
}

// marked is frame with the mark in front that all clients share which are where c is and in no
// other room: that of the position after the batch. m makes it.
func (b *Batch) marked(f transport.Format, t Tier, lean bool, c *Cursor, m transport.Marker) []byte {
	if !b.holds(t) {
		return nil
	}
	k := kind{f, t, lean, c.Epoch}
	if w := b.find(k); w != nil {
		return w
	}
	return b.bytes(k, func() []byte {
		return append(m.Mark(func(room string) (string, uint64) {
			if room != c.source.Name() {
				return "", 0
			}
			return c.Epoch, b.to
		}), b.encode(f, t, lean)...)
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
	return s.bytes(kind{format: f, tier: TierFull}, func() []byte { return f.Append(nil, s.message) })
}

// sharedBytes remembers encodings. Readers take no lock.
type sharedBytes struct {
	known atomic.Pointer[[]encoding]
	mu    sync.Mutex // taken to add to known
}

type encoding struct {
	kind
	wire []byte
}

// kind is how something is encoded.
type kind struct {
	format transport.Format
	tier   Tier
	lean   bool
	epoch  string // of the mark in front; empty: none is
}

// bytes returns the encoding of a kind, which it makes at most once.
func (s *sharedBytes) bytes(k kind, encode func() []byte) []byte {
	if w := s.find(k); w != nil {
		return w
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.find(k); w != nil {
		return w
	}
	w := encode()
	var all []encoding
	if p := s.known.Load(); p != nil {
		all = append(all, *p...)
	}
	all = append(all, encoding{k, w})
	s.known.Store(&all)
	return w
}

func (s *sharedBytes) find(k kind) []byte {
	p := s.known.Load()
	if p == nil {
		return nil
	}
	for i := range *p {
		if e := &(*p)[i]; e.kind == k {
			return e.wire
		}
	}
	return nil
}
