//go:build linux

package storage

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The scenarios.
const (
	Appends = "storage-appends"
	Latency = "storage-latency"
	Opening = "storage-open"
	History = "storage-history"
	Stall   = "storage-stall"
)

// Config says what is done, and how long.
type Config struct {
	Dir    string // below which stores get their directories
	Rounds int
	Peers  []Peer
	// Done is told of each result. An error of it ends all.
	Done func(Result) error
	// Crash appends to a store in another process, and kills it. See CrashIn.
	Crash func(peer, dir string, events int) error
	// Stall runs a room in another process, whose disk stalls for a part of the time. See StallIn.
	Stall func(peer, dir string, lasts, stalls time.Duration) (StallResult, error)

	Warm, For   time.Duration // of appends and latency
	Writers     []int         // that append at once; a measurement each
	Fsyncs      int           // by which one fsync is measured
	OpenBytes   int64         // of the log that is opened
	OpenTail    int           // events that a process appends to it before it is killed the first time
	Events      int           // of the room whose history is read
	Pages       int           // that are read of it
	StallAround time.Duration // before and after the stall
	StallFor    time.Duration
}

// Long fills in what a measurement that counts has; Short is to see whether it works.
func (c *Config) Long() {
	c.Warm, c.For, c.Fsyncs, c.Writers = 300*time.Millisecond, time.Second, 3000, writerCounts
	c.OpenBytes, c.OpenTail, c.Events, c.Pages = 1<<30, 150_000, 1_000_000, 3000
	c.StallAround, c.StallFor = 2*time.Second, 5*time.Second
}

// Short fills in times of a few seconds altogether.
func (c *Config) Short() {
	c.Warm, c.For, c.Fsyncs = 20*time.Millisecond, 100*time.Millisecond, 50
	c.OpenBytes, c.OpenTail, c.Events, c.Pages = 4<<20, 5_000, 20_000, 200
	c.StallAround, c.StallFor = 300*time.Millisecond, 500*time.Millisecond
}

const rate = 5000 // events a second, for the latency

// writerCounts are the columns of the appends.
var writerCounts = []int{1, 8, 64, 512}

func writersColumn(n int) string {
	if n == 1 {
		return "1 writer"
	}
	return strconv.Itoa(n) + " writers"
}

// Scenarios returns all, as the configuration has them.
func (c *Config) Scenarios() []Scenario {
	var writers []string
	for _, n := range writerCounts {
		writers = append(writers, writersColumn(n))
	}
	return []Scenario{
		{Name: Appends, Columns: writers, Chart: writersColumn(512), Title: "Durable events a second, 512 writers",
			About: "Events a second that are acknowledged when they are on the disk, one in each call, by so many writers at once. The last two rows are one goroutine that writes the bytes of 1, 8, 64, 512 events at a time."},
		{Name: Latency, Columns: []string{"p50, ms", "p99, ms", "p99.9, ms", "fdatasync p50, ms", "fdatasync p99, ms", "p99 in fdatasyncs (p50)", "p99 in fdatasyncs (p99)"}, Chart: "p99, ms", Title: "Acknowledged latency at 5,000 events a second, p99 in ms",
			About: fmt.Sprintf("%d events a second, whatever becomes of those before; from the moment at which an event was due until it was acknowledged. One fdatasync is that after the write of one event, by itself, measured %d times immediately before.", rate, c.Fsyncs)},
		{Name: Opening, Columns: []string{"MiB", "events", "clean stop, s", "killed, s"}, Chart: "killed, s", Title: "Opening a large log after its process was killed, s",
			About: fmt.Sprintf("Opening a log of %d MiB with %d rooms until the first event was read. Nothing is dropped from the page cache.", c.OpenBytes>>20, openRooms)},
		{Name: History, Columns: []string{"p50, ms", "p99, ms", "MiB"}, Chart: "p99, ms", Title: "A page of 100 from a room with much history, p99 in ms",
			About: fmt.Sprintf("Pages of %d events at random places of a room with %d events, upwards and downwards, decoded, by one reader. Nothing is dropped from the page cache.", pageSize, c.Events)},
		{Name: Stall, Columns: []string{"p50, ms", "p99, ms", "most, ms", "p99 without the stall, ms", "longest gift, ms", "missing"},
			About: fmt.Sprintf("A room with %d viewers gets %d danmaku a second, and no fsync of the process returns for %v. From sending to arrival at every viewer, in the time of the stall, and before and after it.", stallViewers, stallRate, c.StallFor)},
	}
}

// Run runs a scenario in rounds: every store has its turn before any has its second one, so that what changes on the machine
// hits them all. What fails says so in its result, and ends nothing.
func (c *Config) Run(scenario string) error {
	switch scenario {
	case Appends:
		return c.appends()
	case Latency:
		return c.latency()
	case Opening:
		return c.opening()
	case History:
		return c.history()
	}
	return c.stall()
}

// report has the result told.
func (c *Config) report(scenario string, p Peer, round int, values map[string]float64, err error) error {
	r := Result{Scenario: scenario, Peer: p.Name, Round: round, Values: values}
	if scenario == Opening || scenario == History {
		r.Peer, _, _ = strings.Cut(p.Name, ",") // how many rooms there are is the scenario's
	}
	if err != nil {
		r.Values, r.Error = nil, err.Error()
	}
	return c.Done(r)
}

func (c *Config) appends() error {
	for round := range c.Rounds {
		for _, writers := range c.Writers {
			for _, p := range c.Peers {
				var values map[string]float64
				err := inDirectory(c.Dir, func(dir string) (err error) {
					values, err = measureAppends(p, dir, writers, c.Warm, c.For)
					return err
				})
				if err := c.report(Appends, p, round, values, err); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (c *Config) latency() error {
	for round := range c.Rounds {
		for _, p := range c.Peers {
			if p.Blocks {
				continue
			}
			var values map[string]float64
			err := inDirectory(c.Dir, func(dir string) (err error) {
				values, err = c.latencyOf(p, dir)
				return err
			})
			if err := c.report(Latency, p, round, values, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Config) latencyOf(p Peer, dir string) (map[string]float64, error) {
	var one, rare time.Duration
	err := inDirectory(c.Dir, func(dir string) (err error) {
		one, rare, err = measureFsync(dir, c.Fsyncs)
		return err
	})
	if err != nil {
		return nil, err
	}
	h, err := measureLatency(p, dir, rate, c.Warm, 3*c.For)
	if err != nil {
		return nil, err
	}
	p99 := h.Quantile(0.99)
	return map[string]float64{
		"p50, ms": millis(h.Quantile(0.5)), "p99, ms": millis(p99), "p99.9, ms": millis(h.Quantile(0.999)),
		"fdatasync p50, ms": millis(one), "fdatasync p99, ms": millis(rare),
		"p99 in fdatasyncs (p50)": float64(p99) / float64(one), "p99 in fdatasyncs (p99)": float64(p99) / float64(rare),
	}, nil
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// readers are the stores that can be asked, without those whose settings make no difference there.
func (c *Config) readers() []Peer {
	return slices.DeleteFunc(slices.Clone(c.Peers), func(p Peer) bool { return p.Raw || p.Variant })
}

func (c *Config) opening() error {
	for _, p := range c.readers() {
		err := inDirectory(c.Dir, func(dir string) error { return c.openingOf(p, dir) })
		if err != nil {
			if err := c.report(Opening, p, 0, nil, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Config) openingOf(p Peer, dir string) error {
	b, err := fillBig(p, dir, c.OpenBytes, c.Crash)
	if err != nil {
		return err
	}
	for round := range c.Rounds {
		clean, err := b.open()
		if err != nil {
			return err
		}
		more := c.OpenTail // the end that was not sealed is as long as it gets
		if round > 0 {
			more = fillBatch
		}
		killed, err := b.openKilled(more)
		if err != nil {
			return err
		}
		values := map[string]float64{"clean stop, s": clean.Seconds(), "killed, s": killed.Seconds(), "MiB": float64(b.bytes >> 20), "events": float64(b.events)}
		if err := c.report(Opening, p, round, values, nil); err != nil {
			return err
		}
	}
	return b.verify()
}

func (c *Config) history() error {
	var all []*historyRoom
	var peers []Peer
	defer func() {
		for _, h := range all {
			_ = h.store.Close()
		}
	}()
	return inDirectory(c.Dir, func(dir string) error {
		for i, p := range c.readers() {
			h, err := openHistoryBelow(p, dir, i, c.Events)
			if err != nil {
				if err := c.report(History, p, 0, nil, err); err != nil {
					return err
				}
				continue
			}
			all, peers = append(all, h), append(peers, p)
		}
		for round := range c.Rounds {
			for i, h := range all {
				waited, err := h.measure(c.Pages, uint64(round))
				var values map[string]float64
				if err == nil {
					size, _ := sizeOf(h.dir)
					values = map[string]float64{"p50, ms": millis(waited.Quantile(0.5)), "p99, ms": millis(waited.Quantile(0.99)), "MiB": float64(size >> 20)}
				}
				if err := c.report(History, peers[i], round, values, err); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (c *Config) stall() error {
	for round := range c.Rounds {
		for _, p := range stallPeers() {
			var values map[string]float64
			err := inDirectory(c.Dir, func(dir string) error {
				r, err := c.Stall(p.Name, dir, c.StallAround, c.StallFor)
				values = r.values()
				return err
			})
			if err := c.report(Stall, p, round, values, err); err != nil {
				return err
			}
		}
	}
	return nil
}
