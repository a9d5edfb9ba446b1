package fanout

import (
	"testing"
	"testing/synctest"
	"time"
)

// stalled returns a session that has taken nothing for more than 2 s.
func stalled(t *testing.T, tier Tier) (*rig, *room, *Cursor) {
	r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
	c := r.enter(room, tier)
	r.conn.stall()
	room.push(time.Now(), "n")
	r.Flush()
	<-time.After(lagBehind + 1)
	return r, room, c
}

// push seals a batch and flushes.
func (r *rig) push(room *room, lanes string) {
	room.push(time.Now(), lanes)
	r.Flush()
}

func TestSessionThatLagsIsLowered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, room, c := stalled(t, TierFull)
		room.push(time.Now(), "vnv")
		r.Flush()
		r.read(unlimited)
		r.push(room, "vv")
		r.push(room, "c")
		r.push(room, "v")
		r.Recheck(time.Now())
		if n := r.stats.Lowered.Load(); n != 1 || r.stats.Missed.Load() != 0 || c.Tier() != TierFull {
			t.Errorf("%d sessions are lowered, %d events were missed, the tier is %d", n, r.stats.Missed.Load(), c.Tier())
		}
		r.expect(t, "joined", "tier reducedserver", "0>1 n1", "1>4 n3", "4>7 c7")
		<-time.After(holdLeast)
		r.Recheck(time.Now()) // the room is quiet
		r.push(room, "v")
		r.expect(t, "joined", "tier reducedserver", "0>1 n1", "1>4 n3", "4>7 c7", "gap 5 7>8", "tier full", "8>9 v9")
		if n := r.stats.Lowered.Load(); n != 0 || r.stats.Missed.Load() != 5 || c.Seq() != 9 || !r.lag.gaps[0].IsZero() {
			t.Errorf("%d sessions are lowered, %d events were missed, the cursor is at %d", n, r.stats.Missed.Load(), c.Seq())
		}
	})
}

func TestSessionThatGetsGapsIsLowered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
		r.enter(room, TierFull)
		for range lagGaps {
			<-time.After(3 * time.Second)
			room.push(time.Now().Add(-old), "v")
			r.Flush()
		}
		r.push(room, "vn")
		<-time.After(holdLeast)
		r.push(room, "v")
		r.expect(t, "joined", "gap 1 0>1", "gap 1 1>2", "gap 1 2>3", "tier reducedserver", "0>5 n5", "gap 1 5>5", "tier full", "5>6 v6")
	})
}

// Only what a session wants can be taken from it.
func TestSessionThatWantsLessIsNotLowered(t *testing.T) {
	for _, tier := range []Tier{TierReduced, TierCritical} {
		synctest.Test(t, func(t *testing.T) {
			r, room, c := stalled(t, tier)
			r.push(room, "vc")
			r.read(unlimited)
			r.push(room, "c")
			if r.stats.Lowered.Load() != 0 {
				t.Error("it was lowered")
			}
			if c.SetTier(TierFull); tier == TierReduced {
				r.push(room, "v")
				r.expect(t, "joined", "0>1 n1", "1>3 c3", "3>4 c4", "tier full", "4>5 v5")
			}
		})
	}
}

func TestTierChangesOnTheWay(t *testing.T) {
	r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
	c := r.enter(room, TierFull)
	r.push(room, "vv")
	c.SetTier(TierCritical)
	c.SetTier(TierCritical)
	r.push(room, "vcn")
	r.push(room, "nv")
	c.SetTier(TierReduced)
	r.push(room, "nv")
	r.push(room, "v")
	c.SetTier(TierFull)
	r.push(room, "v")
	c.SetTier(TierReduced)
	c.SetTier(TierFull) // nothing was flushed in between
	r.push(room, "v")
	r.expect(t, "joined", "0>2 v1 v2", "tier critical", "0>5 c4", "tier reduced 5>7", "7>9 n8", "tier full 9>10", "10>11 v11", "11>12 v12")
	if c.Seq() != 12 || r.stats.Missed.Load() != 0 {
		t.Errorf("the cursor is at %d, %d were missed", c.Seq(), r.stats.Missed.Load())
	}
}

// A client may choose while the server has lowered it.
func TestTierIsChosenWhileLowered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, room, c := stalled(t, TierFull)
		r.read(unlimited)
		r.push(room, "v")
		c.SetTier(TierCritical)
		r.push(room, "nv")
		c.SetTier(TierFull)
		r.push(room, "v")
		<-time.After(holdLeast)
		r.Recheck(time.Now())
		r.expect(t, "joined", "tier reducedserver", "0>1 n1", "gap 1 1>2", "tier critical", "tier reducedserver 2>4", "gap 1 4>5", "tier full")
	})
}

// Who enters a room anew, leaves or ends is told before that what it has missed.
func TestLoweredSessionIsToldAtTheEnd(t *testing.T) {
	for name, end := range map[string]func(r *rig, room *room, c *Cursor){
		"enters": func(r *rig, room *room, c *Cursor) {
			r.Enter([]byte(`{"op":"joined"}`), room.cursor(r.Outlet, TierReduced), c)
		},
		"leaves": func(r *rig, _ *room, c *Cursor) { r.Leave(c, []byte(`{"op":"left"}`)) },
		"ends":   func(r *rig, _ *room, _ *Cursor) { r.Finish([]byte(`{"op":"bye"}`), 1, "") },
	} {
		synctest.Test(t, func(t *testing.T) {
			r, room, c := stalled(t, TierFull)
			r.read(unlimited)
			r.push(room, "vv")
			r.push(room, "vn")
			r.push(room, "v") // is beyond the position, where it may join again
			end(r, room, c)
			want := []string{"joined", "tier reducedserver", "0>1 n1", "1>5 n5"}
			r.expect(t, append(want, map[string][]string{
				"enters": {"gap 3 5>5", "joined"},
				"leaves": {"gap 3 5>5", "left"},
				"ends":   {"gap 4 5>6", "bye", "!1"},
			}[name]...)...)
			r.Closed()
			if r.stats.Lowered.Load() != 0 {
				t.Error("a session that is gone counts as lowered")
			}
		})
	}
}

func TestCursorThatEntersALoweredSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := stalled(t, TierFull)
		other := newRoom("43", 7, roomy)
		r.enter(other, TierFull)
		r.enter(newRoom("44", 0, roomy), TierReduced)
		r.read(unlimited)
		r.push(other, "v")
		<-time.After(holdLeast)
		r.Recheck(time.Now())
		r.expect(t, "joined", "joined", "joined", "tier reducedserver", "0>1 n1", "tier reducedserver", "tier full", "gap 1 7>8", "tier full")
	})
}

// A gap has counted the events of a batch that the connection did not take any
// more; they are not counted again.
func TestGapIsNotCountedAgainWhileLowered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
		r.enter(room, TierFull)
		r.conn.window = 1 // of the gap
		room.push(time.Now().Add(-old), "vn")
		r.Flush()
		<-time.After(lagBehind + 1)
		r.FlushWith(new(Scratch), time.Now())
		r.read(unlimited)
		r.push(room, "v")
		<-time.After(holdLeast)
		r.Recheck(time.Now())
		r.expect(t, "joined", "gap 1 0>0", "tier reducedserver", "0>2 n2", "gap 1 2>3", "tier full")
	})
}

// Whoever sends next may have looked at the clock earlier.
func TestGapIsNotCountedAgainByAnEarlierClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
		r.enter(room, TierFull)
		now := time.Now()
		room.push(now, "vn")
		r.conn.window = 1
		r.FlushWith(new(Scratch), now.Add(old))
		r.conn.widen(unlimited)
		r.turn.unpark()
		r.run(new(Scratch), now)
		r.expect(t, "joined", "gap 1 0>0", "0>2 n2")
	})
}
