package text

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync"
	"time"

	"github.com/liveim/im/moderate/internal/fold"
)

// FloodOptions sets what is too much. The zero value is meant for chat.
type FloodOptions struct {
	// Window is how long a text is remembered. Defaults to 30 s.
	Window time.Duration
	// Repeats is how often one user may write the same, or nearly so, within the
	// window, in whatever rooms. Defaults to 3; up to 8.
	Repeats int
	// Texts is how many texts of any content one user may write within a fifth of the window. Defaults to 8; up to 8.
	// The hub's own rate limits come on top; this one is for hosts that rather hold than refuse.
	Texts int
	// RoomRepeats is how often all users of a room together may write the same, or nearly so,
	// within the window. Defaults to 5; up to 32.
	RoomRepeats int
	// RoomLetters is how long a text must be for RoomRepeats to count it: everybody shouts the
	// same short things when something happens. Defaults to 12 letters.
	RoomLetters int
	// Users and Rooms is how many are remembered; of further ones, those that were silent for longest are forgotten.
	// They are rounded up to powers of two. Default to 16384 and 1024.
	Users, Rooms int
}

// FloodReason is what is too much.
type FloodReason uint8

// The reasons.
const (
	FloodNone       FloodReason = iota
	FloodTexts                  // too many texts by one user
	FloodRepeat                 // the same text too often by one user
	FloodRoomRepeat             // the same text too often in the room
)

// FloodVerdict is what [Flood.Check] says. The zero value lets the text pass.
type FloodVerdict struct {
	Reason FloodReason
	// Count is how often it came within the window, this time included, as far as that is remembered.
	Count int
	// After is how long the user has to wait until it is let pass.
	After time.Duration
}

// Flood remembers recent texts, to find those that come over and over with a few letters changed. It keeps a
// fingerprint of 64 bits of each, made of the pairs of its letters as package fold sees them
// (SimHash), so that case, decoration, blanks, punctuation, repeated letters, and a number or a name at the end make
// no other text of it. Texts of less than 8 letters must be the same.
//
// It is made by [NewFlood], is safe for concurrent use, and allocates nothing after: 8 texts
// of a user take 210 bytes and 32 of a room 786, with the defaults 4.3 MB in all. A check takes a few microseconds at most.
type Flood struct {
	opts  FloodOptions
	seed  maphash.Seed
	users memory[[userTexts]seen]
	rooms memory[[roomTexts]seen]
}

const (
	userTexts = 8
	roomTexts = 32
)

// seen is one text. The zero value is none.
type seen struct {
	print uint64
	at    int64 // nanoseconds since 1970
	size  int32 // letters
}

// NewFlood returns one with an empty memory; nil options mean the zero value. They are copied.
func NewFlood(opts *FloodOptions) (*Flood, error) {
	var o FloodOptions
	if opts != nil {
		o = *opts
	}
	o.Window = cmp.Or(o.Window, 30*time.Second)
	o.Repeats = cmp.Or(o.Repeats, 3)
	o.Texts = cmp.Or(o.Texts, userTexts)
	o.RoomRepeats = cmp.Or(o.RoomRepeats, 5)
	o.RoomLetters = cmp.Or(o.RoomLetters, 12)
	o.Users = cmp.Or(o.Users, 16384)
	o.Rooms = cmp.Or(o.Rooms, 1024)
	for _, f := range []struct {
		name       string
		value, max int
	}{
		{"Repeats", o.Repeats, userTexts},
		{"Texts", o.Texts, userTexts},
		{"RoomRepeats", o.RoomRepeats, roomTexts},
		{"RoomLetters", o.RoomLetters, 1 << 20},
		{"Users", o.Users, 1 << 24},
		{"Rooms", o.Rooms, 1 << 20},
	} {
		if f.value < 1 || f.value > f.max {
			return nil, fmt.Errorf("FloodOptions.%s is %d; give 1 to %d, or 0 for the default", f.name, f.value, f.max)
		}
	}
	if o.Window < time.Millisecond || o.Window > 24*time.Hour {
		return nil, fmt.Errorf("FloodOptions.Window is %v; give 1 ms to 24 h, or 0 for the default", o.Window)
	}
	fold.Get() // now, rather than at the first text
	f := &Flood{opts: o, seed: maphash.MakeSeed()}
	f.users.init(o.Users)
	f.rooms.init(o.Rooms)
	return f, nil
}

// Check says whether a text is too much, and remembers it, also if it is. now should not go
// backwards; what is older than the window is forgotten.
func (f *Flood) Check(now time.Time, room, user, text string) FloodVerdict {
	s := fingerprint(text)
	s.at = now.UnixNano()
	verdict := f.ofUser(user, s)
	if s.size < int32(f.opts.RoomLetters) {
		return verdict
	}
	if inRoom := f.ofRoom(room, s); verdict.Reason == FloodNone {
		return inRoom
	}
	return verdict
}

func (f *Flood) ofUser(user string, s seen) FloodVerdict {
	mu, texts := f.users.get(maphash.String(f.seed, user), s.at)
	defer mu.Unlock()
	window := f.opts.Window
	same, oldest := alikeSince(texts[:], s, s.at-int64(window))
	many, first := 0, s.at
	for _, t := range texts {
		if t.at != 0 && t.at > s.at-int64(window/5) {
			many++
			first = min(first, t.at)
		}
	}
	put(texts[:], s)
	switch {
	case same >= f.opts.Repeats:
		return FloodVerdict{FloodRepeat, same + 1, window - time.Duration(s.at-oldest)}
	case many >= f.opts.Texts:
		return FloodVerdict{FloodTexts, many + 1, window/5 - time.Duration(s.at-first)}
	}
	return FloodVerdict{}
}

func (f *Flood) ofRoom(room string, s seen) FloodVerdict {
	mu, texts := f.rooms.get(maphash.String(f.seed, room), s.at)
	defer mu.Unlock()
	same, oldest := alikeSince(texts[:], s, s.at-int64(f.opts.Window))
	put(texts[:], s)
	if same >= f.opts.RoomRepeats {
		return FloodVerdict{FloodRoomRepeat, same + 1, f.opts.Window - time.Duration(s.at-oldest)}
	}
	return FloodVerdict{}
}

// alikeSince counts the texts that are alike and later than since, and returns when the first of them was.
func alikeSince(texts []seen, s seen, since int64) (n int, oldest int64) {
	oldest = s.at
	for i := range texts {
		if t := &texts[i]; t.at > since && t.at != 0 && alike(t, &s) {
			n++
			oldest = min(oldest, t.at)
		}
	}
	return n, oldest
}

// put replaces the oldest text.
func put(texts []seen, s seen) {
	oldest := 0
	for i := range texts {
		if texts[i].at < texts[oldest].at {
			oldest = i
		}
	}
	texts[oldest] = s
}

// shortText is below how many letters a fingerprint says too little, so that texts must be equal.
const shortText = 8

// maxDistance is by how many of the 64 bits the fingerprints of similar texts may differ. Those of
// unrelated ones differ by 32 and, in one of 300,000 pairs, by 14 or less.
const maxDistance = 14

func alike(a, b *seen) bool {
	if a.size < shortText || b.size < shortText {
		return a.size == b.size && a.print == b.print
	}
	short, long := min(a.size, b.size), max(a.size, b.size)
	return 3*short >= 2*long && bits.OnesCount64(a.print^b.print) <= maxDistance
}

// fingerprintRunes is how many letters of a text count: a text that is longer and equal so far is alike.
const fingerprintRunes = 160

// fingerprint reduces a text to its letters, of which rows of the same count as one. It hashes each
// pair of neighbours, with each ideograph by itself and each three of other letters. A bit
// of the print is what most of the hashes have there.
func fingerprint(text string) seen {
	table := fold.Get()
	var sum [8]uint64 // 8 counters of 8 bits each in a word, for the bits of the hashes
	var total [64]int32
	var s seen
	var before, earlier rune
	added := 0
	add := func(h uint64) {
		for i := range sum {
			sum[i] += h >> i & 0x0101010101010101
		}
		if added++; added%255 == 0 {
			spill(&sum, &total)
		}
	}
	for _, r := range text {
		u, seq := table.Of(r)
		if seq != nil {
			u = seq[0]
		}
		l := u.Rune()
		if u.Kind() != fold.Letter || l == before {
			continue
		}
		// One letter says something where there are thousands; of the others it takes three.
		if fold.Eastern(l) {
			add(mix(uint64(l)))
		} else if earlier != 0 {
			add(mix(uint64(earlier)<<42 | uint64(before)<<21 | uint64(l)))
		}
		if before != 0 {
			add(mix(uint64(before)<<21 | uint64(l)))
		}
		earlier, before = before, l
		if s.size++; s.size == fingerprintRunes {
			break
		}
	}
	if added == 0 && before != 0 {
		add(mix(uint64(before)))
	}
	if s.size == 0 { // symbols alone, as they are: emoji, "???"
		for _, r := range text {
			add(mix(uint64(r)))
		}
	}
	spill(&sum, &total)
	for i := range total {
		if 2*int(total[i]) > added {
			s.print |= 1 << i
		}
	}
	return s
}

// spill moves the small counters to the large ones: that of bit b is the byte b/8 of sum[b%8].
func spill(sum *[8]uint64, total *[64]int32) {
	for i := range sum {
		for j := range 8 {
			total[8*j+i] += int32(sum[i] >> (8 * j) & 0xff)
		}
		sum[i] = 0
	}
}

// mix spreads a number over 64 bits (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// memory keeps a fixed number of records by hash. A record lives in one of the 4 places of its
// set; where they are taken the one that was used least recently gives way.
type memory[T any] struct {
	sets []set[T]
}

const ways = 4

type set[T any] struct {
	mu      sync.Mutex // protects all below
	key     [ways]uint64
	used    [ways]int64
	records [ways]T
}

func (m *memory[T]) init(records int) {
	n := 1
	for n*ways < records {
		n *= 2
	}
	m.sets = make([]set[T], n)
}

// get returns the record of a key, empty if it is new, with its mutex locked.
func (m *memory[T]) get(key uint64, now int64) (*sync.Mutex, *T) {
	s := &m.sets[key&uint64(len(m.sets)-1)]
	s.mu.Lock()
	at := 0
	for i := range s.key {
		if s.key[i] == key && s.used[i] != 0 {
			s.used[i] = now
			return &s.mu, &s.records[i]
		}
		if s.used[i] < s.used[at] {
			at = i
		}
	}
	var empty T
	s.key[at], s.used[at], s.records[at] = key, now, empty
	return &s.mu, &s.records[at]
}
