package postgres

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest/logtest"
	"github.com/liveim/im/ledger"
)

// BenchmarkAppend appends events of 200 bytes, one a call, from many goroutines
// to one room or each to its own.
func BenchmarkAppend(b *testing.B) {
	body := fmt.Sprintf(`"%0200d"`, 0)
	for _, oneRoom := range []bool{true, false} {
		for _, writers := range []int{1, 16, 128} {
			b.Run(fmt.Sprintf("oneRoom=%v/writers=%d", oneRoom, writers), func(b *testing.B) {
				l := openLog(b, LogOptions{Schema: newSchema(b)})
				var next atomic.Int64
				var serial atomic.Int64
				done := make(chan error, writers)
				b.ResetTimer()
				for range writers {
					go func() {
						room := "room"
						if !oneRoom {
							room = fmt.Sprint("room ", serial.Add(1))
						}
						for {
							i := next.Add(1)
							if i > int64(b.N) {
								done <- nil
								return
							}
							if _, err := l.Append(b.Context(), room, []*im.Event{logtest.Event(im.Chat, im.Normal, fmt.Sprint(i), body)}); err != nil {
								done <- err
								return
							}
						}
					}()
				}
				for range writers {
					if err := <-done; err != nil {
						b.Error(err)
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

// BenchmarkDelivery is the time from the call of Append on one node to the
// delivery on another.
func BenchmarkDelivery(b *testing.B) {
	schema := newSchema(b)
	from, to := openLog(b, LogOptions{Schema: schema}), openLog(b, LogOptions{Schema: schema, Poll: time.Hour})
	came := make(chan struct{}, 1)
	stop, err := to.Follow(b.Context(), "room", im.Position{}, func([]*im.Event, error) { came <- struct{}{} })
	if err != nil {
		b.Fatal(err)
	}
	defer stop()
	mustAppend(b, from, "room", logtest.Events(im.Normal, "first")...)
	<-came
	b.ResetTimer()
	for i := range b.N {
		mustAppend(b, from, "room", logtest.Events(im.Normal, fmt.Sprint(i))...)
		<-came
	}
}

// BenchmarkCommit commits two changes a call, as an order and its amount.
func BenchmarkCommit(b *testing.B) {
	l, err := NewLedger(b.Context(), database(b), &LedgerOptions{Schema: newSchema(b)})
	if err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := next.Add(1)
			_, err := l.Commit(b.Context(),
				ledger.Change{Entry: ledger.Entry{Key: fmt.Sprint("order/", i), Kind: "gift.order", State: "new"}},
				ledger.Change{Entry: ledger.Entry{Key: fmt.Sprint("amount/", i), Data: []byte(`12`)}})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}
