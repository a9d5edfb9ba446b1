package fanout

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hall is a room so big that workers share it.
type hall struct {
	*room
	rigs    []*rig
	cursors []*Cursor
	during  func() // runs within Flush
}

func newHall(t testing.TB, viewers int) *hall {
	h := &hall{room: newRoom("42", 0, roomy)}
	for range viewers {
		r := newRig(t, unlimited, testLimits)
		h.rigs, h.cursors = append(h.rigs, r), append(h.cursors, r.enter(h.room, TierFull))
	}
	return h
}

func (h *hall) Flush(_ time.Time, dst []*Cursor) ([]*Cursor, View) {
	if h.during != nil {
		h.during()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return append(dst, h.cursors...), h.feed.View(h.room)
}

// settled waits until every session has been told of everything.
func (h *hall) settled(t *testing.T, seq uint64) {
	t.Helper()
	for late := time.After(20 * time.Second); ; {
		behind := 0
		for _, c := range h.cursors {
			if c.Seq() < seq {
				behind++
			}
		}
		if behind == 0 {
			return
		}
		select {
		case <-late:
			t.Fatalf("%d of %d sessions are behind", behind, len(h.cursors))
		case <-time.After(time.Millisecond):
		}
	}
}

func TestWorkersShareABigRoom(t *testing.T) {
	const viewers, events = 5 * share, 200
	h := newHall(t, viewers)
	e := NewEngine(4, Gaps{time.Millisecond, time.Millisecond}, nil, func(p any) { t.Errorf("panic: %v", p) })
	defer e.Close()
	ticket := e.Register("42", h)
	var small sync.WaitGroup // rooms beside it, that the same workers flush
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		small.Go(func() {
			beside := newHall(t, 3)
			ticket := e.Register(name, beside)
			for range events {
				beside.push(time.Now(), "n")
				ticket.Wake()
			}
			beside.settled(t, events)
		})
	}
	for range events {
		h.push(time.Now(), "n")
		ticket.Wake()
	}
	h.settled(t, events)
	small.Wait()
	want := h.rigs[0].conn.got()
	for i, r := range h.rigs {
		if got := r.conn.got(); seqsOf(got) != seqsOf(want) {
			t.Fatalf("session %d got %d bytes that differ from the %d of the first", i, len(got), len(want))
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.rounds) != 0 {
		t.Errorf("%d rounds are still offered", len(e.rounds))
	}
}

// seqsOf is which events a session got: how many of them left together differs.
func seqsOf(stream string) string {
	var seqs []string
	for part := range strings.SplitSeq(stream, `"seq":`) {
		seq, _, _ := strings.Cut(part, ",")
		seqs = append(seqs, seq)
	}
	return strings.Join(seqs[1:], " ")
}

// A big room is not flushed anew before the last share of the flush before is done.
func TestSharedFlushesDoNotOverlap(t *testing.T) {
	const viewers = 4 * share
	h := newHall(t, viewers)
	var sending, overlaps atomic.Int64
	h.during = func() {
		if sending.Load() != 0 {
			overlaps.Add(1)
		}
	}
	for _, r := range h.rigs {
		r.conn.during = func() {
			sending.Add(1)
			sending.Add(-1)
		}
	}
	e := NewEngine(4, Gaps{time.Microsecond, time.Microsecond}, nil, func(p any) { t.Errorf("panic: %v", p) })
	defer e.Close()
	ticket := e.Register("42", h)
	const events = 100
	for range events {
		h.push(time.Now(), "n")
		ticket.Wake()
	}
	h.settled(t, events)
	if n := overlaps.Load(); n > 0 {
		t.Errorf("%d flushes began while shares of the one before were being sent", n)
	}
}
