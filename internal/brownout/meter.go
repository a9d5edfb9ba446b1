package brownout

import (
	"math"
	"runtime/metrics"
)

// What counts as the limit, pressure 1.
const (
	// fullLive is the share of the memory limit that is really in use: what the
	// last collection found alive, and what is no heap. The process itself is near
	// the limit long before, since the collector lets garbage grow up to it; and
	// the nearer the live part is, the more often it has to run. At 4 parts of 5 a
	// collection frees a fifth of the limit.
	fullLive = 0.8
	// fullGC is the share of the processors that collecting takes when the
	// process is near its limit. At 50 % the runtime gives the limit up.
	fullGC = 0.25
	// lostLimit is from where on the runtime has failed to keep to the limit.
	lostLimit = 1.02
	// nearLimit is from where on the collector's work is the limit's doing.
	nearLimit = 0.75
	// fullWait is how long, in seconds, the slowest hundredth of goroutines that
	// could run waited for a processor.
	fullWait = 0.05
	// fewWaits is under how many a percentile says little. The runtime counts one
	// wait in eight, and busy goroutines wait at most a hundred times a second.
	fewWaits = 10
)

// Reading is the pressure of each resource; 1 is its limit.
type Reading struct {
	Memory    float64 // of the process against GOMEMLIMIT; 0 without one
	Collector float64 // of garbage collection near that limit
	Processor float64 // goroutines that wait for a processor
}

// Pressure is that of the resource which is pressed most.
func (r Reading) Pressure() float64 { return max(r.Memory, r.Collector, r.Processor) }

// Meter measures the process. Processor and collector are over the time since the
// last reading. It is not safe for concurrent use. Make one with [NewMeter].
type Meter struct {
	samples   [len(sources)]metrics.Sample
	waits     []uint64 // counts of the histogram at the last reading
	gc, total float64  // processor seconds at the last reading
	collector float64  // its share at the last reading that knew one
}

const (
	limitBytes = iota
	totalBytes
	releasedBytes
	objectBytes
	unusedBytes
	freeBytes
	liveBytes
	gcSeconds
	idleGCSeconds
	totalSeconds
	schedLatencies
)

var sources = [...]string{
	limitBytes:     "/gc/gomemlimit:bytes",
	totalBytes:     "/memory/classes/total:bytes",
	releasedBytes:  "/memory/classes/heap/released:bytes",
	objectBytes:    "/memory/classes/heap/objects:bytes",
	unusedBytes:    "/memory/classes/heap/unused:bytes",
	freeBytes:      "/memory/classes/heap/free:bytes",
	liveBytes:      "/gc/heap/live:bytes",
	gcSeconds:      "/cpu/classes/gc/total:cpu-seconds",
	idleGCSeconds:  "/cpu/classes/gc/mark/idle:cpu-seconds", // takes nothing from anybody
	totalSeconds:   "/cpu/classes/total:cpu-seconds",
	schedLatencies: "/sched/latencies:seconds",
}

// NewMeter returns a meter whose first reading is over the time from now on.
func NewMeter() *Meter {
	m := &Meter{}
	for i, name := range sources {
		m.samples[i].Name = name
	}
	m.Read()
	return m
}

// Read measures.
func (m *Meter) Read() Reading {
	metrics.Read(m.samples[:])
	used := memory{
		limit: m.uint(limitBytes), held: m.uint(totalBytes) - m.uint(releasedBytes),
		heap: m.uint(objectBytes) + m.uint(unusedBytes) + m.uint(freeBytes), live: m.uint(liveBytes),
	}
	return Reading{
		Memory:    used.pressure(),
		Collector: m.collecting(used),
		Processor: m.waiting(),
	}
}

// uint returns a sample; one that this version of Go does not have is 0.
func (m *Meter) uint(i int) float64 {
	if v := m.samples[i].Value; v.Kind() == metrics.KindUint64 {
		return float64(v.Uint64())
	}
	return 0
}

func (m *Meter) float(i int) float64 {
	if v := m.samples[i].Value; v.Kind() == metrics.KindFloat64 {
		return v.Float64()
	}
	return 0
}

// memory is what a process uses, in bytes.
type memory struct {
	limit float64 // what the runtime keeps to
	held  float64 // what the system has given it and not got back
	heap  float64 // the part of it that is heap, garbage and free space included
	live  float64 // the part of the heap that the last collection found alive
}

func (u memory) limited() bool { return u.limit > 0 && u.limit < math.MaxInt64 }

// pressure leads what the process holds: see fullLive.
func (u memory) pressure() float64 {
	if !u.limited() {
		return 0
	}
	floor := u.live + u.held - u.heap
	pressure := floor / u.limit / fullLive
	if over := u.held/u.limit - lostLimit; over > 0 {
		pressure = max(pressure, 1+10*over)
	}
	return pressure
}

// collecting is the share that collecting takes, if that is because memory is
// short. The runtime counts it up at the end of a collection: between two, what
// is known stands.
func (m *Meter) collecting(u memory) float64 {
	gc, total := m.float(gcSeconds)-m.float(idleGCSeconds), m.float(totalSeconds)
	if total > m.total {
		m.collector = (gc - m.gc) / (total - m.total)
		m.gc, m.total = gc, total
	}
	if !u.limited() || u.held < nearLimit*u.limit {
		return 0
	}
	return m.collector / fullGC
}

// waiting is the 99th percentile of the time that goroutines waited for a processor.
func (m *Meter) waiting() float64 {
	v := m.samples[schedLatencies].Value
	if v.Kind() != metrics.KindFloat64Histogram {
		return 0
	}
	h := v.Float64Histogram()
	if len(m.waits) != len(h.Counts) {
		m.waits = make([]uint64, len(h.Counts))
	}
	var n uint64
	for i, c := range h.Counts {
		n += c - m.waits[i]
	}
	wait := 0.0
	if n >= fewWaits {
		beyond := n / 100 // the slowest hundredth
		for i := len(h.Counts) - 1; i >= 0; i-- {
			if d := h.Counts[i] - m.waits[i]; d > beyond {
				wait = h.Buckets[i] // the lower end: rather too little than too much
				break
			} else {
				beyond -= d
			}
		}
	}
	copy(m.waits, h.Counts)
	return max(wait, 0) / fullWait // the first bucket begins at -Inf
}
