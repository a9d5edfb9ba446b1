package im

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A window of any history answers as one that remembers everything, as long as
// nothing had to be forgotten, and never holds more than it may.
func TestWindowRemembersWhatCountsAndNoMore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const max = 8
		ttl := time.Duration(rapid.IntRange(1, 50).Draw(rt, "ttl")) * time.Second
		var w window[int]
		model := map[int]claim{} // everything
		now := time.Unix(1_000_000, 0)
		for i := range rapid.IntRange(1, 200).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 9).Draw(rt, "pass")) * time.Second)
			key, id := rapid.IntRange(0, 12).Draw(rt, "key"), fmt.Sprint("m", i)
			want := time.Duration(0)
			if c, ok := model[key]; ok && now.Sub(c.at) < ttl {
				want = ttl - now.Sub(c.at)
			}
			got := w.wait(key, id, ttl, now)
			if got != want && got != 0 {
				rt.Fatalf("step %d: wait %v, want %v", i, got, want)
			}
			live := 0
			for _, c := range model {
				if now.Sub(c.at) < ttl {
					live++
				}
			}
			if got != want && live <= max/2 {
				rt.Fatalf("step %d: %d was forgotten among %d", i, key, live)
			}
			if got == 0 {
				w.put(key, id, now, max)
				model[key] = claim{now, id}
				if rapid.IntRange(0, 3).Draw(rt, "given back") == 0 {
					w.drop(key, id)
					delete(model, key)
				}
			}
			if len(w.m) > max || len(w.order)-w.head > max || len(w.order) > 2*max+2 {
				rt.Fatalf("step %d: %d keys, %d in order", i, len(w.m), len(w.order))
			}
		}
	})
}

func TestClaimsAreAllOrNothing(t *testing.T) {
	var c claims
	m := &Modes{Slow: 5 * time.Second, Unique: time.Minute}
	now := time.Unix(1_000_000, 0)
	if err := c.take(m, "ann", "1", 7, now); err != nil {
		t.Fatal(err)
	}
	if err := c.take(m, "bob", "2", 7, now); asError(err).Code != CodeRoomMode {
		t.Fatal(err)
	}
	if err := c.take(m, "bob", "3", 8, now); err != nil {
		t.Fatalf("a refused text has started the clock: %v", err)
	}
	if err := c.take(m, "bob", "4", 9, now); asError(err).Code != CodeRateLimited {
		t.Fatal(err)
	}
	if err := c.take(m, "cid", "5", 9, now); err != nil {
		t.Fatalf("a text of somebody who was too fast counts as said: %v", err)
	}
	c.giveBack("ann", "1", 7)
	c.giveBack("bob", "1", 7) // not his
	if err := c.take(m, "ann", "6", 7, now); err != nil {
		t.Fatalf("after it was given back: %v", err)
	}
	c.follow(&Modes{Unique: time.Second})
	if len(c.users.m) != 0 || len(c.texts.m) == 0 {
		t.Fatal("what other modes do not need is kept, or what they need is not")
	}
}

// Without modes a send pays one look for them.
func BenchmarkModesOff(b *testing.B) {
	c := &core{hub: &Hub{opts: Options{Now: time.Now}}}
	b.ReportAllocs()
	for b.Loop() {
		if c.inForce() != nil || !c.held.empty() {
			b.Fatal("modes")
		}
	}
}
