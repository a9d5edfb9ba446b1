package fanout

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// Remove takes the items out of the feed for which gone reports true, and returns them. A batch that holds one is
// replaced: sessions that have yet to get it get what is left of it, perhaps no event at all, and the
// position behind it, so that their chain of positions holds. Whoever has gathered the old batch already, to send
// it now, sends it.
func (f *Feed) Remove(gone func(*Item) bool) (removed []Item) {
	for i := f.first; i < f.next; i++ {
		at := &f.ring[i%uint64(len(f.ring))]
		n := len(removed)
		for j := range (*at).items {
			if it := &(*at).items[j]; it.JSON != nil && gone(it) {
				removed = append(removed, *it)
			}
		}
		if len(removed) > n {
			f.replace(at, removed[n:])
		}
	}
	return removed
}

// replace puts a batch without some of its items in the place of one.
func (f *Feed) replace(at **Batch, without []Item) {
	old := *at
	b := &Batch{room: old.room, items: slices.Clone(old.items), prev: old.prev, to: old.to, count: old.count, size: old.size, at: old.at}
	for _, it := range without {
		i, _ := slices.BinarySearchFunc(b.items, it.Seq, func(it Item, seq uint64) int { return cmp.Compare(it.Seq, seq) })
		b.items[i].JSON = nil
		b.size -= len(it.JSON)
		f.bytes -= len(it.JSON)
	}
	if old.dead != nil {
		b.dead = make([]atomic.Bool, len(b.items))
		for i := range old.dead {
			b.dead[i].Store(old.dead[i].Load())
			if key := b.items[i].Key; key != "" && f.newest[key] == (itemRef{old, i}) {
				f.newest[key] = itemRef{b, i}
			}
		}
		b.superseded.Store(old.superseded.Load())
	}
	*at = b
}
