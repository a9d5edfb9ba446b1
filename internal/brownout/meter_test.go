package brownout

import (
	"math"
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestMemoryPressure(t *testing.T) {
	const mb = 1 << 20
	for _, tt := range []struct {
		name     string
		used     memory
		min, max float64
	}{
		{"no limit", memory{limit: math.MaxInt64, held: 900 * mb, heap: 800 * mb, live: 700 * mb}, 0, 0},
		{"a version of Go that does not tell", memory{held: 900 * mb, heap: 800 * mb, live: 700 * mb}, 0, 0},
		{"full of garbage, which is no pressure", memory{limit: 256 * mb, held: 250 * mb, heap: 230 * mb, live: 60 * mb}, 0.3, 0.5},
		{"half alive", memory{limit: 256 * mb, held: 250 * mb, heap: 230 * mb, live: 108 * mb}, 0.6, 0.65},
		{"four parts of five", memory{limit: 256 * mb, held: 250 * mb, heap: 230 * mb, live: 185 * mb}, 1, 1.01},
		{"stacks count", memory{limit: 256 * mb, held: 250 * mb, heap: 50 * mb, live: 10 * mb}, 1, 1.1},
		{"above the limit", memory{limit: 256 * mb, held: 290 * mb, heap: 100 * mb, live: 20 * mb}, 2, 3},
	} {
		if got := tt.used.pressure(); got < tt.min || got > tt.max {
			t.Errorf("%s: %v, want %v to %v", tt.name, got, tt.min, tt.max)
		}
	}
}

// The metrics that the meter reads exist and mean what it takes them for.
func TestMeterReadsTheProcess(t *testing.T) {
	runtime.GC() // which bytes are alive is known after a collection
	m := NewMeter()
	for i, s := range m.samples {
		if s.Value.Kind() == 0 {
			t.Errorf("Go does not know %s", sources[i])
		}
	}
	if live := m.uint(liveBytes); live <= 0 || live > m.uint(totalBytes) {
		t.Errorf("%v bytes of %v are alive", live, m.uint(totalBytes))
	}
	if m.uint(limitBytes) == math.MaxInt64 {
		if r := m.Read(); r.Memory != 0 || r.Collector != 0 {
			t.Errorf("without a limit: %+v", r)
		}
	}
}

// Many more busy goroutines than processors have to wait for one.
func TestMeterSeesGoroutinesThatWait(t *testing.T) {
	m := NewMeter()
	var busy sync.WaitGroup
	stop := make(chan struct{})
	for range 50 * runtime.GOMAXPROCS(0) {
		busy.Go(func() {
			for x := 0; ; x++ {
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	time.AfterFunc(time.Second, func() { close(stop) })
	busy.Wait()
	if r := m.Read(); r.Processor < 1 {
		t.Errorf("50 busy goroutines for each processor: %+v", r)
	}
	if r := m.Read(); r.Processor != 0 {
		t.Errorf("nothing has happened since: %+v", r)
	}
}

func BenchmarkMeter(b *testing.B) {
	m := NewMeter()
	b.ReportAllocs()
	for b.Loop() {
		m.Read()
	}
}
