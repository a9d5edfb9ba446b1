package fanout

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// counting is a format that counts how often it encodes.
type counting struct{ n *atomic.Int64 }

func (f counting) Append(dst, message []byte) []byte {
	f.n.Add(1)
	return append(dst, message...)
}

func sealed(t *testing.T, batches ...string) []*Batch {
	t.Helper()
	f := NewFeed("42", 0, roomy)
	for _, lanes := range batches {
		f.Push(makeItems(f.Seq(), lanes), 0, time.Time{})
	}
	all, ok := f.Since(0, nil)
	if !ok || len(all) != len(batches) {
		t.Fatalf("the feed has %d batches, want %d", len(all), len(batches))
	}
	return all
}

func TestBatchIsEncodedOncePerFormatAndTier(t *testing.T) {
	b := sealed(t, "cnv")[0]
	var n, m atomic.Int64
	seen := map[*byte]string{}
	for range 3 { // the first encodes, the others share
		for _, f := range []counting{{&n}, {&m}} {
			for _, tier := range []Tier{TierCritical, TierReduced, TierFull} {
				key := fmt.Sprint(f.n == &n, tier)
				frame := unsafe.SliceData(b.frame(f, tier, false))
				if was, ok := seen[frame]; ok && was != key {
					t.Errorf("%s and %s share bytes", key, was)
				}
				seen[frame] = key
			}
		}
	}
	if n.Load() != 3 || m.Load() != 3 || len(seen) != 6 {
		t.Errorf("encoded %d and %d times into %d frames; want 3, 3 and 6", n.Load(), m.Load(), len(seen))
	}
}

func TestEqualFormatsShareBytes(t *testing.T) {
	b := sealed(t, "c")[0]
	x, y := b.frame(lines('x'), TierFull, false), b.frame(lines('x'), TierFull, false)
	if &x[0] != &y[0] {
		t.Error("formats that are == got bytes of their own")
	}
	if z := b.frame(lines('z'), TierFull, false); &x[0] == &z[0] {
		t.Error("formats that differ share bytes")
	}
}

func TestConcurrentFirstUseEncodesOnce(t *testing.T) {
	var n atomic.Int64
	batches := sealed(t, "cnv", "nv", "v")
	shared := NewShared([]byte("{}"))
	var wg sync.WaitGroup
	frames := make([][]*byte, 8)
	begin := make(chan struct{})
	for i := range frames {
		wg.Go(func() {
			<-begin
			for _, b := range batches {
				for tier := range lanes {
					frames[i] = append(frames[i], unsafe.SliceData(b.frame(counting{&n}, tier, false)))
				}
			}
			frames[i] = append(frames[i], unsafe.SliceData(shared.frame(counting{&n})))
		})
	}
	close(begin)
	wg.Wait()
	for i, f := range frames {
		if fmt.Sprint(f) != fmt.Sprint(frames[0]) {
			t.Errorf("goroutine %d got other bytes than goroutine 0", i)
		}
	}
	if want := int64(3 + 2 + 1 + 1); n.Load() != want {
		t.Errorf("encoded %d times, want %d", n.Load(), want)
	}
}

func TestBatchChainPerTier(t *testing.T) {
	batches := sealed(t, "vv", "cn", "v", "n", "vcv", "v")
	for tier, want := range map[Tier][]string{
		TierFull:     {"0>2 v1 v2", "2>4 c3 n4", "4>5 v5", "5>6 n6", "6>9 v7 c8 v9", "9>10 v10"},
		TierReduced:  {"0>4 c3 n4", "4>6 n6", "6>9 c8"},
		TierCritical: {"0>4 c3", "4>9 c8"},
	} {
		stream := ""
		for i, b := range batches {
			frame := b.frame(shared, tier, false)
			if (frame != nil) != b.holds(tier) {
				t.Errorf("tier %d, batch %d: holds is %v, the frame %q", tier, i, b.holds(tier), frame)
			}
			stream += string(frame)
		}
		if got := brief(t, stream); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("tier %d got\n\t%q\nwant\n\t%q", tier, got, want)
		}
	}
}

func TestSharedIsEncodedPerFormat(t *testing.T) {
	s := NewShared([]byte(`{"op":"online"}`))
	if got := string(s.frame(lines('a'))) + string(s.frame(lines('b'))); got != "a{\"op\":\"online\"}\nb{\"op\":\"online\"}\n" {
		t.Errorf("got %q", got)
	}
	if x, y := s.frame(lines('a')), s.frame(lines('a')); &x[0] != &y[0] {
		t.Error("one format was encoded twice")
	}
}
