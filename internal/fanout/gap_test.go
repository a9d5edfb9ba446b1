package fanout

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

var adaptive = Gaps{20 * time.Millisecond, 250 * time.Millisecond}

const ms = time.Millisecond

func TestPace(t *testing.T) {
	type flush struct {
		at    time.Duration // since the test began
		took  time.Duration
		rooms int // others that are busy
		load  time.Duration
		want  time.Duration
	}
	for name, flushes := range map[string][]flush{
		"cheap ones keep the least gap": {{0, ms, 0, 0, 20 * ms}, {20 * ms, 4 * ms, 0, 0, 20 * ms}, {40 * ms, 4 * ms, 0, 0, 20 * ms}},
		"it rises at once":              {{0, 40 * ms, 0, 0, 30 * ms}, {100 * ms, 40 * ms, 0, 0, 45 * ms}, {250 * ms, 40 * ms, 0, 0, 52500 * time.Microsecond}},
		"and never above the most":      {{0, 10 * time.Second, 0, 0, 250 * ms}},
		"one slow flush counts half":    {{0, 40 * ms, 0, 0, 30 * ms}, {30 * ms, 0, 0, 0, 30 * ms}},
		"all pay for the load":          {{0, 4 * ms, 9, 18 * ms, 30 * ms}},
		"but small rooms less":          {{0, 4 * ms, 1, 99 * ms, 40 * ms}},
		"it falls by halves": {
			{0, 160 * ms, 0, 0, 120 * ms}, {999 * ms, 0, 0, 0, 120 * ms}, {1000 * ms, 0, 0, 0, 60 * ms},
			{1999 * ms, 0, 0, 0, 60 * ms}, {2001 * ms, 0, 0, 0, 30 * ms}, {3000 * ms, 0, 0, 0, 20 * ms}, {4 * time.Second, 0, 0, 0, 20 * ms},
		},
		"it stays while 70 % is wanted": {
			{0, 80 * ms, 0, 0, 60 * ms}, {time.Second, 16 * ms, 0, 0, 42 * ms}, {1900 * ms, 32 * ms, 0, 0, 45 * ms},
		},
		"a quiet minute counts": {{0, 160 * ms, 0, 0, 120 * ms}, {time.Minute, 0, 0, 0, 60 * ms}, {2 * time.Minute, 0, 0, 0, 30 * ms}},
	} {
		t.Run(name, func(t *testing.T) {
			var p pace
			began := time.Now()
			for i, f := range flushes {
				now := began.Add(f.at)
				p.flushed(f.took)
				p.adapt(now, adaptive, 1+f.rooms, f.load+p.cost)
				if got := p.at(now, adaptive); got != f.want {
					t.Errorf("flush %d, a gap of %v, want %v", i, got, f.want)
				}
			}
		})
	}
}

func TestPaceOfAQuietRoom(t *testing.T) {
	var p pace
	now := time.Now()
	p.flushed(time.Second)
	p.adapt(now, adaptive, 1, p.cost)
	for after, want := range map[time.Duration]time.Duration{
		0: 250 * ms, 999 * ms: 250 * ms, time.Second: 125 * ms, 2 * time.Second: 62500 * time.Microsecond, 4 * time.Second: 20 * ms, time.Hour: 20 * ms,
	} {
		if got := p.at(now.Add(after), adaptive); got != want {
			t.Errorf("after %v it is %v, want %v", after, got, want)
		}
	}
}

// Whatever happens, a gap is within its bounds, is as long as what is wanted,
// and does not fall by more than half a second at a time.
func TestPaceModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p pace
		now, last, wanted := time.Now(), adaptive.Min, time.Time{}
		for range rapid.IntRange(1, 200).Draw(t, "flushes") {
			now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "pause")) * ms)
			took := time.Duration(rapid.IntRange(0, 60_000).Draw(t, "took")) * time.Microsecond
			rooms := rapid.IntRange(1, 50).Draw(t, "rooms")
			p.flushed(took)
			load := p.cost * time.Duration(rooms)
			p.adapt(now, adaptive, rooms, load)
			gap := p.at(now, adaptive)
			want := min(max(gapPerLoads*load/2, adaptive.Min), adaptive.Max)
			switch {
			case gap < adaptive.Min || gap > adaptive.Max || gap < want:
				t.Fatalf("the gap is %v, wanted are %v", gap, want)
			case gap < last && now.Sub(wanted) < gapHold:
				t.Fatalf("fell from %v to %v, %v after it was wanted", last, gap, now.Sub(wanted))
			case gap < last && gap > want && gap < last>>(now.Sub(wanted)/gapHold):
				t.Fatalf("fell from %v to %v within %v", last, gap, now.Sub(wanted))
			}
			if want*100 >= last*gapKeep {
				wanted = now
			}
			last = gap
		}
	})
}

// What all rooms of a worker ask for is about three quarters of its time at most.
func TestPacesShareAWorker(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		costs := rapid.SliceOfN(rapid.IntRange(1000, 1e6), 1, 50).Draw(t, "costs in ns")
		var load time.Duration
		for _, c := range costs {
			load += time.Duration(c)
		}
		share := 0.0
		for _, c := range costs {
			p := pace{cost: time.Duration(c)}
			p.adapt(time.Now(), Gaps{1, time.Hour}, len(costs), load)
			share += float64(c) / float64(p.gap)
		}
		if share > 0.7667 {
			t.Fatalf("rooms that cost %v ns take %.3f of the time", costs, share)
		}
	})
}

// storm wakes all tickets every millisecond for so long.
func storm(d time.Duration, tickets ...*Ticket) {
	for end := time.Now().Add(d); time.Now().Before(end); <-time.After(ms) {
		for _, t := range tickets {
			t.Wake()
		}
	}
	synctest.Wait()
}

func TestEngineAdapts(t *testing.T) {
	for name, costs := range map[string][]time.Duration{
		"one room":                  {30 * ms},
		"equal rooms":               {6 * ms, 6 * ms, 6 * ms, 6 * ms},
		"a big one and small ones":  {40 * ms, ms, ms},
		"rooms that cost nothing":   {0, 0},
		"more than it is fit for":   {150 * ms, 150 * ms},
		"small ones that cost much": {ms, ms, ms, ms, ms, ms, ms, ms, ms, ms, ms, ms, ms, ms, ms, ms, ms, ms, ms, ms},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := NewEngine(1, adaptive, nil, func(p any) { t.Errorf("panic: %v", p) })
				defer e.Close()
				var load time.Duration
				var busy atomic.Int64
				var tickets []*Ticket
				for i, d := range costs {
					load += d
					k := newTask()
					k.during = func() {
						<-time.After(d)
						busy.Add(int64(d))
					}
					tickets = append(tickets, e.Register(fmt.Sprint(i), k))
				}
				storm(2*time.Second, tickets...)
				busy.Store(0)
				storm(10*time.Second, tickets...)
				share := time.Duration(busy.Load()).Seconds() / 10
				low, high := 0.4, 0.8
				switch {
				case load == 0:
					low, high = 0, 0
				case gapPerLoads*load/2 > adaptive.Max:
					low, high = 0.5, 1.05
				}
				if share < low || share > high {
					t.Errorf("flushing takes %.2f of the time, want %.2f to %.2f; the gaps are %v and %v", share, low, high, tickets[0].Gap(), tickets[len(tickets)-1].Gap())
				}
				if small := tickets[len(tickets)-1]; name == "a big one and small ones" && small.Gap() > 100*ms {
					t.Errorf("the small room waits %v", small.Gap())
				}
				<-time.After(10 * time.Second)
				for _, ticket := range tickets {
					if ticket.Gap() != adaptive.Min {
						t.Errorf("a gap of %v after a quiet moment", ticket.Gap())
					}
				}
				if w := e.workers[0]; w.busy != 0 || w.load != 0 {
					t.Errorf("%d rooms and %v are left over", w.busy, w.load)
				}
			})
		})
	}
}

// A room that is calm again is flushed at once, whatever its gap was.
func TestLeadingEdgeAfterAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewEngine(1, adaptive, nil, func(p any) { t.Errorf("panic: %v", p) })
		defer e.Close()
		k := newTask()
		cost := 200 * ms
		k.during = func() { <-time.After(cost) }
		ticket := e.Register("42", k)
		storm(2*time.Second, ticket)
		if ticket.Gap() != adaptive.Max {
			t.Errorf("in the storm the gap is %v", ticket.Gap())
		}
		<-time.After(2 * adaptive.Max)
		cost = 0
		k.at, k.began = nil, time.Now()
		ticket.Wake()
		synctest.Wait()
		ticket.Wake()
		<-time.After(time.Second)
		k.expect(t, 0, adaptive.Max)
	})
}

func TestFlushesAreCounted(t *testing.T) {
	inBubble(t, func(t *testing.T, e *Engine) {
		for i := range 5 {
			e.Register(fmt.Sprint(i), newTask()).Wake()
		}
		synctest.Wait()
		if n := e.Flushes(); n != 5 {
			t.Errorf("%d flushes, want 5", n)
		}
	})
}
