package filelog

import (
	"slices"
	"sort"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/segment"
)

// entry is one event of a room that lies in a segment not sealed yet, or in memory alone.
type entry struct {
	seq      uint64
	stored   int64       // when, in nanoseconds by the log's clock; of a former run: its At
	counts               // up to and including this event
	event    *im.Event   // nil if it must be read from file
	file     *activeFile // nil until it is written
	ref      segment.Ref
	volatile bool
	// unwritable says that it will not be written, since too much waits: it is gone when event is.
	unwritable bool
	dead       bool // left out when its file was sealed
}

// counts are how many volatile and how many other events a room has stored, or had up to and including some event.
type counts struct{ volatiles, durables uint64 }

func (c counts) of(volatile bool) uint64 {
	if volatile {
		return c.volatiles
	}
	return c.durables
}

// tail is the newest events of a room, in the order of their positions. The zero value is empty. Not safe for concurrent use.
type tail struct{ entries []entry }

// after is the index of the first entry above seq.
func (t *tail) after(seq uint64) int {
	n := len(t.entries)
	if n == 0 || t.entries[n-1].seq <= seq {
		return n
	}
	return sort.Search(n, func(i int) bool { return t.entries[i].seq > seq })
}

// find returns the entry at seq, or nil.
func (t *tail) find(seq uint64) *entry {
	if i := t.after(seq) - 1; i >= 0 && t.entries[i].seq == seq {
		return &t.entries[i]
	}
	return nil
}

// put adds an entry, which is mostly the newest. One that is at its place already is replaced.
func (t *tail) put(e entry) {
	switch i := t.after(e.seq); {
	case i > 0 && t.entries[i-1].seq == e.seq:
		t.entries[i-1] = e
	case i == len(t.entries):
		if i == cap(t.entries) {
			t.entries = slices.Grow(t.entries, max(1, i)) // append copies a long tail four times as often
		}
		t.entries = append(t.entries, e)
	default:
		t.entries = slices.Insert(t.entries, i, e)
	}
}

// remove drops the entries for which gone is true, and gives the memory back.
func (t *tail) remove(gone func(*entry) bool) {
	kept := t.entries[:0]
	for i := range t.entries {
		if !gone(&t.entries[i]) {
			kept = append(kept, t.entries[i])
		}
	}
	clear(t.entries[len(kept):])
	switch {
	case len(kept) == 0:
		t.entries = nil
	case cap(kept) > 4*len(kept)+16:
		t.entries = slices.Clone(kept)
	default:
		t.entries = kept
	}
}
