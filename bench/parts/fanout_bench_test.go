package parts

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im/internal/fanout"
	"github.com/liveim/im/transport"
)

// BenchmarkFanout brings events of 200 bytes to all viewers of a room whose connections take everything at once
// and do nothing: what is left is how events get from the room to the connections. burst is how many events come
// between two flushes.
//
// impl=im is the ring of the room and a cursor for each viewer. impl=channel is what every chat
// example does: a buffered channel and a goroutine for each viewer, which sends one event at a time. Either way
// the next burst comes when the last is delivered. B/viewer is what a viewer costs in memory then.
func BenchmarkFanout(b *testing.B) {
	for _, viewers := range []int{10, 1000, 10_000} {
		for _, burst := range []int{1, 20} {
			name := fmt.Sprintf("viewers=%d/burst=%d/impl=", viewers, burst)
			b.Run(name+"im", func(b *testing.B) { fanOut(b, viewers, burst, newRing) })
			b.Run(name+"channel", func(b *testing.B) { fanOut(b, viewers, burst, newChannels) })
		}
	}
}

// room is what is compared.
type room interface {
	publish(burst int) // returns when all is delivered
	delivered() int    // bytes so far
	close()
}

var event = []byte(strings.Repeat("x", 200))

func fanOut(b *testing.B, viewers, burst int, open func(viewers int) room) {
	before := heap()
	r := open(viewers)
	defer r.close()
	r.publish(burst)
	memory := float64(heap()-before) / float64(viewers)
	skipped := r.delivered()
	b.ReportAllocs()
	for b.Loop() {
		r.publish(burst)
	}
	deliveries := b.N * burst * viewers
	if got := r.delivered() - skipped; got < deliveries*len(event) {
		b.Fatalf("%d bytes were delivered by %d deliveries.", got, deliveries)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(deliveries), "ns/delivery")
	b.ReportMetric(memory, "B/viewer")
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// sink is a connection that takes everything.
type sink struct{ bytes int }

type plain struct{}

func (plain) Append(dst, message []byte) []byte { return append(dst, message...) }

func (s *sink) TrySend(bufs [][]byte) (n int, err error) {
	for _, b := range bufs {
		n += len(b)
	}
	s.bytes += n
	return n, nil
}

func (s *sink) Start(transport.Session)     {}
func (s *sink) Private() transport.Format   { return plain{} }
func (s *sink) Shared() transport.Format    { return plain{} }
func (s *sink) Heartbeat() ([]byte, bool)   { return nil, false }
func (s *sink) Farewell(int, string) []byte { return nil }
func (s *sink) Finish()                     {}
func (s *sink) Abort()                      {}
func (s *sink) Overdue(time.Time) bool      { return false }

func total(sinks []sink) (bytes int) {
	for i := range sinks {
		bytes += sinks[i].bytes
	}
	return bytes
}

// ring is the room of this library: its feed under a lock, as the hub has it.
type ring struct {
	mu      sync.Mutex // guards feed
	feed    fanout.Feed
	cursors []*fanout.Cursor
	sinks   []sink
	scratch fanout.Scratch
	stats   fanout.Counters
}

func newRing(viewers int) room {
	r := &ring{
		feed:    fanout.NewFeed("42", 0, &fanout.FeedLimits{Batches: 128, Bytes: 1 << 20, BatchBytes: 32 << 10}),
		cursors: make([]*fanout.Cursor, viewers),
		sinks:   make([]sink, viewers),
	}
	common := &fanout.Common{Limits: fanout.Limits{Queue: 64 << 10, Send: 64 << 10, VolatileAge: time.Hour}, Counters: &r.stats}
	for i := range r.cursors {
		o := fanout.NewOutlet(&r.sinks[i], common)
		r.cursors[i] = fanout.NewCursor(nil, "e", r, o, fanout.TierFull, 0, 0)
		o.Enter([]byte("joined"), r.cursors[i], nil)
	}
	return r
}

func (r *ring) Since(next uint64, dst []*fanout.Batch) ([]*fanout.Batch, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.feed.Since(next, dst)
}

func (r *ring) Name() string { return "42" }

func (r *ring) Latest() *fanout.Shared { return nil }

func (r *ring) publish(burst int) {
	now := time.Now()
	items := make([]fanout.Item, burst)
	r.mu.Lock()
	for i := range items {
		items[i] = fanout.Item{Seq: r.feed.Seq() + uint64(i) + 1, Lane: fanout.Volatile, JSON: event}
	}
	r.feed.Push(items, 0, now)
	r.mu.Unlock()
	for _, c := range r.cursors {
		c.Outlet().FlushWith(&r.scratch, now)
	}
}

func (r *ring) close() {}

func (r *ring) delivered() int { return total(r.sinks) }

// channels is the room of the chat examples.
type channels struct {
	send    []chan []byte
	sinks   []sink
	due     sync.WaitGroup // deliveries
	viewers sync.WaitGroup
}

func newChannels(viewers int) room {
	r := &channels{send: make([]chan []byte, viewers), sinks: make([]sink, viewers)}
	for i := range r.send {
		r.send[i] = make(chan []byte, 256)
		r.viewers.Go(func() { r.view(i) })
	}
	return r
}

func (r *channels) view(i int) {
	var conn transport.Conn = &r.sinks[i]
	bufs := make([][]byte, 1)
	for e := range r.send[i] {
		bufs[0] = e
		_, _ = conn.TrySend(bufs) // takes everything
		r.due.Done()
	}
}

func (r *channels) publish(burst int) {
	r.due.Add(burst * len(r.send))
	for range burst {
		for _, c := range r.send {
			c <- event
		}
	}
	r.due.Wait()
}

func (r *channels) delivered() int { return total(r.sinks) }

func (r *channels) close() {
	for _, c := range r.send {
		close(c)
	}
	r.viewers.Wait()
}
