package audit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

type muted struct {
	Room   string `json:"room"`
	User   string `json:"user"`
	By     string `json:"by"`
	Reason string `json:"reason"`
}

func benchDetail(i int64) muted {
	return muted{"room-42", fmt.Sprint("user-", i), "moderator-7", "spam, third time this evening"}
}

// BenchmarkRecord is entries that are each on disk before the next of the same writer.
func BenchmarkRecord(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			l := mustOpen(b, b.TempDir(), newKeys(b).options())
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if err := l.Record(b.Context(), "moderate.mute", benchDetail(i)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			mustClose(b, l)
		})
	}
}

// BenchmarkVerify reads 100,000 entries; what Open costs after them is its other figure.
func BenchmarkVerify(b *testing.B) {
	const n = 100_000
	k, dir := newKeys(b), b.TempDir()
	l := mustOpen(b, dir, k.options())
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 512 {
		wg.Go(func() {
			for i := next.Add(1); i <= n; i = next.Add(1) {
				if err := l.Record(b.Context(), "moderate.mute", benchDetail(i)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	mustClose(b, l)
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if r, err := Verify(b.Context(), dir, k.known); err != nil || r.Entries != n {
				b.Fatal(r, err)
			}
		}
		b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			mustClose(b, mustOpen(b, dir, k.options()))
		}
	})
}
