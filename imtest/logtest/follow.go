package logtest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/liveim/im"
)

var followCases = []testCase{
	{"FromTheStart", testFollowFromStart},
	{"FromTheMiddle", testFollowFromMiddle},
	{"FromTheHead", testFollowFromHead},
	{"SeveralFollowers", testSeveralFollowers},
	{"OtherRooms", testFollowOtherRooms},
	{"RetriesAreNotDelivered", testFollowRetries},
	{"ConcurrentAppends", testFollowConcurrentAppends},
	{"JoinsWhileOthersAppend", testFollowSeam},
}

var stopCases = []testCase{
	{"NoDeliveryAfterStop", testStop},
	{"TwiceAndConcurrently", testStopTwice},
	{"WhileOthersAppend", testStopWhileAppending},
}

// end appends a last event and returns it.
func (f *fixture) end() *im.Event {
	f.Helper()
	last := Event(im.System, im.Critical, "last", `"end"`)
	f.store(f.room, last)
	return last
}

const onceInOrder = "Follow delivers every event after the position, in order, each once"

func testFollowFromStart(f *fixture) {
	const n = im.DefaultPage + 50
	events, _ := f.fill(n)
	tail := f.follow(f.room, im.Position{})
	f.wantEvents(tail.until(events[n-1].ID), events, "Follow starts with the events that are stored already")
	more := Events(im.Critical, names("more", 10)...)
	f.store(f.room, more...)
	want := slices.Concat(events, more)
	f.wantEvents(tail.until("more-00009"), want, onceInOrder)
	last := f.end()
	got := tail.until("last")
	f.wantEvents(got, append(want, last), onceInOrder)
	for i, e := range f.all(f.room) {
		if e.Pos != got[i].Pos {
			f.Fatalf("event %q was delivered at %s, but is read at %s", e.ID, got[i].Pos, e.Pos)
		}
	}
}

func testFollowFromMiddle(f *fixture) {
	events, at := f.fill(40)
	for _, i := range []int{0, 1, 17, 38} {
		tail := f.follow(f.room, at[i])
		f.wantEvents(tail.until(events[39].ID), events[i+1:], fmt.Sprintf("Follow after event %d starts with the next one", i))
	}
	tail := f.follow(f.room, im.Position{Epoch: at[0].Epoch})
	f.wantEvents(tail.until(events[39].ID), events, "Follow after seq 0 starts with the first event")
}

func testFollowFromHead(f *fixture) {
	_, at := f.fill(20)
	tail := f.follow(f.room, at[19])
	last := f.end()
	f.wantEvents(tail.until("last"), []*im.Event{last}, "Follow after the head delivers what is stored later and nothing else")
}

func testSeveralFollowers(f *fixture) {
	events, at := f.fill(10)
	tails := []*tail{f.follow(f.room, im.Position{}), f.follow(f.room, at[4]), f.follow(f.room, at[9])}
	from := []int{0, 5, 10}
	events = append(events, f.end())
	for i, tail := range tails {
		f.wantEvents(tail.until("last"), events[from[i]:], "followers of one room are independent of each other")
	}
}

func testFollowOtherRooms(f *fixture) {
	tail := f.follow(f.room, f.head(f.room))
	var want []*im.Event
	for i := range 5 {
		for _, other := range []string{"roo", "room2", "room.", "ROOM", " room"} {
			f.store(other, Events(im.Normal, fmt.Sprint(other, i))...)
		}
		e := Events(im.Normal, fmt.Sprint("mine-", i))
		f.store(f.room, e...)
		want = append(want, e...)
	}
	want = append(want, f.end())
	f.wantEvents(tail.until("last"), want, "a follower gets the events of its room and no others")
}

func testFollowRetries(f *fixture) {
	tail := f.follow(f.room, f.head(f.room))
	events := Events(im.Critical, names("e", 5)...)
	f.store(f.room, events...)
	f.append(f.room, events...)
	f.append(f.room, events[2], events[2], Event(im.Gift, im.Critical, events[1].ID, `"other"`))
	events = append(events, f.end())
	f.wantEvents(tail.until("last"), events, "duplicates and conflicts are not stored, and so not delivered")
}

// appendConcurrently has every goroutine append n events and returns when all
// are stored. Of four calls one is volatile, as long as the log must keep them.
func (f *fixture) appendConcurrently(n int) {
	f.concurrently(func(g int) {
		for i := range n {
			class := im.Normal
			if i%4 == 3 && g*n/4+i/4 < 90 {
				class = im.Volatile
			}
			ids := names(fmt.Sprintf("g%d-%d", g, i), 1+i%3)
			if _, err := f.tryAppend(f.room, Events(class, ids[:1]...)...); err != nil {
				f.Errorf("Append: %v", err)
				return
			}
			if len(ids) > 1 {
				if _, err := f.tryAppend(f.room, Events(im.Critical, ids[1:]...)...); err != nil {
					f.Errorf("Append: %v", err)
					return
				}
			}
		}
	})
}

func testFollowConcurrentAppends(f *fixture) {
	tails := []*tail{f.follow(f.room, im.Position{}), f.follow(f.room, f.head(f.room))}
	f.appendConcurrently(40)
	f.end()
	want := f.all(f.room)
	for _, tail := range tails {
		got := tail.until("last")
		f.wantEvents(got, want, onceInOrder+", which is the order of Read, whoever appends")
		for i, e := range got {
			if e.Pos != want[i].Pos {
				f.Fatalf("event %q was delivered at %s, but is read at %s", e.ID, e.Pos, want[i].Pos)
			}
		}
	}
}

// testFollowSeam has followers come while events are stored: none may be lost
// or doubled where what was stored meets what is new.
func testFollowSeam(f *fixture) {
	var (
		wg    sync.WaitGroup
		tails = make([][]*tail, 3)
		from  = make([][]im.Position, 3)
	)
	appended := make(chan struct{})
	for i := range tails {
		wg.Go(func() {
			after := im.Position{}
			for {
				select {
				case <-appended:
					return
				default:
				}
				if len(tails[i]) < 20 {
					tails[i] = append(tails[i], f.follow(f.room, after))
					from[i] = append(from[i], after)
				}
				after = f.head(f.room)
			}
		})
	}
	f.appendConcurrently(40)
	close(appended)
	wg.Wait()
	f.end()
	want := f.all(f.room)
	for i := range tails {
		for k, tail := range tails[i] {
			start := slices.IndexFunc(want, func(e *im.Event) bool { return e.Pos.Seq > from[i][k].Seq })
			f.wantEvents(tail.until("last"), want[start:], fmt.Sprintf("%s, when following begins after %s while others append", onceInOrder, from[i][k]))
		}
	}
}

func testStop(f *fixture) {
	stopped, witness := f.follow(f.room, im.Position{}), f.follow(f.room, im.Position{})
	f.store(f.room, Events(im.Normal, "before")...)
	stopped.until("before")
	stopped.stop()
	n := stopped.count()
	f.store(f.room, Events(im.Normal, names("after", 20)...)...)
	f.end()
	witness.until("last")
	if now := stopped.count(); now != n {
		f.Fatalf("%d events were delivered after stop returned", now-n)
	}
}

func testStopTwice(f *fixture) {
	tail := f.follow(f.room, im.Position{})
	f.concurrently(func(int) {
		tail.stop()
		tail.stop()
	})
	witness := f.follow(f.room, im.Position{})
	f.end()
	witness.until("last")
	if n := tail.count(); n != 0 {
		f.Fatalf("%d events were delivered after stop returned", n)
	}
	tail.stop()
}

func testStopWhileAppending(f *fixture) {
	tails := make([]*tail, 2*f.h.Concurrency)
	for i := range tails {
		tails[i] = f.follow(f.room, im.Position{})
	}
	counts := make([]int, len(tails))
	var wg sync.WaitGroup
	for i, tail := range tails {
		wg.Go(func() {
			tail.await("some events", func() bool { return len(tail.events) >= 2*i })
			tail.stop()
			counts[i] = tail.count()
		})
	}
	witness := f.follow(f.room, im.Position{})
	f.appendConcurrently(20)
	f.end()
	witness.until("last")
	wg.Wait()
	want := f.all(f.room)
	for i, tail := range tails {
		if n := tail.count(); n != counts[i] {
			f.Fatalf("%d events were delivered after stop returned", n-counts[i])
		}
		tail.mu.Lock()
		f.wantEvents(tail.events, want[:counts[i]], "up to stop a follower gets every event in order")
		tail.mu.Unlock()
	}
}
