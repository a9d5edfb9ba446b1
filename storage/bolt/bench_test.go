package bolt

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/liveim/im/ledger"
)

// BenchmarkCommit adds entries from several goroutines at once. "commits/sync" is how many share one write.
func BenchmarkCommit(b *testing.B) {
	for _, c := range []struct {
		name string
		open func(b *testing.B) ledger.Ledger
	}{
		{"memory", func(*testing.B) ledger.Ledger { return ledger.NewMemory() }},
		{"nosync", func(b *testing.B) ledger.Ledger { return mustOpen(b, newPath(b), &Options{NoSync: true}) }},
		{"durable", func(b *testing.B) ledger.Ledger { return mustOpen(b, newPath(b), nil) }},
	} {
		for _, committers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", c.name, committers), func(b *testing.B) {
				l := c.open(b)
				var syncs int
				if l, ok := l.(*Ledger); ok {
					l.finish = func(tx *bbolt.Tx) error {
						syncs++
						return tx.Commit()
					}
				}
				benchmarkCommit(b, l, committers)
				if syncs > 0 {
					b.ReportMetric(float64(b.N)/float64(syncs), "commits/sync")
				}
			})
		}
	}
}

func benchmarkCommit(b *testing.B, l ledger.Ledger, committers int) {
	var serial atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range committers {
		wg.Go(func() {
			for {
				i := serial.Add(1)
				if i > int64(b.N) {
					return
				}
				e := ledger.Entry{
					Key: fmt.Sprintf("order/%09d", i*7919%1_000_000_007), Kind: "order", State: "placed",
					Room: fmt.Sprint("room ", i%100), User: fmt.Sprint("user ", i%1000), Data: []byte(`{"gift":"rose","n":3}`),
				}
				if _, err := l.Commit(context.Background(), ledger.Change{Entry: e}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// BenchmarkGet reads while nobody writes, and while somebody does.
func BenchmarkGet(b *testing.B) {
	for _, writing := range []bool{false, true} {
		b.Run(fmt.Sprintf("writing=%v", writing), func(b *testing.B) {
			l := mustOpen(b, newPath(b), nil)
			const entries = 10_000
			for i := range entries / 1000 {
				var changes []ledger.Change
				for j := range 1000 {
					changes = append(changes, entry(fmt.Sprintf("key/%06d", i*1000+j), "state"))
				}
				if _, err := l.Commit(b.Context(), changes...); err != nil {
					b.Fatal(err)
				}
			}
			var stop atomic.Bool
			var wg sync.WaitGroup
			if writing {
				wg.Go(func() {
					for i := 0; !stop.Load(); i++ {
						if _, err := l.Commit(context.Background(), entry(fmt.Sprint("new/", i), "")); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, err := l.Get(context.Background(), fmt.Sprintf("key/%06d", i*7919%entries)); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.StopTimer()
			stop.Store(true)
			wg.Wait()
		})
	}
}
