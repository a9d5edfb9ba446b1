package danmaku

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestProperties lets a random crowd talk at random times, under random budgets,
// and checks what must hold whatever happens.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		budget := rapid.IntRange(1, 30).Draw(t, "budget")
		r := newRoom(budget, rapid.IntRange(0, budget-1).Draw(t, "reserve"))
		most := budget                      // ever
		lightest := map[time.Duration]int{} // weight that was shown, by time
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch rapid.IntRange(0, 19).Draw(t, "what") {
			case 0: // a quiet moment
				r.until(r.now + time.Duration(rapid.IntRange(0, 3000).Draw(t, "pause"))*time.Millisecond)
			case 1:
				r.tick = time.Duration(rapid.IntRange(20, 250).Draw(t, "tick")) * time.Millisecond
			case 2:
				budget = rapid.IntRange(1, 30).Draw(t, "budget")
				r.SetBudget(budget, budget/5)
				most = max(most, budget)
			default:
				for range rapid.IntRange(1, 60).Draw(t, "burst") {
					r.until(r.now + time.Duration(rapid.IntRange(0, 8).Draw(t, "gap"))*time.Millisecond)
					weight := max(0, rapid.IntRange(-8, 3).Draw(t, "weight"))
					r.offer(Candidate{
						Sender: rapid.Uint64Range(1, 12).Draw(t, "sender"),
						Weight: weight,
						Key:    rapid.Uint64Range(0, 15).Draw(t, "text"),
					})
				}
			}
		}
		r.until(r.now + 3*time.Second)

		for i := range r.shown {
			if s := r.sent[r.shown[i]]; s.decided-s.at > MaxAge {
				t.Fatalf("comment %d was shown after %v", r.shown[i], s.decided-s.at)
			}
			if i >= most && r.sent[r.shown[i]].decided-r.sent[r.shown[i-most]].decided < time.Second {
				t.Fatalf("%d were shown within %v", most+1, r.sent[r.shown[i]].decided-r.sent[r.shown[i-most]].decided)
			}
		}
		for _, i := range r.shown {
			s := r.sent[i]
			weight := s.Weight
			for _, later := range r.sent[i+1:] { // one that waits behind it lends it its weight
				if later.Sender == s.Sender && later.at <= s.decided {
					weight = max(weight, later.Weight)
				}
			}
			if w, ok := lightest[s.decided]; !ok || weight < w {
				lightest[s.decided] = weight
			}
		}
		last := map[uint64]int{} // of each sender: what was shown last
		for _, i := range r.shown {
			if before, ok := last[r.sent[i].Sender]; ok && before > i {
				t.Fatalf("sender %d: comment %d was shown after comment %d", r.sent[i].Sender, i, before)
			}
			last[r.sent[i].Sender] = i
		}
		var totals Totals
		for i, s := range r.sent {
			totals.Offered++
			switch s.verdict {
			case Pass:
				totals.Shown++
			case Merged:
				totals.Merged++
			case Shed:
				totals.Shed++
				if w, ok := lightest[s.decided]; ok && w < s.Weight && s.decided != s.at {
					t.Fatalf("comment %d of weight %d was shed in a tick that showed one of %d", i, s.Weight, w)
				}
			}
			if s.fates != 1 {
				t.Fatalf("comment %d has %d fates", i, s.fates)
			}
		}
		if got := r.Totals(); got != totals {
			t.Fatalf("totals are %+v, want %+v", got, totals)
		}
		if len(r.senders) > 0 {
			r.until(r.now + Memory + time.Second)
		}
		if len(r.senders) > 0 || len(r.texts) > 0 || len(r.byKey) > 0 || r.talking != 0 || r.heavy != 0 || r.live != 0 || r.joined != 0 {
			t.Fatalf("a minute later it still knows %d senders, %d texts; %d talk, %d heavy, %d live, %d joined", len(r.senders), len(r.texts), r.talking, r.heavy, r.live, r.joined)
		}
	})
}
