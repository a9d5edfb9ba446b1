package fanout

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// old is the age of a batch whose volatile events are no longer worth sending.
const old = 2 * time.Second

func TestCursorDeliversItsTier(t *testing.T) {
	for tier, want := range map[Tier][]string{
		TierFull:     {"joined", "7>9 v8 v9", "9>11 c10 n11", "11>12 v12"},
		TierReduced:  {"joined", "7>11 c10 n11"},
		TierCritical: {"joined", "7>11 c10"},
	} {
		r, room := newRig(t, unlimited, testLimits), newRoom("42", 7, roomy)
		c := r.enter(room, tier)
		now := time.Now()
		for _, lanes := range []string{"vv", "cn", "v"} {
			room.push(now, lanes)
			r.Flush()
		}
		r.expect(t, want...)
		if c.Tier() != tier || c.Outlet() != r.Outlet {
			t.Error("the cursor has forgotten its tier or outlet")
		}
		if want := map[Tier]uint64{TierFull: 12, TierReduced: 11, TierCritical: 11}[tier]; c.Seq() != want {
			t.Errorf("tier %d: the cursor is at %d, the session was told %d", tier, c.Seq(), want)
		}
	}
}

func TestOldVolatileEventsAreCounted(t *testing.T) {
	for name, tt := range map[string]struct {
		tier Tier
		old  string // batches that are old
		new  string // batches that are not
		want string
		told uint64
	}{
		"all of one batch":     {TierFull, "vvv", "", "gap 3 0>3", 3},
		"of two batches":       {TierFull, "vvv v", "", "gap 4 0>4", 4},
		"before a normal one":  {TierFull, "vv n", "", "gap 2 0>2|0>3 n3", 3},
		"in one batch with it": {TierFull, "cvn", "", "gap 1 0>0|0>3 c1 n3", 3},
		"between and after":    {TierFull, "v n v", "v", "gap 1 0>1|0>2 n2|gap 1 2>3|3>4 v4", 4},
		"young ones are sent":  {TierFull, "vv", "vv", "gap 2 0>2|2>4 v3 v4", 4},
		"critical never":       {TierFull, "c cc c", "", "0>1 c1|1>3 c2 c3|3>4 c4", 4},
		"normal never":         {TierFull, "n n", "n", "0>1 n1|1>2 n2|2>3 n3", 3},
		"who wants none":       {TierReduced, "v n v", "v", "0>2 n2", 2},
		"who wants critical":   {TierCritical, "vcn n v", "v c", "0>3 c2|3>7 c7", 7},
	} {
		t.Run(name, func(t *testing.T) {
			r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
			c := r.enter(room, tt.tier)
			now := time.Now()
			for _, lanes := range strings.Fields(tt.old) {
				room.push(now.Add(-old), lanes)
			}
			for _, lanes := range strings.Fields(tt.new) {
				room.push(now.Add(-time.Second), lanes)
			}
			r.FlushWith(new(Scratch), now)
			r.FlushWith(new(Scratch), now)
			r.expect(t, append([]string{"joined"}, strings.Split(tt.want, "|")...)...)
			if c.Seq() != tt.told {
				t.Errorf("the cursor is at %d, the session was told %d", c.Seq(), tt.told)
			}
			if got, want := r.stats.Gaps.Load(), strings.Count(tt.want, "gap"); got != uint64(want) {
				t.Errorf("counted %d gaps, want %d", got, want)
			}
		})
	}
}

// A gap that the connection has not taken is still owed, also where only
// volatile events are left of the batches before it.
func TestGapThatWasNotSentIsStillOwed(t *testing.T) {
	for name, tt := range map[string]struct{ batches, want string }{
		"before a normal event":    {"v v n", "gap 2 0>2|0>3 n3"},
		"at the head":              {"v v", "gap 2 0>2"},
		"behind one that was sent": {"n v v n", "0>1 n1|gap 2 1>3|1>4 n4"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for window := range 400 {
					r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
					r.enter(room, TierFull)
					r.conn.window = window
					for _, lanes := range strings.Fields(tt.batches) {
						room.push(time.Now().Add(-old), lanes)
					}
					r.Flush()
					r.read(unlimited)
					r.expect(t, append([]string{"joined"}, strings.Split(tt.want, "|")...)...)
					if r.stats.Missed.Load() != 2 {
						t.Fatalf("cut at byte %d: %d events were counted as missed, want 2", window, r.stats.Missed.Load())
					}
				}
			})
		})
	}
}

// What was young when it was cut off is old when the peer reads on.
func TestEventsAgeWhileTheConnectionIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
		r.enter(room, TierFull)
		r.conn.window = 5
		for _, lanes := range []string{"vv", "vnv", "v", "c"} {
			room.push(time.Now(), lanes)
		}
		r.Flush()
		<-time.After(old)
		room.push(time.Now(), "v")
		r.Flush()
		r.read(unlimited)
		r.expect(t, "joined", "0>2 v1 v2", "gap 2 2>2", "0>5 n4", "gap 1 5>6", "5>7 c7", "7>8 v8")
	})
}

// A gap was sent, and the batch behind it was not: that it is told again is as
// wrong as that it is not told where the batch becomes old meanwhile.
func TestGapThatWasSentAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		age  time.Duration // of the second batch
		want []string
	}{
		"the batch was old too":    {old, []string{"joined", "gap 3 0>1", "0>4 n4"}},
		"the batch was young":      {0, []string{"joined", "gap 1 0>1", "gap 2 1>1", "0>4 n4"}},
		"the batch was not so old": {time.Second, []string{"joined", "gap 1 0>1", "gap 2 1>1", "0>4 n4"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
				r.enter(room, TierFull)
				r.conn.window = 1 // of the gap
				room.push(time.Now().Add(-old), "v")
				room.push(time.Now().Add(-tt.age), "vvn")
				r.Flush()
				<-time.After(old)
				r.read(unlimited)
				r.expect(t, tt.want...)
			})
		})
	}
}

func TestGapNeverLeadsBack(t *testing.T) {
	r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
	now := time.Now()
	room.push(now, "n")
	room.pushTo(now, "", 9) // hidden events: a session enters at 9
	c := r.enter(room, TierFull)
	room.push(now.Add(-old), "vn")
	r.FlushWith(new(Scratch), now)
	r.expect(t, "joined", "gap 1 9>9", "1>11 n11")
	if c.Seq() != 11 {
		t.Errorf("the cursor is at %d", c.Seq())
	}
}

func TestLatestIsTheLastValue(t *testing.T) {
	r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
	room.online(1)
	r.enter(room, TierFull) // the message that lets it in has the count
	r.Flush()
	for n := 2; n < 5; n++ {
		room.online(n)
	}
	r.Flush()
	r.Flush()
	room.online(5)
	room.push(time.Now(), "c")
	r.Flush()
	r.expect(t, "joined", "online 4", "0>1 c1", "online 5")
}

func TestLatestWaitsForRoom(t *testing.T) {
	r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
	r.enter(room, TierFull)
	r.conn.window = 0
	for n := range 5 {
		room.online(n)
		r.Flush()
	}
	r.read(unlimited)
	r.expect(t, "joined", "online 4")
}

// The message that lets a session in is made together with the cursor; what
// is announced before it is sent is news.
func TestLatestOfTheTimeOfEntryIsTold(t *testing.T) {
	r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
	room.online(1)
	c := room.cursor(r.Outlet, TierFull)
	room.online(2)
	r.Enter([]byte(`{"op":"joined","online":1}`), c, nil)
	r.Flush()
	r.expect(t, "joined", "online 2")
}

func TestCursorBeginsBehindItsMessage(t *testing.T) {
	r, room := newRig(t, 0, testLimits), newRoom("42", 0, roomy)
	now := time.Now()
	room.push(now, "n")
	c := room.cursor(r.Outlet, TierFull)
	room.push(now, "n") // comes while the message is made
	r.Enter([]byte(`{"op":"joined"}`), c, nil)
	room.push(now, "n")
	r.Flush()
	if c.Seq() != 1 {
		t.Errorf("the cursor is at %d before anything was sent, want 1", c.Seq())
	}
	r.read(unlimited)
	r.expect(t, "joined", "1>2 n2", "2>3 n3")
}

func TestCursorFallsOut(t *testing.T) {
	r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, &FeedLimits{Batches: 2, Bytes: 1 << 20, BatchBytes: 1 << 10})
	c := r.enter(room, TierFull)
	now := time.Now()
	room.push(now, "c")
	r.Flush()
	for range 3 {
		room.push(now, "c")
	}
	r.Flush()
	r.Flush()
	if len(r.gone) != 1 || r.gone[0] != c || c.Seq() != 1 || r.stats.Lost.Load() != 1 {
		t.Errorf("lost %d cursors (counted %d), at %d; want this one, at 1", len(r.gone), r.stats.Lost.Load(), c.Seq())
	}
	again := room.cursor(r.Outlet, TierFull)
	r.Enter([]byte(`{"op":"reset"}`), again, c)
	room.push(now, "c")
	r.Flush()
	r.expect(t, "joined", "0>1 c1", "reset", "4>5 c5")
}

func TestRestartLosesEveryCursor(t *testing.T) {
	r, room := newRig(t, unlimited, testLimits), newRoom("42", 5, roomy)
	c := r.enter(room, TierFull)
	room.feed.Restart(1)
	room.push(time.Now(), "c")
	r.Flush()
	r.expect(t, "joined")
	if len(r.gone) != 1 || r.gone[0] != c || c.Seq() != 5 {
		t.Errorf("lost %d cursors, at %d; want one, at 5", len(r.gone), c.Seq())
	}
}

// A peer that reads so slowly that it falls out again before the reset is sent
// must not gather resets: each is as large as the state of the room.
func TestResetsDoNotPileUp(t *testing.T) {
	r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, &FeedLimits{Batches: 2, Bytes: 1 << 20, BatchBytes: 1 << 10})
	c := r.enter(room, TierFull)
	r.conn.window = 0
	reset := []byte(`{"op":"reset","room":"` + strings.Repeat("x", 500) + `"}`)
	for range 20 {
		for range 3 {
			room.push(time.Now(), "c")
		}
		r.Flush()
		r.read(100)
		if len(r.gone) > 0 {
			next := room.cursor(r.Outlet, TierFull)
			r.Enter(reset, next, c)
			c, r.gone = next, r.gone[:0]
		}
		if n := r.Queued(); n > 2*len(reset) {
			t.Fatalf("%d bytes of resets wait for one slow peer", n)
		}
	}
	r.read(unlimited)
	if len(r.gone) != 1 {
		t.Fatalf("lost %d cursors, want the last one", len(r.gone))
	}
	next := room.cursor(r.Outlet, TierFull)
	r.Enter(reset, next, c)
	room.push(time.Now(), "c")
	r.Flush()
	got := brief(t, r.conn.got())
	if last := got[len(got)-2:]; last[0] != "reset" || last[1] != "60>61 c61" {
		t.Errorf("the stream ends with %q", last)
	}
}
