package im_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest/logtest"
)

// Ruling 2: no (epoch, seq) ever names two events, whatever becomes of rooms.
func TestRuling2PositionsAreUniqueForEver(t *testing.T) {
	c := newTestClock()
	l := openMemoryLog(t, &im.MemoryLogOptions{Now: c.Now})
	rng := rand.New(rand.NewPCG(1, 2))
	named := map[string]string{}
	for i := range 20_000 {
		room := fmt.Sprint("room ", rng.IntN(30))
		switch rng.IntN(200) {
		case 0:
			c.trimAfter(t, l, time.Hour) // forgets every room
		case 1:
			c.trimAfter(t, l, -20*time.Hour)
		case 2:
			l.Reset(room)
		}
		id := fmt.Sprint(i)
		at := mustAppend(t, l, room, logtest.Events(im.Normal, id)...)[0].Pos
		if other, ok := named[room+at.String()]; ok {
			t.Fatalf("%s of %s names events %s and %s", at, room, other, id)
		}
		named[room+at.String()] = id
	}
}

// Ruling 4: retention is per class; 10 min or 5,000 events, volatile 200.
func TestRuling4DefaultRetention(t *testing.T) {
	c := newTestClock()
	l := openMemoryLog(t, &im.MemoryLogOptions{Now: c.Now})
	for i := range 6000 {
		class := []im.Class{im.Critical, im.Normal, im.Merged}[i%3]
		mustAppend(t, l, "42", logtest.Events(class, fmt.Sprint("d", i))...)
		mustAppend(t, l, "42", logtest.Events(im.Volatile, fmt.Sprint("v", i))...)
	}
	if d, v := keptOf(t, l, "42"); d != 5000 || v != 200 {
		t.Errorf("%d durable and %d volatile events are kept, want 5000 and 200", d, v)
	}
	c.trimAfter(t, l, 10*time.Minute)
	if d, v := keptOf(t, l, "42"); d != 5000 || v != 200 {
		t.Errorf("%d and %d are kept at exactly 10 minutes, want 5000 and 200", d, v)
	}
	c.trimAfter(t, l, time.Millisecond)
	if d, v := keptOf(t, l, "42"); d != 0 || v != 0 {
		t.Errorf("%d and %d are kept after 10 minutes, want none", d, v)
	}
}

// Ruling 4: recovered means that no durable event is missing; volatile ones
// that are gone are counted exactly.
func TestRuling4MissedIsExact(t *testing.T) {
	l := openMemoryLog(t, &im.MemoryLogOptions{KeepVolatile: 10})
	var at []im.Position
	var class []im.Class
	for i := range 300 {
		k := im.Volatile
		if i%7 == 0 {
			k = im.Normal
		}
		at = append(at, mustAppend(t, l, "42", logtest.Events(k, fmt.Sprint(i))...)[0].Pos)
		class = append(class, k)
	}
	for i := range at {
		for _, limit := range []int{1, 5, 1000} {
			p, err := l.Read(t.Context(), "42", im.Range{After: at[i], Max: limit})
			if err != nil {
				t.Fatal(err)
			}
			end := at[len(at)-1]
			if p.More {
				end = p.Events[len(p.Events)-1].Pos
			}
			want := 0
			for k := i + 1; k < len(at) && at[k].Seq <= end.Seq; k++ {
				there := slices.ContainsFunc(p.Events, func(e *im.Event) bool { return e.Pos == at[k] })
				if class[k] == im.Volatile && !there {
					want++
				}
			}
			if p.Missed != want {
				t.Fatalf("after event %d, Max %d: Missed is %d, want %d", i, limit, p.Missed, want)
			}
		}
	}
}

// The dedup window: 5 minutes and 10,000 events, or longer if they are kept.
func TestRuling5DedupWindow(t *testing.T) {
	c := newTestClock()
	l := openMemoryLog(t, &im.MemoryLogOptions{KeepEvents: 10, DedupEvents: 100, KeepVolatile: 10, Now: c.Now})
	status := func(class im.Class, id string) im.AppendStatus {
		return mustAppend(t, l, "42", logtest.Events(class, id)...)[0].Status
	}
	for i := range 100 {
		status(im.Normal, fmt.Sprint("n", i))
		status(im.Volatile, fmt.Sprint("v", i))
	}
	if got := status(im.Normal, "n0"); got != im.Duplicate {
		t.Errorf("the oldest of 100 normal events is %s, want duplicate: 100 IDs are remembered though 10 events are kept", got)
	}
	if got := status(im.Volatile, "v90"); got != im.Duplicate {
		t.Errorf("a volatile event that is kept is %s, want duplicate", got)
	}
	if got := status(im.Volatile, "v89"); got != im.Stored {
		t.Errorf("a volatile event that was dropped is %s, want stored", got)
	}
	status(im.Normal, "n100")
	if got := status(im.Normal, "n0"); got != im.Stored {
		t.Errorf("an event older than the window of 100 is %s, want stored", got)
	}
	c.advance(5*time.Minute + time.Millisecond)
	if got := status(im.Normal, "n50"); got != im.Stored {
		t.Errorf("an event that was dropped and is older than 5 minutes is %s, want stored", got)
	}
	if got := status(im.Normal, "n99"); got != im.Duplicate {
		t.Errorf("an event that is kept is %s after 5 minutes, want duplicate", got)
	}
}

// F9: duplicate sends. 100,000 sends, 20 % of them retries and 1 % with another
// payload: effects are the distinct IDs, and a retry gets the first answer.
func TestF9DuplicateSends(t *testing.T) {
	l := openMemoryLog(t, nil)
	rng := rand.New(rand.NewPCG(9, 9))
	effects := 0
	stop, err := l.Follow(t.Context(), "42", im.Position{}, func(events []*im.Event, _ error) { effects += len(events) })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	var first []im.Position
	retries, conflicts := 0, 0
	for range 100_000 {
		n, body, want := len(first), "1", im.Stored
		if k := rng.IntN(100); n > 0 && k < 20 {
			n, want = n-1-rng.IntN(min(n, 9000)), im.Duplicate // within the window
			retries++
			if k == 0 {
				body, want = "2", im.Conflict
				conflicts++
			}
		}
		a := mustAppend(t, l, "42", logtest.Event(im.Gift, im.Critical, fmt.Sprint("gift-", n), body))[0]
		if a.Status != want || want != im.Stored && a.Pos != first[n] {
			t.Fatalf("send %d is %s at %s, want %s", n, a.Status, a.Pos, want)
		}
		if want == im.Stored {
			first = append(first, a.Pos)
		}
	}
	if effects != len(first) {
		t.Errorf("%d effects of %d distinct ids", effects, len(first))
	}
	t.Logf("%d ids, %d retries of which %d with another payload", len(first), retries, conflicts)
}

// F10: the wall clock jumps an hour or ten years, either way. Order stays, and
// nothing is dropped earlier or kept longer than its age by that clock says.
func TestF10ClockJumps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, jump := range []time.Duration{time.Hour, 10 * year, -time.Hour, -10 * year} {
		t.Run(jump.String(), func(t *testing.T) {
			c := newTestClock()
			l := openMemoryLog(t, &im.MemoryLogOptions{Now: c.Now})
			var delivered []string
			stop, err := l.Follow(t.Context(), "42", im.Position{}, func(events []*im.Event, err error) {
				if err != nil {
					t.Errorf("following ended: %v", err)
				}
				for _, e := range events {
					delivered = append(delivered, e.ID)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			before := mustAppend(t, l, "42", logtest.Events(im.Normal, "a", "b")...)
			c.trimAfter(t, l, jump)
			d, _ := keptOf(t, l, "42")
			if want := map[bool]int{true: 0, false: 2}[jump > 0]; d != want {
				t.Errorf("%d events are kept after the jump, want %d", d, want)
			}
			after := mustAppend(t, l, "42", logtest.Events(im.Normal, "c")...)
			if after[0].Pos.Epoch != before[1].Pos.Epoch || after[0].Pos.Seq <= before[1].Pos.Seq {
				t.Errorf("the position after the jump is %s, before it was %s", after[0].Pos, before[1].Pos)
			}
			c.trimAfter(t, l, -jump) // and back
			if d, _ := keptOf(t, l, "42"); jump > 0 && d != 1 {
				t.Errorf("%d events are kept after the jump back, want c alone", d)
			}
			c.trimAfter(t, l, 9*time.Minute)
			mustAppend(t, l, "42", logtest.Events(im.Normal, "d")...)
			c.trimAfter(t, l, 2*time.Minute)
			if d, _ := keptOf(t, l, "42"); d != 1 {
				t.Errorf("%d events are kept 11 minutes later, want d alone: ages go on after a jump", d)
			}
			if !slices.Equal(delivered, []string{"a", "b", "c", "d"}) {
				t.Errorf("delivered %q", delivered)
			}
		})
	}
}
