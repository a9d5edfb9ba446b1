package im

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// lifeCount returns how many rooms the log holds.
func lifeCount(l *MemoryLog) int {
	n := 0
	for i := range l.shards {
		n += len(l.shards[i].list())
	}
	return n
}

func TestMemoryLogForgetsRooms(t *testing.T) {
	now := time.Date(2026, 7, 1, 20, 0, 0, 0, time.UTC)
	l, err := NewMemoryLog(&MemoryLogOptions{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	ask := func(room string) Position {
		head, err := l.Head(ctx, room)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = l.Read(ctx, room, Range{After: head})
		_, _, _ = l.LoadSnapshot(ctx, room)
		_ = l.SaveSnapshot(ctx, room, Snapshot{Pos: Position{"no-such-epoch", 1}})
		_, _ = l.Append(ctx, room, nil)
		_, _ = l.Follow(ctx, room, Position{"no-such-epoch", 1}, func([]*Event, error) {})
		stop, err := l.Follow(ctx, room, head, func([]*Event, error) {})
		if err != nil {
			t.Fatal(err)
		}
		stop()
		stop()
		return head
	}
	for i := range 100 {
		ask(fmt.Sprint(i))
	}
	if n := lifeCount(l); n != 0 {
		t.Fatalf("%d rooms are left of 100 that were only asked about", n)
	}

	write := func(room, id string) Position {
		out, err := l.Append(ctx, room, []*Event{{ID: id, Class: Critical}})
		if err != nil {
			t.Fatal(err)
		}
		return out[0].Pos
	}
	trim := func(d time.Duration) {
		now = now.Add(d)
		if err := l.Trim(ctx, now); err != nil {
			t.Fatal(err)
		}
	}
	at, snap := write("plain", "a"), write("with snapshot", "a")
	if err := l.SaveSnapshot(ctx, "with snapshot", Snapshot{Pos: snap}); err != nil {
		t.Fatal(err)
	}
	write("followed", "a")
	stop, err := l.Follow(ctx, "followed", Position{}, func([]*Event, error) {})
	if err != nil {
		t.Fatal(err)
	}
	trim(9 * time.Minute)
	if n := lifeCount(l); n != 3 {
		t.Fatalf("%d rooms after 9 minutes, want 3", n)
	}
	trim(2 * time.Minute)
	if n := lifeCount(l); n != 2 {
		t.Fatalf("%d rooms after 11 minutes, want those with a snapshot and with a follower", n)
	}
	stop()
	trim(9 * time.Minute)
	if _, err := l.Read(ctx, "followed", Range{After: Position{l.base + "-1", 1}}); err != nil {
		t.Errorf("a client that comes back 9 minutes after the last follower left a quiet room: %v", err)
	}
	trim(2 * time.Minute)
	if n := lifeCount(l); n != 1 {
		t.Fatalf("%d rooms 11 minutes after the follower left, want the one with a snapshot", n)
	}
	if again := write("plain", "a"); again.Epoch == at.Epoch {
		t.Errorf("a room that was forgotten goes on in epoch %s: its positions would name two events", at.Epoch)
	}
	l.Reset("with snapshot")
	l.Reset("plain")
	if n := lifeCount(l); n != 0 {
		t.Errorf("%d rooms after Reset of all", n)
	}
}

func TestMemoryLogKeepsNoSlack(t *testing.T) {
	now := time.Now()
	l, err := NewMemoryLog(&MemoryLogOptions{KeepEvents: 100, DedupEvents: 200, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5000 {
		if _, err := l.Append(context.Background(), "42", []*Event{{ID: fmt.Sprint(i), Class: Critical}}); err != nil {
			t.Fatal(err)
		}
	}
	r := l.lockExisting("42")
	if d, p, ids := len(r.durable.buf), len(r.past.buf), len(r.ids); d > 256 || p > 256 || ids != 200 {
		t.Errorf("buffers of %d events and %d past IDs, %d IDs: want at most 256, 256 and 200", d, p, ids)
	}
	r.mu.Unlock()
	if err := l.Trim(context.Background(), now.Add(9*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if r.past.buf != nil || len(r.ids) != 100 {
		t.Errorf("%d past IDs and %d IDs after the dedup window, want 0 and those of 100 kept events", r.past.n, len(r.ids))
	}
	if err := l.Trim(context.Background(), now.Add(11*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if r.durable.buf != nil || r.ids != nil || lifeCount(l) != 0 {
		t.Errorf("buffers are left in a room without events")
	}
}

// A follower that comes between the storing of an event and its delivery gets
// the event once.
func TestMemoryLogFollowBetweenStoreAndDelivery(t *testing.T) {
	l, err := NewMemoryLog(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got [2][]string
	for i := range got {
		stop, err := l.Follow(t.Context(), "42", Position{}, func(events []*Event, _ error) {
			for _, e := range events {
				got[i] = append(got[i], e.ID)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		r := l.lock("42")
		r.append(&Event{ID: fmt.Sprint("event ", i)}) // as Append does, up to the delivery
		r.mu.Unlock()
	}
	if _, err := l.Append(t.Context(), "42", []*Event{{ID: "event 2"}}); err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if want := []string{"event 0", "event 1", "event 2"}; !slices.Equal(got[i], want) {
			t.Errorf("follower %d got %q, want %q", i, got[i], want)
		}
	}
}

func TestMemClock(t *testing.T) {
	var c memClock
	for i, step := range []struct{ reading, now time.Duration }{
		{time.Hour, 0},
		{time.Hour + time.Minute, time.Minute},
		{time.Hour + time.Minute - time.Millisecond, time.Minute}, // overtaken by another goroutine
		{time.Hour + time.Minute + time.Second, time.Minute + time.Second},
		{time.Second, time.Minute + time.Second}, // a jump back
		{2 * time.Second, time.Minute + 2*time.Second},
		{1<<63 - 1, 1<<63 - 1}, // and one forward, as far as it goes
		{-1 << 62, 1<<63 - 1},
		{0, 1<<63 - 1},
	} {
		if c.advance(step.reading); i < 6 && c.now != step.now || i >= 6 && c.now < 1<<61 {
			t.Fatalf("step %d: reading %v makes the sum %v, want %v", i, step.reading, c.now, step.now)
		}
	}
}

func TestMemRing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var q memRing[int]
	var want []int
	for i := range 20_000 {
		if grow := rng.IntN(100) < 30+40*(i/2000%2); grow || len(want) == 0 {
			q.push(i)
			want = append(want, i)
		} else {
			if v := q.pop(); v != want[0] {
				t.Fatalf("pop is %d, want %d", v, want[0])
			}
			want = want[1:]
		}
		if q.n != len(want) {
			t.Fatalf("n is %d, want %d", q.n, len(want))
		}
		for k := range want {
			if *q.at(k) != want[k] {
				t.Fatalf("element %d is %d, want %d", k, *q.at(k), want[k])
			}
		}
		if len(q.buf) > memRingMin && q.n < len(q.buf)/4 {
			t.Fatalf("a buffer of %d for %d elements", len(q.buf), q.n)
		}
		full := 0
		for _, v := range q.buf {
			if v != 0 {
				full++
			}
		}
		if full > q.n {
			t.Fatalf("%d elements stay in the buffer of %d", full, q.n)
		}
	}
}
