package filelog

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/disk"
)

// benchEvent is an event of about 200 bytes on disk.
func benchEvent(id string) *im.Event {
	return &im.Event{
		ID: id, Kind: im.Chat, Class: im.Normal, At: time.Unix(1_800_000_000, 0), From: im.Author{ID: "user-1234", Name: "小明"},
		Body: []byte(`{"text":"` + strings.Repeat("x", 90) + `"}`), Digest: "0123456789abcdef0123456789abcdef",
	}
}

// BenchmarkAppend has writers append one event a call, to 16 rooms, and wait for the disk each time. Set TMPDIR to choose the
// disk.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 8, 64, 512} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			l := openDir(b, b.TempDir(), Options{})
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for {
						i := next.Add(1)
						if i > int64(b.N) {
							return
						}
						_, err := l.Append(context.Background(), fmt.Sprint("room-", i%16), []*im.Event{benchEvent(fmt.Sprint(i))})
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			s := l.Stats()
			b.ReportMetric(float64(b.N)/float64(s.Syncs), "events/fsync")
			b.ReportMetric(float64(s.SyncTime.Microseconds())/float64(s.Syncs), "µs/fsync")
		})
	}
}

// BenchmarkAppendVolatile is danmaku, which wait for nothing.
func BenchmarkAppendVolatile(b *testing.B) {
	l := openDir(b, b.TempDir(), Options{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e := benchEvent(fmt.Sprint(i))
		e.Class = im.Volatile
		if _, err := l.Append(context.Background(), "room", []*im.Event{e}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLatency appends 5,000 events/s, and says how long they wait in multiples of one fdatasync of the same disk.
func BenchmarkLatency(b *testing.B) {
	const perTick, tick = 5, time.Millisecond
	dir := b.TempDir()
	one := measureSync(b, dir)
	l := openDir(b, filepath.Join(dir, "log"), Options{})
	var mu sync.Mutex
	var took []time.Duration
	var wg sync.WaitGroup
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	b.ResetTimer()
	for i := range b.N {
		<-ticker.C
		for k := range perTick {
			wg.Go(func() {
				began := time.Now()
				_, err := l.Append(context.Background(), fmt.Sprint("room-", k), []*im.Event{benchEvent(fmt.Sprint(i, "-", k))})
				d := time.Since(began)
				if err != nil {
					b.Error(err)
				}
				mu.Lock()
				took = append(took, d)
				mu.Unlock()
			})
		}
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	for _, p := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		d := took[int(p.at*float64(len(took)-1))]
		b.ReportMetric(float64(d.Microseconds()), p.name+"-µs")
		b.ReportMetric(float64(d)/float64(one), p.name+"-fdatasyncs")
	}
	b.ReportMetric(float64(one.Microseconds()), "fdatasync-µs")
}

// measureSync is the median of writing 4 KiB to the end of a file and one fdatasync.
func measureSync(b *testing.B, dir string) time.Duration {
	f, err := disk.OS{}.Create(filepath.Join(dir, "probe"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var took []time.Duration
	for i := range 200 {
		began := time.Now()
		if _, err := f.WriteAt(make([]byte, 4096), int64(i)*4096); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// fill appends n events to a room, many a call.
func fill(b testing.TB, l *Log, room string, n int) (first, last im.Position) {
	b.Helper()
	const chunk = 1000
	for at := 0; at < n; at += chunk {
		events := make([]*im.Event, min(chunk, n-at))
		for i := range events {
			events[i] = benchEvent(fmt.Sprint(at + i))
			events[i].Body = fmt.Appendf(nil, `{"text":"%016x%016x%016x%016x%016x%016x"}`, // which does not compress well
				rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64())
		}
		out, err := l.Append(context.Background(), room, events)
		if err != nil {
			b.Fatal(err)
		}
		if at == 0 {
			first = out[0].Pos
		}
		last = out[len(out)-1].Pos
	}
	return first, last
}

// BenchmarkReadPage reads pages of 100 from places all over a room.
func BenchmarkReadPage(b *testing.B) {
	n := 100_000
	if soak() {
		n = 1_000_000
	}
	l := openDir(b, b.TempDir(), Options{SegmentBytes: 16 << 20})
	_, last := fill(b, l, "room", n)
	waitSealed(b, l)
	var took []time.Duration
	seed := uint64(1)
	for b.Loop() {
		seed = seed*6364136223846793005 + 1442695040888963407
		at := im.Position{Epoch: last.Epoch, Seq: (seed >> 11) % last.Seq}
		began := time.Now()
		if _, err := l.Read(context.Background(), "room", im.Range{Before: at, Newest: true}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[(len(took)-1)*99/100].Microseconds()), "p99-µs")
}

// TestMillionEvents opens a log of 1 GiB, and reads pages of 100 from a room with a million events. The short form is a
// fiftieth of that, in which a page has no bar.
func TestMillionEvents(t *testing.T) {
	events, bytes, options := 20_000, int64(20<<20), Options{SegmentBytes: 4 << 20}
	if soak() {
		events, bytes, options = 1_000_000, 1<<30, Options{}
	}
	dir := t.TempDir()
	l := openDir(t, dir, options)
	_, last := fill(t, l, "room", events)
	for i := 0; l.Stats().Bytes < bytes; i++ {
		fill(t, l, fmt.Sprint("other-", i), 20_000)
	}
	waitSealed(t, l)
	l.crash()
	began := time.Now()
	l = openDir(t, dir, options)
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("opening took %v, want at most 2 s", d)
	} else {
		t.Logf("opening %d MiB in %d files took %v", l.Stats().Bytes>>20, l.Stats().Segments, d)
	}
	var took []time.Duration
	seed := uint64(1)
	for range 2000 {
		seed = seed*6364136223846793005 + 1442695040888963407
		began := time.Now()
		p, err := l.Read(context.Background(), "room", im.Range{After: im.Position{Epoch: last.Epoch, Seq: (seed >> 11) % last.Seq}})
		if err != nil || len(p.Events) == 0 {
			t.Fatalf("Read returned %d events, %v", len(p.Events), err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("a page of 100: p50 %v, p99 %v", took[1000], took[1980])
	if soak() && took[1980] > 2*time.Millisecond {
		t.Errorf("the p99 of a page is %v, want at most 2 ms", took[1980])
	}
}
