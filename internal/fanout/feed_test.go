package fanout

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// sized returns items of so many bytes each.
func sized(after uint64, sizes ...int) []Item {
	items := make([]Item, len(sizes))
	for i, n := range sizes {
		items[i] = Item{Seq: after + 1 + uint64(i), Lane: Normal, JSON: []byte(strings.Repeat("x", n))}
	}
	return items
}

func (f *Feed) pushSized(sizes ...int) { f.Push(sized(f.to, sizes...), 0, time.Time{}) }

// shape is how many items each batch from next on has, or "lost".
func (f *Feed) shape(next uint64) string {
	batches, ok := f.Since(next, nil)
	if !ok {
		return "lost"
	}
	s := ""
	for _, b := range batches {
		s += fmt.Sprint(len(b.items), " ")
	}
	return strings.TrimSpace(s)
}

func TestFeedBounds(t *testing.T) {
	for name, tt := range map[string]struct {
		limits FeedLimits
		push   func(*Feed)
		first  uint64 // the oldest cursor that is not lost
		shape  string
	}{
		"count":            {FeedLimits{3, 100, 100}, func(f *Feed) { f.pushSized(1); f.pushSized(1, 1); f.pushSized(1); f.pushSized(1, 1, 1) }, 1, "2 1 3"},
		"bytes":            {FeedLimits{9, 10, 10}, func(f *Feed) { f.pushSized(4); f.pushSized(4); f.pushSized(2); f.pushSized(5) }, 2, "1 1"},
		"bytes exactly":    {FeedLimits{9, 10, 10}, func(f *Feed) { f.pushSized(4); f.pushSized(6) }, 0, "1 1"},
		"batch bytes":      {FeedLimits{9, 100, 10}, func(f *Feed) { f.pushSized(4, 6, 1, 9, 1) }, 0, "2 2 1"},
		"one large event":  {FeedLimits{9, 100, 10}, func(f *Feed) { f.pushSized(3, 50, 3) }, 0, "1 1 1"},
		"larger than all":  {FeedLimits{9, 10, 10}, func(f *Feed) { f.pushSized(3); f.pushSized(50) }, 1, "1"},
		"and after that":   {FeedLimits{9, 10, 10}, func(f *Feed) { f.pushSized(50); f.pushSized(3) }, 1, "1"},
		"one batch a feed": {FeedLimits{1, 10, 10}, func(f *Feed) { f.pushSized(1); f.pushSized(2) }, 1, "1"},
		"nothing":          {FeedLimits{1, 10, 10}, func(f *Feed) { f.pushSized() }, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := NewFeed("42", 7, &tt.limits)
			tt.push(&f)
			if got := f.shape(tt.first); got != tt.shape {
				t.Errorf("the batches from %d on hold %q items, want %q", tt.first, got, tt.shape)
			}
			if tt.first > 0 && f.shape(tt.first-1) != "lost" {
				t.Errorf("cursor %d is not lost", tt.first-1)
			}
			if f.shape(f.Next()) != "" || f.shape(f.Next()+1) != "lost" {
				t.Error("a cursor at the head gets something, or one beyond it is not lost")
			}
		})
	}
}

func TestFeedPositionMayLieBehindTheLastItem(t *testing.T) {
	f := NewFeed("42", 5, roomy)
	f.Push(nil, 9, time.Time{})
	if f.Seq() != 9 || f.Next() != 0 {
		t.Errorf("after hidden events the feed is at %d with %d batches; want 9 and 0", f.Seq(), f.Next())
	}
	f.Push(makeItems(9, "c"), 12, time.Time{})
	f.Push(nil, 3, time.Time{})
	if f.Seq() != 12 {
		t.Errorf("the feed is at %d, want 12", f.Seq())
	}
	b, _ := f.Since(0, nil)
	if got := brief(t, string(b[0].frame(shared, TierFull, false))); got[0] != "5>10 c10" {
		t.Errorf("got %q", got)
	}
}

func TestFeedRestart(t *testing.T) {
	f := NewFeed("42", 100, roomy)
	for range 5 {
		f.pushSized(10)
	}
	old := f.Next()
	f.Restart(3)
	for i := range old + 1 {
		if f.shape(i) != "lost" {
			t.Errorf("cursor %d of before has survived the restart", i)
		}
	}
	if f.shape(f.Next()) != "" || f.Seq() != 3 || f.bytes != 0 {
		t.Errorf("after the restart: %q, position %d, %d bytes", f.shape(f.Next()), f.Seq(), f.bytes)
	}
	next := f.Next()
	f.Push(makeItems(3, "v"), 0, time.Time{})
	b, ok := f.Since(next, nil)
	if !ok || brief(t, string(b[0].frame(shared, TierFull, false)))[0] != "3>4 v4" {
		t.Error("the chain does not begin anew")
	}
}

func TestFeedGrowsToItsLimit(t *testing.T) {
	f := NewFeed("42", 0, &FeedLimits{Batches: 20, Bytes: 1000, BatchBytes: 1000})
	if f.ring != nil {
		t.Error("an empty feed holds a ring")
	}
	var sizes []int
	for i := range 50 {
		f.pushSized(1)
		if n := len(f.ring); len(sizes) == 0 || sizes[len(sizes)-1] != n {
			sizes = append(sizes, n)
		}
		oldest := max(0, i+1-20)
		b, ok := f.Since(uint64(oldest), nil)
		if !ok || len(b) != i+1-oldest || b[0].to != uint64(oldest+1) || b[len(b)-1].to != uint64(i+1) {
			t.Fatalf("after %d batches the feed gives %d, %v", i+1, len(b), ok)
		}
	}
	if fmt.Sprint(sizes) != "[8 16 20]" {
		t.Errorf("the ring grew through %v, want [8 16 20]", sizes)
	}
}

func TestSinceAppends(t *testing.T) {
	f := NewFeed("42", 0, roomy)
	f.pushSized(1)
	f.pushSized(1)
	mark := new(Batch)
	if got, ok := f.Since(1, []*Batch{mark}); !ok || len(got) != 2 || got[0] != mark {
		t.Errorf("Since does not append: %v, %v", got, ok)
	}
	if got, ok := f.Since(9, []*Batch{mark}); ok || len(got) != 1 {
		t.Errorf("a lost cursor changes dst: %v, %v", got, ok)
	}
}

// TestFeedModel compares the ring with a slice that keeps everything.
func TestFeedModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := &FeedLimits{
			Batches:    rapid.IntRange(1, 20).Draw(t, "batches"),
			Bytes:      rapid.IntRange(1, 200).Draw(t, "bytes"),
			BatchBytes: rapid.IntRange(1, 60).Draw(t, "batch bytes"),
		}
		f := NewFeed("42", 0, limits)
		var all []int // bytes of each batch, by number
		from := 0     // lost below by a restart
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				sizes := rapid.SliceOfN(rapid.IntRange(1, 40), 0, 12).Draw(t, "sizes")
				f.pushSized(sizes...)
				for open := false; len(sizes) > 0; sizes = sizes[1:] {
					if open && all[len(all)-1]+sizes[0] <= limits.BatchBytes {
						all[len(all)-1] += sizes[0]
					} else {
						all, open = append(all, sizes[0]), true
					}
				}
			},
			"restart": func(*rapid.T) {
				f.Restart(f.Seq())
				all = append(all, 0) // its number is not used
				from = len(all)
			},
			"": func(t *rapid.T) {
				first, sum := len(all), 0
				for first > from && len(all)-first < limits.Batches && (sum+all[first-1] <= limits.Bytes || first == len(all)) {
					first--
					sum += all[first]
				}
				if f.Next() != uint64(len(all)) || f.bytes != sum {
					t.Fatalf("the feed is at batch %d with %d bytes, want %d with %d", f.Next(), f.bytes, len(all), sum)
				}
				for next := range len(all) + 2 {
					got, ok := f.Since(uint64(next), nil)
					if ok != (next >= first && next <= len(all)) {
						t.Fatalf("Since(%d) says %v; the feed keeps %d to %d", next, ok, first, len(all))
					}
					for i, b := range got {
						if b.size != all[next+i] {
							t.Fatalf("Since(%d): batch %d has %d bytes, want %d", next, i, b.size, all[next+i])
						}
					}
				}
				held := 0
				for _, b := range f.ring {
					if b != nil {
						held++
					}
				}
				if held != len(all)-first || len(f.ring) > limits.Batches {
					t.Fatalf("the ring of %d keeps %d batches alive, want %d", len(f.ring), held, len(all)-first)
				}
			},
		})
	})
}
