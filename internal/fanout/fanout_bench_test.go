package fanout

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im/transport"
)

// noop is a connection that takes everything and does nothing: what is left is
// what this package costs.
type noop struct {
	conn
	bytes int
}

func (c *noop) Shared() transport.Format { return shared }

func (c *noop) TrySend(bufs [][]byte) (n int, err error) {
	for _, b := range bufs {
		n += len(b)
	}
	c.bytes += n
	return n, nil
}

// crowd is a room full of sessions that do nothing but read.
type crowd struct {
	*room
	conns   []*noop
	cursors []*Cursor
	items   []Item
	stats   Counters
}

func newCrowd(viewers int) *crowd {
	c := &crowd{room: newRoom("42", 0, &FeedLimits{Batches: 128, Bytes: 1 << 20, BatchBytes: 32 << 10})}
	common := &Common{Limits: Limits{Queue: 64 << 10, Send: 64 << 10, VolatileAge: time.Second}, Counters: &c.stats}
	for range viewers {
		n := &noop{}
		o := NewOutlet(n, common)
		cursor := c.cursor(o, TierFull)
		o.Enter(nil, cursor, nil)
		c.conns, c.cursors = append(c.conns, n), append(c.cursors, cursor)
	}
	c.items = makeItems(0, "v")
	c.items[0].JSON = []byte(strings.Repeat("x", 200))
	return c
}

// Flush is Task: it seals one batch.
func (c *crowd) Flush(now time.Time, dst []*Cursor) ([]*Cursor, View) {
	c.seal(now)
	return append(dst, c.cursors...), c.view()
}

func (c *crowd) view() View {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.feed.View(c.room)
}

func (c *crowd) seal(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	items := []Item{c.items[0]}
	items[0].Seq = c.feed.Seq() + 1
	c.feed.Push(items, 0, now)
}

func (c *crowd) report(b *testing.B, deliveries int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(deliveries), "ns/delivery")
	want := uint64(deliveries)
	if got := c.stats.Sends.Load() - uint64(len(c.cursors)); len(c.cursors) > 0 && got != want {
		b.Fatalf("%d sends for %d deliveries", got, want)
	}
}

func newWorker() *worker {
	return &worker{gaps: Gaps{time.Millisecond, time.Second}, wake: make(chan struct{}, 1)}
}

// BenchmarkFlush is one batch of one event of 200 bytes to everybody in a room:
// seal, encode once, and a send for each. The goal is 250 ns and no allocation a delivery.
func BenchmarkFlush(b *testing.B) {
	for _, viewers := range []int{1, 10, 1000, 10_000} {
		b.Run(fmt.Sprint("viewers=", viewers), func(b *testing.B) {
			c, w := newCrowd(viewers), newWorker()
			t := &Ticket{task: c, worker: w}
			b.ReportAllocs()
			for b.Loop() {
				w.flush(t)
				w.settle()
			}
			c.report(b, b.N*viewers)
		})
	}
}

// A delivery allocates nothing: what a flush allocates does not depend on how
// many follow the room.
func TestDeliveriesDoNotAllocate(t *testing.T) {
	allocs := func(viewers int) float64 {
		c, w := newCrowd(viewers), newWorker()
		ticket := &Ticket{task: c, worker: w}
		return testing.AllocsPerRun(200, func() { w.flush(ticket); w.settle() })
	}
	if few, many := allocs(1), allocs(1000); many > few+1 {
		t.Errorf("a flush allocates %v times for one viewer, %v times for 1000", few, many)
	}
}

// BenchmarkFlushBaseline is the same without an engine: each batch is encoded
// and handed to each connection in a loop.
func BenchmarkFlushBaseline(b *testing.B) {
	for _, viewers := range []int{1, 10, 1000, 10_000} {
		b.Run(fmt.Sprint("viewers=", viewers), func(b *testing.B) {
			c := newCrowd(viewers)
			conns := make([]transport.Conn, viewers)
			for i, n := range c.conns {
				conns[i] = n
			}
			bufs := make([][]byte, 1)
			b.ReportAllocs()
			for b.Loop() {
				c.seal(time.Now())
				batches, _ := c.feed.Since(c.feed.Next()-1, nil)
				bufs[0] = batches[0].frame(shared, TierFull, false)
				for _, conn := range conns {
					if _, err := conn.TrySend(bufs); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*viewers), "ns/delivery")
		})
	}
}

// BenchmarkFlushNothing is a flush of a room where nothing is new.
func BenchmarkFlushNothing(b *testing.B) {
	c, s := newCrowd(1000), new(Scratch)
	b.ReportAllocs()
	for b.Loop() {
		now := time.Now()
		for _, cursor := range c.cursors {
			cursor.outlet.FlushWith(s, now)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1000), "ns/session")
}

// BenchmarkFlushRooms has two workers with a room each, which share counters
// as the rooms of a hub do.
func BenchmarkFlushRooms(b *testing.B) {
	for _, shareCounters := range []bool{false, true} {
		b.Run(fmt.Sprint("counters shared=", shareCounters), func(b *testing.B) {
			const viewers = 1000
			crowds := []*crowd{newCrowd(viewers), newCrowd(viewers)}
			if shareCounters {
				for _, cursor := range crowds[1].cursors {
					cursor.outlet.common = crowds[0].cursors[0].outlet.common
				}
			}
			var wg sync.WaitGroup
			n := b.N
			b.ResetTimer()
			for _, c := range crowds {
				wg.Go(func() {
					w := newWorker()
					t := &Ticket{task: c, worker: w}
					for range n {
						w.flush(t)
						w.settle()
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*viewers), "ns/delivery")
		})
	}
}

// BenchmarkGather is one session that is so many batches behind.
func BenchmarkGather(b *testing.B) {
	for _, behind := range []int{1, 2, 4, 8, 16, 32} {
		b.Run(fmt.Sprint("batches=", behind), func(b *testing.B) {
			c, s := newCrowd(1), new(Scratch)
			for range behind {
				c.seal(time.Now())
			}
			cursor := c.cursors[0]
			oldest := time.Now().Add(-time.Hour)
			b.ReportAllocs()
			for b.Loop() {
				if !cursor.gather(s, 1<<20, oldest) || len(s.bufs) != behind {
					b.Fatalf("gathered %d of %d", len(s.bufs), behind)
				}
				s.reset()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*behind), "ns/batch")
		})
	}
}

// BenchmarkFeedPush seals events of 200 bytes.
func BenchmarkFeedPush(b *testing.B) {
	for _, n := range []int{1, 20, 200} {
		b.Run(fmt.Sprint("events=", n), func(b *testing.B) {
			f := NewFeed("42", 0, &FeedLimits{Batches: 128, Bytes: 1 << 20, BatchBytes: 32 << 10})
			items := makeItems(0, strings.Repeat("v", n))
			for i := range items {
				items[i].JSON = []byte(strings.Repeat("x", 200))
			}
			now := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				f.Push(items, 0, now)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
		})
	}
}

// BenchmarkEncode is the first use of a batch: what is shared by all sessions.
func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{1, 20} {
		b.Run(fmt.Sprint("events=", n), func(b *testing.B) {
			f := NewFeed("42", 0, roomy)
			f.Push(makeItems(0, strings.Repeat("v", n)), 0, time.Now())
			batches, _ := f.Since(0, nil)
			b.ReportAllocs()
			for b.Loop() {
				batches[0].known.Store(nil)
				batches[0].frame(shared, TierFull, false)
			}
		})
	}
}

// BenchmarkSend is one message for one session.
func BenchmarkSend(b *testing.B) {
	c := newCrowd(1)
	o, message := c.cursors[0].outlet, []byte(`{"op":"ack","id":1,"status":"ok"}`)
	b.ReportAllocs()
	for b.Loop() {
		o.Send(message)
	}
}

// BenchmarkWake is a wake-up of a room that waits for its gap already.
func BenchmarkWake(b *testing.B) {
	e := NewEngine(1, Gaps{time.Hour, time.Hour}, nil, nil)
	defer e.Close()
	t := e.Register("42", newTask())
	t.WakeAfter(time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		t.WakeAfter(2 * time.Minute)
	}
}
