package fanout

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// What was removed is not sent to anybody who has yet to get it; the chain of positions holds.
func TestRemovedItemsAreNotSent(t *testing.T) {
	for name, tt := range map[string]struct {
		tier   Tier
		push   string
		remove []uint64
		want   string
	}{
		"one of a batch":         {TierFull, "cvc c", []uint64{2}, "0>3 c1 c3|3>4 c4"},
		"all of a batch":         {TierFull, "c c c", []uint64{2}, "0>1 c1|1>2|2>3 c3"},
		"twice":                  {TierFull, "cc c", []uint64{1, 1}, "0>2 c2|2>3 c3"},
		"everything":             {TierFull, "vc n", []uint64{1, 2, 3}, "0>2|2>3"},
		"the only one of a tier": {TierCritical, "nc n c", []uint64{2}, "0>2|2>4 c4"},
		"beside values":          {TierFull, "Ac A", []uint64{2}, "0>2 A1|2>3 A3"},
		"none":                   {TierFull, "c", []uint64{7}, "0>1 c1"},
	} {
		t.Run(name, func(t *testing.T) {
			r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
			r.enter(room, tt.tier)
			now := time.Now()
			for _, lanes := range strings.Fields(tt.push) {
				room.push(now, lanes)
			}
			for _, seq := range tt.remove {
				room.remove(seq)
			}
			r.FlushWith(new(Scratch), now)
			r.FlushWith(new(Scratch), now)
			r.expect(t, append([]string{"joined"}, strings.Split(tt.want, "|")...)...)
		})
	}
}

func (r *room) remove(seqs ...uint64) []Item {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.feed.Remove(func(it *Item) bool { return slices.Contains(seqs, it.Seq) })
}

// What was encoded before the removal is not sent afterwards; a value that replaces one of the same key still does so.
func TestRemoveMakesEncodingsAnew(t *testing.T) {
	room := newRoom("42", 0, roomy)
	quick, slow := newRig(t, unlimited, testLimits), newRig(t, unlimited, testLimits)
	quick.enter(room, TierFull)
	slow.enter(room, TierFull)
	now := time.Now()
	room.push(now.Add(-old), "AcB")
	quick.FlushWith(new(Scratch), now)
	quick.expect(t, "joined", "0>3 A1 c2 B3")
	if got := room.remove(2); len(got) != 1 || got[0].Seq != 2 || len(got[0].JSON) == 0 {
		t.Fatalf("removed %v", got)
	}
	room.push(now, "A")
	slow.FlushWith(new(Scratch), now)
	slow.FlushWith(new(Scratch), now)
	slow.expect(t, "joined", "0>3 B3", "3>4 A4")
}

// Whatever is removed when, and whatever was pushed: the bytes that the feed counts are those that it holds, and every
// item that is left is where it was.
func TestRemoveKeepsTheBooks(t *testing.T) {
	limits := &FeedLimits{Batches: 6, Bytes: 2 << 10, BatchBytes: 300}
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubbled{t}, func(rt *rapid.T) {
			room := newRoom("42", 0, limits)
			gone := map[uint64]bool{}
			for range rapid.IntRange(1, 40).Draw(rt, "steps") {
				if rapid.Bool().Draw(rt, "remove") && room.feed.to > 0 {
					seq := rapid.Uint64Range(1, room.feed.to).Draw(rt, "seq")
					gone[seq] = true
					room.remove(seq)
				} else {
					room.push(time.Now(), rapid.StringMatching("[ABcnv]{1,4}").Draw(rt, "events"))
				}
				bytes := 0
				for i := room.feed.first; i < room.feed.next; i++ {
					for _, it := range room.feed.ring[i%uint64(len(room.feed.ring))].items {
						bytes += len(it.JSON)
						if gone[it.Seq] != (it.JSON == nil) {
							rt.Fatalf("item %d is gone: %v, want %v", it.Seq, it.JSON == nil, gone[it.Seq])
						}
					}
				}
				if bytes != room.feed.bytes {
					rt.Fatalf("the feed counts %d bytes and holds %d", room.feed.bytes, bytes)
				}
				for key, ref := range room.feed.newest {
					all, _ := room.feed.Since(room.feed.first, nil)
					if !slices.Contains(all, ref.batch) || ref.batch.items[ref.i].Key != key {
						rt.Fatalf("key %s refers to what is not in the feed: %+v", key, ref.batch.items[ref.i])
					}
				}
			}
		})
	})
}
