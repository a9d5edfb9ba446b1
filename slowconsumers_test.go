package im_test

import (
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// F1: slow consumers. The storm is run twice in the same process, without and
// with viewers that never read.
func TestF1SlowConsumers(t *testing.T) {
	eachPath(t, func(t *testing.T, p ioPath, full bool) {
		load := stormLoad{path: p, viewers: 60, every: 10 * time.Millisecond, length: 4 * time.Second}
		switch {
		case soak():
			load = stormLoad{path: p, viewers: 60, silent: 940, every: 5 * time.Millisecond, length: time.Minute}
		case !full:
			load.viewers, load.length = 40, 1500*time.Millisecond
		}
		judgeSlowConsumers(t, load)
	})
}

func judgeSlowConsumers(t *testing.T, load stormLoad) {
	// Machines are noisy: where a pair of runs misses the bar, the median of three decides.
	const mostBytes = 64 << 10
	var excess []time.Duration
	var perStuck []int
	for len(excess) == 0 || len(excess) < 3 && (excess[0] > 0 || perStuck[0] > mostBytes) {
		e, bytes := slowConsumers(t, load)
		excess, perStuck = append(excess, e), append(perStuck, bytes)
	}
	slices.Sort(excess)
	slices.Sort(perStuck)
	if e := excess[len(excess)/2]; e > 0 {
		t.Errorf("p99 of the others with stuck viewers is %v above the bar", e)
	}
	if b := perStuck[len(perStuck)/2]; b > mostBytes {
		t.Errorf("a stuck viewer costs %d bytes, want at most 64 KiB", b)
	}
}

// slowConsumers runs a storm without and with stuck viewers, and returns by how
// much the p99 of the others is above its bar, 1.5 times, or 5 ms more than,
// without, and what a stuck viewer costs.
func slowConsumers(t *testing.T, load stormLoad) (excess time.Duration, perStuck int) {
	const stuck = 10
	calm, without := storm(t, load)
	load.stuck = stuck
	slow, with := storm(t, load)
	perStuck = max(0, with-without) / stuck
	t.Logf("p99 of the others: %v without, %v with %d stuck viewers; %d bytes of memory per stuck viewer", calm, slow, stuck, perStuck)
	return slow - max(calm*3/2, calm+5*time.Millisecond), perStuck
}

// stormLoad is a storm of danmaku, with a notice for each hundred.
type stormLoad struct {
	path          ioPath
	viewers       int // that read and measure
	silent        int // that read only, since this process has to read for all of them
	stuck         int // that do not read
	every, length time.Duration
}

func (l stormLoad) events() int { return int(l.length / l.every) }

// storm returns the p99 of the delay to the viewers that read, and by how much
// memory has grown.
func storm(t *testing.T, load stormLoad) (p99 time.Duration, grown int) {
	t.Helper()
	hub, url := serve(t, imtest.BearerUser, &im.Options{IO: load.path.io, Limits: unlimited, Timeouts: im.Timeouts{Write: 5 * time.Minute, Heartbeat: 5 * time.Minute}}, nil, func(s *http.Server) {
		s.ConnState = func(c net.Conn, state http.ConnState) {
			if tc, ok := c.(*net.TCPConn); ok && state == http.StateNew {
				_ = tc.SetWriteBuffer(8 << 10) // so that stuck viewers get stuck soon
			}
		}
	})
	frozen := watch(t, url, "42", load.stuck)
	for _, w := range frozen.viewers {
		_ = w.conn.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	crowd := watch(t, url, "42", load.viewers)
	crowd.run()
	var silent sync.WaitGroup
	for _, w := range watch(t, url, "42", load.silent).viewers {
		silent.Go(func() { _, _ = io.Copy(io.Discard, w.conn) })
	}
	defer silent.Wait()
	room := hub.Room("42")
	before := heap()
	pad := strings.Repeat("x", 200)
	start, notices := time.Now(), 0
	for i := range load.events() {
		<-time.After(time.Until(start.Add(time.Duration(i) * load.every)))
		kind := im.Danmaku
		if i%100 == 50 {
			kind = im.Notice
			notices++
		}
		if _, err := room.Send(t.Context(), kind, stamped{time.Now().UnixNano(), pad}); err != nil {
			t.Fatal(err)
		}
	}
	if load.stuck > 0 && hub.Stats().FullSends == 0 {
		t.Error("no viewer got stuck: the test shows nothing")
	}
	if _, err := room.Send(t.Context(), im.Notice, "end"); err != nil {
		t.Fatal(err)
	}
	crowd.done.Wait()
	grown = heap() - before // what the others had not read yet is gone
	// The stuck ones read again: a gap or a reset, and every notice.
	frozen.run()
	frozen.done.Wait()
	for i, w := range frozen.viewers {
		if !w.finished || w.gaps+w.resets == 0 {
			t.Errorf("stuck viewer %d: finished %v, %d gaps, %d resets", i, w.finished, w.gaps, w.resets)
		}
		if w.kinds["notice"] != notices+1 {
			t.Errorf("stuck viewer %d has %d of %d notices", i, w.kinds["notice"], notices+1)
		}
		if total := w.kinds["danmaku"] + w.missed; total != load.events()-notices {
			t.Errorf("stuck viewer %d got %d danmaku and was told of %d missed, of %d", i, w.kinds["danmaku"], w.missed, load.events()-notices)
		}
	}
	p99 = crowd.percentile(99)
	load.path.used(t, hub, true)
	_ = hub.Close()
	return p99, grown
}

func heap() int {
	runtime.GC()
	runtime.GC() // what pools held through the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// A viewer that reads nothing is cut off within the write timeout.
func TestF1StuckViewerIsClosed(t *testing.T) {
	bubble(t, &im.Options{Limits: unlimited, Timeouts: im.Timeouts{Write: 5 * time.Second}}, func(t *testing.T, hub *imtest.Hub) {
		v := hub.ConnectSlow(user("stuck"), 512)
		v.Join("42", nil)
		for i := range 100 {
			if _, err := hub.Room("42").Send(t.Context(), im.Notice, i); err != nil {
				t.Fatal(err)
			}
		}
		pass(7 * time.Second)
		if n := hub.Room("42").Len(); n != 0 {
			t.Fatalf("%d viewers left after the write timeout", n)
		}
	})
}
