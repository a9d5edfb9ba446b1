package fanout

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const gap = 20 * time.Millisecond

// task is a room that notes when it is flushed, in time since the test began.
type task struct {
	began   time.Time
	during  func() // runs within Flush
	cursors []*Cursor

	mu sync.Mutex // guards at
	at []time.Duration
}

func (k *task) Flush(now time.Time, dst []*Cursor) ([]*Cursor, View) {
	k.mu.Lock()
	k.at = append(k.at, now.Sub(k.began))
	k.mu.Unlock()
	if k.during != nil {
		k.during()
	}
	return append(dst, k.cursors...), View{}
}

func (k *task) expect(t *testing.T, want ...time.Duration) {
	t.Helper()
	synctest.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.Equal(k.at, want) {
		t.Errorf("flushed at %v, want %v", k.at, want)
	}
}

// inBubble runs a test with an engine of one worker on virtual time.
func inBubble(t *testing.T, test func(t *testing.T, e *Engine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := NewEngine(1, Gaps{gap, gap}, nil, func(p any) { t.Errorf("panic: %v", p) })
		defer e.Close()
		test(t, e)
	})
}

func newTask() *task { return &task{began: time.Now()} }

func TestLeadingEdge(t *testing.T) {
	inBubble(t, func(t *testing.T, e *Engine) {
		k := newTask()
		ticket := e.Register("42", k)
		<-time.After(5 * time.Millisecond)
		k.expect(t)
		ticket.Wake()
		k.expect(t, 5*time.Millisecond)
		<-time.After(gap) // a quiet moment
		k.expect(t, 5*time.Millisecond)
		ticket.Wake()
		k.expect(t, 5*time.Millisecond, 25*time.Millisecond)
	})
}

func TestAtMostOncePerGap(t *testing.T) {
	inBubble(t, func(t *testing.T, e *Engine) {
		k := newTask()
		ticket := e.Register("42", k)
		for range 70 {
			ticket.Wake()
			synctest.Wait()
			<-time.After(time.Millisecond)
		}
		<-time.After(time.Second)
		k.expect(t, 0, gap, 2*gap, 3*gap, 4*gap) // the last is for what came after 3 gaps
	})
}

func TestWakeDuringAFlush(t *testing.T) {
	inBubble(t, func(t *testing.T, e *Engine) {
		k := newTask()
		ticket := e.Register("42", k)
		k.during = func() {
			if k.during = nil; true {
				ticket.WakeAfter(time.Minute)
				ticket.Wake()
				ticket.WakeAfter(time.Second)
			}
		}
		ticket.Wake()
		<-time.After(time.Hour)
		k.expect(t, 0, gap)
	})
}

func TestWakeDuringALongFlush(t *testing.T) {
	inBubble(t, func(t *testing.T, e *Engine) {
		k := newTask()
		ticket := e.Register("42", k)
		k.during = func() {
			k.during = nil
			<-time.After(5 * gap)
		}
		ticket.Wake()
		synctest.Wait()
		ticket.Wake()
		<-time.After(time.Hour)
		k.expect(t, 0, 5*gap)
	})
}

func TestWakeAfter(t *testing.T) {
	for name, tt := range map[string]struct {
		wakes []time.Duration // each is a WakeAfter at the beginning
		want  []time.Duration
	}{
		"later":            {[]time.Duration{time.Second}, []time.Duration{time.Second}},
		"the earliest":     {[]time.Duration{3 * time.Second, time.Second, 2 * time.Second}, []time.Duration{time.Second}},
		"an earlier flush": {[]time.Duration{time.Second, 0}, []time.Duration{0}},
		"negative":         {[]time.Duration{-time.Second}, []time.Duration{0}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, e *Engine) {
				k := newTask()
				ticket := e.Register("42", k)
				for _, d := range tt.wakes {
					ticket.WakeAfter(d)
				}
				<-time.After(time.Hour)
				k.expect(t, tt.want...)
			})
		})
	}
}

func TestWakeAfterKeepsTheGap(t *testing.T) {
	inBubble(t, func(t *testing.T, e *Engine) {
		k := newTask()
		ticket := e.Register("42", k)
		ticket.Wake()
		synctest.Wait()
		ticket.WakeAfter(gap / 2)
		<-time.After(time.Hour)
		k.expect(t, 0, gap)
	})
}

func TestManyRoomsEachAtItsTime(t *testing.T) {
	inBubble(t, func(t *testing.T, e *Engine) {
		var tasks []*task
		for i := range 100 {
			k := newTask()
			tasks = append(tasks, k)
			e.Register(fmt.Sprint(i), k).WakeAfter(time.Duration(i*37%100) * time.Millisecond)
		}
		<-time.After(time.Hour)
		for i, k := range tasks {
			k.expect(t, time.Duration(i*37%100)*time.Millisecond)
		}
	})
}

func TestManyRoomsPerWakeUp(t *testing.T) {
	inBubble(t, func(t *testing.T, e *Engine) {
		first, begin := newTask(), make(chan struct{})
		first.during = func() { <-begin }
		e.Register("first", first).Wake()
		synctest.Wait()
		var order []int
		for i := range 50 { // gather while the worker is busy
			k := newTask()
			k.during = func() { order = append(order, i) }
			e.Register(fmt.Sprint(i), k).Wake()
		}
		if n := len(e.workers[0].wake); n != 1 {
			t.Errorf("50 rooms left %d tokens for the worker", n)
		}
		close(begin)
		synctest.Wait()
		if len(order) != 50 || !slices.IsSorted(order) {
			t.Errorf("flushed in the order %v", order)
		}
	})
}

// The gap runs from the flush of a room, however long others before it took.
func TestGapBehindASlowRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, e *Engine) {
		gate, slow, k := newTask(), newTask(), newTask()
		begin := make(chan struct{})
		gate.during = func() { <-begin }
		slow.during = func() { <-time.After(15 * time.Millisecond) }
		e.Register("gate", gate).Wake()
		synctest.Wait()
		e.Register("slow", slow).Wake()
		ticket := e.Register("42", k)
		ticket.Wake()
		close(begin)
		synctest.Wait()
		<-time.After(5 * time.Millisecond)
		ticket.Wake() // is not flushed yet: the one to come counts
		<-time.After(12 * time.Millisecond)
		ticket.Wake()
		<-time.After(time.Hour)
		k.expect(t, 15*time.Millisecond, 35*time.Millisecond)
	})
}

func TestRoomsOfOneNameShareAWorker(t *testing.T) {
	e := NewEngine(8, Gaps{gap, gap}, nil, nil)
	defer e.Close()
	used := map[*worker]bool{}
	for i := range 200 {
		a, b := e.Register(fmt.Sprint(i), nil), e.Register(fmt.Sprint(i), nil)
		if a.worker != b.worker {
			t.Fatal("one name, two workers")
		}
		used[a.worker] = true
	}
	if len(used) != 8 {
		t.Errorf("200 rooms use %d of 8 workers", len(used))
	}
}

func TestEngineDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewEngine(0, Gaps{gap, gap}, nil, nil)
		defer e.Close()
		room := newRoom("42", 0, roomy)
		k := newTask()
		var rigs []*rig
		for range 3 {
			r := newRig(t, unlimited, testLimits)
			k.cursors = append(k.cursors, r.enter(room, TierFull))
			rigs = append(rigs, r)
		}
		ticket := e.Register("42", k)
		for range 3 {
			room.push(time.Now(), "v")
			ticket.Wake()
			synctest.Wait()
		}
		<-time.After(gap)
		synctest.Wait()
		for _, r := range rigs {
			r.expect(t, "joined", "0>1 v1", "1>2 v2", "2>3 v3")
			if r.conn.sends != 3 {
				t.Errorf("%d sends, want 3: the entry, the leading edge, the rest", r.conn.sends)
			}
		}
	})
}

func TestPanicOfATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []any
		e := NewEngine(1, Gaps{gap, gap}, nil, func(p any) { told = append(told, p) })
		defer e.Close()
		bad, good := newTask(), newTask()
		bad.during = func() { panic("no room") }
		badTicket, goodTicket := e.Register("bad", bad), e.Register("good", good)
		badTicket.Wake()
		goodTicket.Wake()
		<-time.After(gap)
		badTicket.Wake()
		goodTicket.Wake()
		bad.expect(t, 0, gap)
		good.expect(t, 0, gap)
		if fmt.Sprint(told) != "[no room no room]" {
			t.Errorf("told of %v", told)
		}
	})
}

// A connection that panics costs its own session, not the flush of the others.
func TestPanicOfAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []any
		e := NewEngine(1, Gaps{gap, gap}, nil, func(p any) { t.Errorf("the flush itself panicked: %v", p) })
		defer e.Close()
		room, k := newRoom("42", 0, roomy), newTask()
		var rigs []*rig
		for range 3 {
			limits := *testLimits
			limits.Panicked = func(p any) { told = append(told, p) }
			r := newRig(t, unlimited, &limits)
			k.cursors = append(k.cursors, r.enter(room, TierFull))
			rigs = append(rigs, r)
		}
		rigs[1].conn.during = func() { panic("no connection") }
		ticket := e.Register("42", k)
		for range 2 {
			room.push(time.Now(), "c")
			ticket.Wake()
			<-time.After(gap)
			synctest.Wait()
		}
		rigs[0].expect(t, "joined", "0>1 c1", "1>2 c2")
		rigs[1].expect(t, "joined")
		rigs[2].expect(t, "joined", "0>1 c1", "1>2 c2")
		if fmt.Sprint(told) != "[no connection]" || rigs[1].conn.aborted != 1 {
			t.Errorf("told of %v, the connection was aborted %d times", told, rigs[1].conn.aborted)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewEngine(4, Gaps{gap, gap}, nil, nil)
		var tasks []*task
		var tickets []*Ticket
		for i := range 20 {
			tasks = append(tasks, newTask())
			tickets = append(tickets, e.Register(fmt.Sprint(i), tasks[i]))
			tickets[i].Wake()
		}
		synctest.Wait()
		for i := range tickets {
			tickets[i].Wake() // in a gap
		}
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(e.Close)
		}
		wg.Wait()
		e.Close()
		for i := range tickets {
			tickets[i].Wake()
			tickets[i].WakeAfter(time.Second)
		}
		<-time.After(time.Hour)
		for _, k := range tasks {
			k.expect(t, 0)
		}
	})
}

func TestCloseWaitsForAFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewEngine(1, Gaps{gap, gap}, nil, nil)
		k, release := newTask(), make(chan struct{})
		k.during = func() { <-release }
		e.Register("42", k).Wake()
		synctest.Wait()
		closed := make(chan struct{})
		go func() {
			e.Close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Fatal("Close did not wait for a flush in work")
		default:
		}
		close(release)
		<-closed
	})
}

// counter is a room where something happens, and which is to see all of it.
type counter struct {
	happened, seen atomic.Int64
	last           int64
	done           chan struct{}
	inside         atomic.Bool
}

func (c *counter) Flush(_ time.Time, dst []*Cursor) ([]*Cursor, View) {
	if !c.inside.CompareAndSwap(false, true) {
		panic("two flushes of one room at a time")
	}
	defer c.inside.Store(false)
	if n := c.happened.Load(); n > c.seen.Swap(n) && n == c.last {
		close(c.done)
	}
	return dst, View{}
}

func TestEngineLosesNoWakeUp(t *testing.T) {
	const rooms, wakers, each = 5, 4, 1000
	for _, gap := range []time.Duration{0, time.Microsecond, 300 * time.Microsecond} {
		t.Run(gap.String(), func(t *testing.T) {
			e := NewEngine(2, Gaps{gap, gap}, nil, func(p any) { t.Errorf("panic: %v", p) })
			defer e.Close()
			var wg sync.WaitGroup
			var counters []*counter
			for i := range rooms {
				c := &counter{last: wakers * each, done: make(chan struct{})}
				counters = append(counters, c)
				ticket := e.Register(fmt.Sprint(i), c)
				for w := range wakers {
					wg.Go(func() {
						for n := range each {
							c.happened.Add(1)
							if n%7 == w {
								ticket.WakeAfter(time.Duration(n%3) * 100 * time.Microsecond)
							} else {
								ticket.Wake()
							}
						}
						ticket.Wake()
					})
				}
			}
			wg.Wait()
			for i, c := range counters {
				select {
				case <-c.done:
				case <-time.After(10 * time.Second):
					t.Fatalf("room %d has seen %d of %d", i, c.seen.Load(), c.happened.Load())
				}
			}
		})
	}
}
