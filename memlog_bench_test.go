package im_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest/logtest"
)

// eventIDs keeps the making of IDs out of what is measured.
func eventIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = "user-" + strconv.Itoa(i)
	}
	return ids
}

func BenchmarkMemoryLogAppend(b *testing.B) {
	for _, class := range []im.Class{im.Critical, im.Volatile} {
		for _, followers := range []int{0, 1, 10} {
			for _, batch := range []int{1, 20} {
				b.Run(fmt.Sprintf("%s/followers=%d/batch=%d", class, followers, batch), func(b *testing.B) {
					benchmarkAppend(b, class, followers, batch)
				})
			}
		}
	}
}

func benchmarkAppend(b *testing.B, class im.Class, followers, batch int) {
	l := openMemoryLog(b, nil)
	got := 0
	for range followers {
		stop, err := l.Follow(b.Context(), "42", im.Position{}, func(events []*im.Event, _ error) { got += len(events) })
		if err != nil {
			b.Fatal(err)
		}
		defer stop()
	}
	ids := eventIDs(1 << 16) // more than are remembered
	events := logtest.Events(class, ids[:batch]...)
	ctx := b.Context()
	b.ReportAllocs()
	for i, n := 0, 0; b.Loop(); i++ {
		for _, e := range events {
			e.ID = ids[n&(len(ids)-1)]
			n++
		}
		if _, err := l.Append(ctx, "42", events); err != nil {
			b.Fatal(err)
		}
	}
	if followers > 0 && got == 0 {
		b.Fatal("nothing was delivered")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/event")
}

// BenchmarkBaselineAppend is the least that any log in memory does: a copy of
// the event in a slice under a mutex, without IDs, retention or followers.
func BenchmarkBaselineAppend(b *testing.B) {
	var (
		mu     sync.Mutex
		stored []*im.Event
	)
	events := logtest.Events(im.Critical, "a")
	b.ReportAllocs()
	for b.Loop() {
		mu.Lock()
		for _, e := range events {
			c := *e
			c.Pos = im.Position{Epoch: "only", Seq: uint64(len(stored) + 1)}
			if len(stored) == 5000 {
				stored = append(stored[:0], stored[2500:]...)
			}
			stored = append(stored, &c)
		}
		mu.Unlock()
	}
}

// BenchmarkMemoryLogAppendParallel appends from all processors: to one room, and to many.
func BenchmarkMemoryLogAppendParallel(b *testing.B) {
	for _, rooms := range []int{1, 1000} {
		b.Run(fmt.Sprintf("rooms=%d", rooms), func(b *testing.B) {
			l := openMemoryLog(b, nil)
			names, ids := eventIDs(rooms), eventIDs(1<<16)
			var next sync.Mutex
			start := 0
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				next.Lock()
				i := start
				start += 4_096_000 // so that no two goroutines meet in room and ID
				next.Unlock()
				events := logtest.Events(im.Critical, "a")
				for ; pb.Next(); i++ {
					events[0].ID = ids[i&(len(ids)-1)]
					if _, err := l.Append(b.Context(), names[i%rooms], events); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func BenchmarkMemoryLogRead(b *testing.B) {
	l := openMemoryLog(b, nil)
	var at []im.Position
	for i, id := range eventIDs(6000) {
		class := []im.Class{im.Normal, im.Volatile}[i%2]
		at = append(at, mustAppend(b, l, "42", logtest.Events(class, id)...)[0].Pos)
	}
	for name, r := range map[string]im.Range{
		"newest 100":       {Newest: true},
		"newest 1":         {Newest: true, Max: 1},
		"after the middle": {After: at[3000]},
		"after the head":   {After: at[len(at)-1]},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.Read(b.Context(), "42", r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBaselineRead copies 100 pointers out of a slice under a mutex.
func BenchmarkBaselineRead(b *testing.B) {
	var mu sync.Mutex
	stored := logtest.Events(im.Normal, eventIDs(6000)...)
	b.ReportAllocs()
	for b.Loop() {
		mu.Lock()
		page := append([]*im.Event(nil), stored[len(stored)-100:]...)
		mu.Unlock()
		if len(page) != 100 {
			b.Fatal("short page")
		}
	}
}

func BenchmarkMemoryLogFollow(b *testing.B) {
	for _, stored := range []int{0, 100, 5000} {
		b.Run(fmt.Sprintf("stored=%d", stored), func(b *testing.B) {
			l := openMemoryLog(b, nil)
			for _, id := range eventIDs(stored) {
				mustAppend(b, l, "42", logtest.Events(im.Normal, id)...)
			}
			b.ReportAllocs()
			for b.Loop() {
				stop, err := l.Follow(b.Context(), "42", im.Position{}, func([]*im.Event, error) {})
				if err != nil {
					b.Fatal(err)
				}
				stop()
			}
		})
	}
}
