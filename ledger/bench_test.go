package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkMemory works on a ledger that holds many entries, half of them due, of 1,000 rooms and 10,000 users.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		m, ctx := NewMemory(), context.Background()
		base := time.Unix(1_800_000_000, 0)
		for i := range n {
			e := Entry{Key: fmt.Sprintf("order/%09d", i*7919%n), Kind: "order", Room: fmt.Sprint("room ", i%1000), User: fmt.Sprint("user ", i%10_000), Data: json.RawMessage(`{"gift":"rose","n":3}`)}
			if i%2 == 0 {
				e.Due = base.Add(time.Duration(i) * time.Second)
			}
			if _, err := m.Commit(ctx, Change{Entry: e}); err != nil {
				b.Fatal(err)
			}
		}
		check := func(b *testing.B, err error) {
			if err != nil {
				b.Fatal(err)
			}
		}
		var serial atomic.Int64
		b.Run(fmt.Sprintf("new/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := serial.Add(1)
					_, err := m.Commit(ctx, Change{Entry: Entry{Key: fmt.Sprintf("new/%d", i), Room: "new", Due: base.Add(time.Hour * 10_000), Data: json.RawMessage(`{"gift":"rose","n":3}`)}})
					check(b, err)
				}
			})
		})
		b.Run(fmt.Sprintf("due/%d", n), func(b *testing.B) {
			for range b.N {
				_, err := m.Due(ctx, base.Add(200*time.Second), 100)
				check(b, err)
			}
		})
		b.Run(fmt.Sprintf("list room/%d", n), func(b *testing.B) {
			for i := range b.N {
				_, err := m.List(ctx, Query{Room: fmt.Sprint("room ", i%1000), Max: 10})
				check(b, err)
			}
		})
		b.Run(fmt.Sprintf("get/%d", n), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					_, err := m.Get(ctx, fmt.Sprintf("order/%09d", i%n))
					check(b, err)
				}
			})
		})
	}
}
