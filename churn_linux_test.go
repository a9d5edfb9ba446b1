package im_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// F18: clients come and go, 200 a second over three transports. Here it takes
// some seconds, on all paths at once, and nothing may be left afterwards. In make soak each path is
// churned for IM_CHURN, 20m by default, and what is left is measured once a minute.
func TestF18Churn(t *testing.T) {
	if !soak() {
		var hubs []ioPath
		for _, p := range wantedPaths(t) {
			if _, ok := p.available(t); ok {
				hubs = append(hubs, p)
			}
		}
		churnBriefly(t, hubs)
		return
	}
	length := 20 * time.Minute
	if s := os.Getenv("IM_CHURN"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d < 4*time.Minute {
			t.Fatalf("IM_CHURN is %q: want a duration of at least 4m", s)
		}
		length = d
	}
	eachPath(t, func(t *testing.T, p ioPath, _ bool) { churnForLong(t, p, length) })
}

const churnRate = 200 // clients a second

// churnBriefly compares what is left after some seconds with what was there.
func churnBriefly(t *testing.T, hubs []ioPath) {
	c := newChurn(t, hubs)
	start := c.rest(t)
	c.run(t, 2*time.Second, 2) // without polls, for which one has to wait
	warm := c.rest(t)
	c.run(t, 6*time.Second, 3)
	end := c.rest(t)
	t.Logf("%d visits: %v at first, %v after a few, %v at the end", c.visits, start, warm, end)
	if end.goroutines > start.goroutines {
		t.Errorf("%d goroutines are left, there were %d\n%s", end.goroutines, start.goroutines, stacks())
	}
	if end.descriptors > start.descriptors {
		t.Errorf("%d descriptors are left open, there were %d: %v", end.descriptors, start.descriptors, descriptors(t))
	}
	if most := warm.heap + 1<<20; end.heap > most { // a tenth of a page for each visit
		t.Errorf("%d bytes of heap at the end, want at most %d", end.heap, most)
	}
	c.end(t)
}

// churnForLong fits a line through what is left after each minute.
func churnForLong(t *testing.T, p ioPath, length time.Duration) {
	c := newChurn(t, []ioPath{p})
	c.run(t, time.Minute, 3) // pools, maps and stacks grow to what they need
	c.rest(t)
	var all []remains
	for start := time.Now(); time.Since(start) < length; {
		c.run(t, 48*time.Second, 3)
		all = append(all, c.rest(t))
		t.Logf("%v: %d visits, %v", time.Since(start).Round(time.Second), c.visits, all[len(all)-1])
	}
	span := all[len(all)-1].at.Sub(all[0].at)
	for _, q := range []struct {
		name  string
		of    func(remains) int
		noise float64 // one step of so much in the whole time is no slope
	}{
		{"goroutines", func(r remains) int { return r.goroutines }, 1},
		{"descriptors", func(r remains) int { return r.descriptors }, 1},
		{"bytes of heap", func(r remains) int { return r.heap }, 256 << 10},
	} {
		slope, mean := fit(all, q.of)
		// A step in the middle has a slope of one and a half times itself over the time.
		floor := 1.5 * q.noise / span.Hours()
		t.Logf("%s: %.1f on average, %+.2f an hour; the bar is 1 %% and the noise of %.2f", q.name, mean, slope, floor)
		if slope > mean/100+floor {
			t.Errorf("%s rise by %.2f an hour, want at most 1 %% of %.1f, and %.2f of noise", q.name, slope, mean, floor)
		}
	}
	c.end(t)
}

// fit returns the slope an hour of the least-squares line, and the mean.
func fit(all []remains, of func(remains) int) (slope, mean float64) {
	n := float64(len(all))
	var x, y, xx, xy float64
	for _, r := range all {
		dx, dy := r.at.Sub(all[0].at).Hours(), float64(of(r))
		x, y, xx, xy = x+dx, y+dy, xx+dx*dx, xy+dx*dy
	}
	if d := n*xx - x*x; d > 0 {
		slope = (n*xy - x*y) / d
	}
	return slope, y / n
}

// churn is hubs that guests come to, each with a room where something happens all
// the time and some who stay.
type churn struct {
	hubs   []*churnHub
	visits int
	quiet  chan struct{} // closed when nothing is to happen any more
	busy   sync.WaitGroup
}

type churnHub struct {
	path  ioPath
	hub   *im.Hub
	addr  string
	crowd *swarm
}

const staying = 8 // in each room

func newChurn(t *testing.T, paths []ioPath) *churn {
	t.Helper()
	c := &churn{quiet: make(chan struct{})}
	for _, p := range paths {
		log, err := im.NewMemoryLog(&im.MemoryLogOptions{KeepEvents: 100, DedupEvents: 200, KeepAge: time.Minute, DedupAge: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		hub, url := serve(t, imtest.BearerUser, &im.Options{IO: p.io, Log: log, Limits: unlimited}, nil, nil)
		h := &churnHub{path: p, hub: hub, crowd: watch(t, url, "42", staying)}
		h.addr = strings.TrimSuffix(strings.TrimPrefix(url, "ws://"), "/im/ws")
		h.crowd.run()
		c.hubs = append(c.hubs, h)
		c.busy.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-c.quiet:
					return
				case <-time.After(25 * time.Millisecond):
					_, _ = hub.Room("42").Send(t.Context(), im.Notice, n)
				}
			}
		})
	}
	return c
}

// run has guests come for a while, over the first kinds of transports.
func (c *churn) run(t *testing.T, length time.Duration, kinds int) {
	t.Helper()
	const most = 200 // at a time: a machine that is slow has fewer a second
	lanes := make(chan struct{}, most)
	var guests sync.WaitGroup
	var failed atomic.Int64
	start, first := time.Now(), c.visits
	for time.Since(start) < length {
		pass(time.Until(start.Add(time.Duration(c.visits-first) * time.Second / churnRate)))
		lanes <- struct{}{}
		n := c.visits
		c.visits++
		guests.Go(func() {
			defer func() { <-lanes }()
			h := c.hubs[n/kinds%len(c.hubs)]
			g := guest{name: fmt.Sprint("guest-", n), addr: h.addr, leaving: n / kinds / len(c.hubs) % 4}
			if err := g.visit(n % kinds); err != nil && failed.Add(1) < 5 {
				t.Errorf("guest %d, over %s on %s, leaving %d: %v", n, transports[n%kinds], h.path.name, g.leaving, err)
			}
		})
	}
	guests.Wait()
	wanted := int(length.Seconds() * churnRate)
	if came := c.visits - first; came < wanted/4 {
		t.Errorf("only %d of %d guests came: the test shows little", came, wanted)
	}
}

// end holds that the paths were used, and ends what newChurn began.
func (c *churn) end(t *testing.T) {
	t.Helper()
	close(c.quiet)
	c.busy.Wait()
	for _, h := range c.hubs {
		h.path.used(t, h.hub, true)
		_ = h.hub.Close()
		h.crowd.done.Wait()
	}
}

// remains are what a process has while nobody comes.
type remains struct {
	at                            time.Time
	goroutines, descriptors, heap int
}

func (r remains) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d KiB of heap", r.goroutines, r.descriptors, r.heap>>10)
}

// rest waits until the guests are gone, polls included, which are given ten
// seconds to come again, and measures.
func (c *churn) rest(t *testing.T) remains {
	t.Helper()
	for _, h := range c.hubs {
		eventually(t, 20*time.Second, func() string {
			if n := h.hub.Stats().Sessions; n > staying {
				return fmt.Sprintf("%d sessions are left on %s, want %d", n, h.path.name, staying)
			}
			return ""
		})
	}
	var r remains
	for still := 0; still < 10; still++ { // goroutines end a little later than what they did
		pass(20 * time.Millisecond)
		if n := goroutines(); n != r.goroutines {
			r.goroutines, still = n, 0
		}
		if time.Since(r.at) > 5*time.Second && !r.at.IsZero() {
			break
		}
		if r.at.IsZero() {
			r.at = time.Now()
		}
	}
	runtime.GC()
	runtime.GC() // what pools held through the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r.at, r.heap, r.descriptors = time.Now(), int(m.HeapAlloc), len(descriptors(t))
	return r
}

// goroutines counts them, but for those that the poller keeps for the next task,
// and what the kernel is asked in passing.
func goroutines() int {
	all := []byte(stacks())
	return bytes.Count(all, []byte("\n\ngoroutine ")) + 1 - bytes.Count(all, []byte("created by github.com/liveim/im/internal/netpoll.(*crew).run"))
}

func stacks() string {
	buf := make([]byte, 1<<20)
	for {
		if n := runtime.Stack(buf, true); n < len(buf) {
			return string(buf[:n])
		}
		buf = make([]byte, 2*len(buf))
	}
}

// descriptors are what each open one leads to.
func descriptors(t *testing.T) (list []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil { // not that of ReadDir
			list = append(list, to)
		}
	}
	return list
}
