package fanout

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Who lags does without values that a later one has superseded; its position moves over them.
func TestOldValuesThatAreSupersededAreLeftOut(t *testing.T) {
	for name, tt := range map[string]struct {
		tier Tier
		old  string // batches that are old
		new  string // batches that are not
		want string
	}{
		"overwrites of one key":       {TierFull, "A A A A", "", "0>1|1>2|2>3|3>4 A4"},
		"by a young batch":            {TierFull, "A", "A A", "0>1|1>2 A2|2>3 A3"},
		"young ones are sent":         {TierFull, "", "A A", "0>1 A1|1>2 A2"},
		"two keys, in one batch too":  {TierFull, "AB AAB", "B", "0>2|2>5 A4|5>6 B6"},
		"what is not a value is sent": {TierFull, "cAn cAn", "", "0>3 c1 n3|3>6 c4 A5 n6"},
		"of every tier":               {TierCritical, "An A", "", "0>2|2>3 A3"},
		"with volatile ones":          {TierFull, "Avv Av", "A", "gap 2 0>0|0>3|gap 1 3>3|3>5|5>6 A6"},
	} {
		t.Run(name, func(t *testing.T) {
			r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
			r.enter(room, tt.tier)
			now := time.Now()
			for _, lanes := range strings.Fields(tt.old) {
				room.push(now.Add(-old), lanes)
			}
			for _, lanes := range strings.Fields(tt.new) {
				room.push(now, lanes)
			}
			r.FlushWith(new(Scratch), now)
			r.FlushWith(new(Scratch), now)
			r.expect(t, append([]string{"joined"}, strings.Split(tt.want, "|")...)...)
		})
	}
}

// Whatever a session reads when, it ends with the last value of each key, or falls out of the feed.
func TestTheLastValueOfEachKeyArrives(t *testing.T) {
	limits := &FeedLimits{Batches: 12, Bytes: 4 << 10, BatchBytes: 300}
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubbled{t}, func(rt *rapid.T) {
			r, room := newRig(t, 40, testLimits), newRoom("42", 0, limits)
			c := r.enter(room, rapid.SampledFrom([]Tier{TierFull, TierReduced, TierCritical}).Draw(rt, "tier"))
			last := map[string]uint64{}
			for range rapid.IntRange(1, 40).Draw(rt, "steps") {
				switch rapid.IntRange(0, 3).Draw(rt, "step") {
				case 0:
					r.read(rapid.IntRange(1, 400).Draw(rt, "bytes"))
				case 1:
					<-time.After(time.Duration(rapid.IntRange(1, 900).Draw(rt, "ms")) * time.Millisecond)
				default:
					lanes := rapid.StringMatching("[ABCcnv]{1,4}").Draw(rt, "events")
					from := room.feed.Seq()
					room.push(time.Now(), lanes)
					for i, l := range lanes {
						if l >= 'A' && l <= 'Z' {
							last[string(l)] = from + 1 + uint64(i)
						}
					}
					r.Flush()
				}
			}
			r.read(unlimited)
			if c.lost {
				return
			}
			got := map[string]uint64{}
			for _, m := range decode(t, r.conn.got()) {
				for _, e := range m.Events {
					if e.Seq <= got[e.Kind] {
						rt.Fatalf("%s%d comes after %d", e.Kind, e.Seq, got[e.Kind])
					}
					got[e.Kind] = e.Seq
				}
			}
			for key, seq := range last {
				if got[key] != seq {
					rt.Fatalf("the last value of %s is %d, the session has %d", key, seq, got[key])
				}
			}
			if n := len(room.feed.newest); n > 3 {
				rt.Fatalf("the feed remembers %d keys", n)
			}
		})
	})
}

// What a feed remembers of keys goes with the batches.
func TestFeedForgetsKeys(t *testing.T) {
	f := NewFeed("42", 0, &FeedLimits{Batches: 3, Bytes: 1 << 20, BatchBytes: 1 << 10})
	for _, lanes := range []string{"AB", "A", "n", "n"} {
		f.Push(makeItems(f.Seq(), lanes), 0, time.Now())
	}
	if len(f.newest) != 1 {
		t.Fatalf("it remembers %d keys, want A alone", len(f.newest))
	}
	f.Restart(0)
	if len(f.newest) != 0 {
		t.Fatal("it remembers keys of the log before")
	}
}
