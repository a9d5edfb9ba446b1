package im_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// keptLog is a memory log that outlives the hubs on it, as one on a disk does, and
// has a secret.
type keptLog struct {
	*im.MemoryLog
	secret []byte
	// refuse, if it returns an error, is what becomes of an Append.
	refuse func(*im.Event) error
	away   atomic.Bool // Head fails
}

func newKeptLog(t testing.TB, o *im.MemoryLogOptions) *keptLog {
	t.Helper()
	l, err := im.NewMemoryLog(o)
	if err != nil {
		t.Fatal(err)
	}
	return &keptLog{MemoryLog: l, secret: []byte("kept beside the events")}
}

func (l *keptLog) Durability() im.Durability { return im.DurabilityLocalFsync }
func (l *keptLog) Secret() []byte            { return l.secret }

func (l *keptLog) Head(ctx context.Context, room string) (im.Position, error) {
	if l.away.Load() {
		return im.Position{}, errors.New("the engine is away")
	}
	return l.MemoryLog.Head(ctx, room)
}

func (l *keptLog) Append(ctx context.Context, room string, events []*im.Event) ([]im.Appended, error) {
	if l.refuse != nil {
		if err := l.refuse(events[0]); err != nil {
			return nil, err
		}
	}
	return l.MemoryLog.Append(ctx, room, events)
}

// shop is a hub whose operation "gift.send" has every effect that a room knows, and answers with how often it ran.
type shop struct {
	*imtest.Hub
	runs atomic.Int64
	err  error                 // what the operation returns after its effects
	last func(context.Context) // called after them
	sent func(*im.Event)       // told of the gift
}

func openShop(t *testing.T, log im.Log, o im.Options) *shop {
	o.Log = log
	s := &shop{Hub: imtest.NewHub(t, &o)}
	s.Handle("gift.send", s.sell)
	s.HandleQuery("gift.list", func(context.Context, *im.Request) (any, error) { return s.runs.Add(1), nil })
	return s
}

func (s *shop) sell(ctx context.Context, r *im.Request) (any, error) {
	n := s.runs.Add(1)
	if r.Room == "" {
		return n, s.err
	}
	room := s.Room(r.Room)
	e, err := room.Send(ctx, im.Gift, map[string]any{"order": n}, im.AsUser(r.User)) // another body in each run
	if err != nil {
		return nil, err
	}
	if s.sent != nil {
		s.sent(e)
	}
	if _, err := room.Set(ctx, "top", n); err != nil {
		return nil, err
	}
	if err := room.Add(ctx, im.Like, 10); err != nil {
		return nil, err
	}
	if s.last != nil {
		s.last(ctx)
	}
	return map[string]int64{"order": n}, s.err
}

// wantEffects checks what the calls have left in the room: so many gifts, each with a change of
// the state and ten likes.
func (s *shop) wantEffects(t *testing.T, room string, gifts int) {
	t.Helper()
	page, err := s.Room(room).History(t.Context(), im.HistoryQuery{Max: 1000})
	if err != nil {
		t.Fatal(err)
	}
	count := map[im.Kind]int{}
	for _, e := range page.Events {
		if e.Class != im.Merged {
			count[e.Kind]++
		}
	}
	likes, _, err := s.Room(room).State().Get(t.Context(), "im.total.like")
	want := fmt.Sprint(10 * gifts)
	if err != nil || count[im.Gift] != gifts || count[im.State] != gifts || string(likes) != want && gifts > 0 || count[im.System] > 0 {
		t.Fatalf("the room has %v and %s likes, want %d gifts (%v)", count, likes, gifts, err)
	}
}

func wantCall(t *testing.T, v *imtest.Viewer, room, cid, body, want string, fails im.Code) {
	t.Helper()
	got, err := v.CallAs("gift.send", room, cid, body)
	if string(got) != want || code(err) != fails {
		t.Fatalf("call %s %s: got %s, %v; want %s %s", cid, body, got, err, want, fails)
	}
}

func TestOperationHasOneEffectAndTheFirstAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t, nil, im.Options{})
		ann, bob := s.Join("42", user("ann")), s.Join("42", user("bob"))
		ann.Join("43", nil)
		wantCall(t, ann, "42", "c-1", "rose", `{"order":1}`, "")
		wantCall(t, ann, "42", "c-1", "rose", `{"order":1}`, "")
		wantCall(t, s.Join("42", user("ann")), "42", "c-1", "rose", `{"order":1}`, "")
		wantCall(t, ann, "42", "c-1", "castle", "", im.CodeConflict)
		s.wantEffects(t, "42", 1)
		wantCall(t, bob, "42", "c-1", "rose", `{"order":2}`, "") // another user
		wantCall(t, ann, "43", "c-1", "rose", `{"order":3}`, "") // another room
		wantCall(t, ann, "42", "c-2", "rose", `{"order":4}`, "")
		wantCall(t, ann, "42", "", "rose", `{"order":5}`, "") // without a cid each is a new one
		wantCall(t, ann, "42", "", "rose", `{"order":6}`, "")
		pass(2 * time.Second) // without a cid likes are added up first
		s.wantEffects(t, "42", 5)
		s.wantEffects(t, "43", 1)
		wantCall(t, ann, "", "c-1", "rose", "7", "") // about no room
		wantCall(t, ann, "", "c-1", "rose", "7", "")
		wantCall(t, ann, "", "c-1", "castle", "", im.CodeConflict)
		for want := 8; want < 10; want++ {
			if got, err := ann.CallAs("gift.list", "42", "c-1", nil); err != nil || string(got) != fmt.Sprint(want) {
				t.Fatalf("a query is remembered: %s, %v", got, err)
			}
		}
	})
}

func TestOperationsAtTheSameTimeAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t, nil, im.Options{})
		proceed := make(chan struct{})
		s.last = func(context.Context) { <-proceed }
		type result struct {
			body json.RawMessage
			err  error
		}
		results := make(chan result, 5)
		for range 4 {
			v := s.Join("42", user("ann"))
			go func() {
				b, err := v.CallAs("gift.send", "42", "c-1", "rose")
				results <- result{b, err}
			}()
		}
		synctest.Wait()
		wantCall(t, s.Join("42", user("ann")), "42", "c-1", "castle", "", im.CodeConflict)
		close(proceed)
		for range 4 {
			if r := <-results; r.err != nil || string(r.body) != `{"order":1}` {
				t.Fatalf("%s, %v", r.body, r.err)
			}
		}
		s.wantEffects(t, "42", 1)
	})
}

// A call that outlives Timeouts.Hook is one all the same.
func TestOperationThatHangsRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t, nil, im.Options{Timeouts: im.Timeouts{Hook: time.Second}})
		s.last = func(context.Context) { <-time.After(2500 * time.Millisecond) }
		ann := s.Join("42", user("ann"))
		wantCall(t, ann, "42", "c-1", "rose", "", im.CodeTimeout)
		wantCall(t, ann, "42", "c-1", "rose", "", im.CodeTimeout)
		wantCall(t, ann, "42", "c-1", "rose", `{"order":1}`, "")
		wantCall(t, ann, "42", "c-1", "rose", `{"order":1}`, "")
		s.wantEffects(t, "42", 1)
	})
}

func TestOperationThatFailsMayBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t, nil, im.Options{})
		ann := s.Join("42", user("ann"))
		s.err = &im.Error{Code: "no_funds", Reason: "charge your account"}
		wantCall(t, ann, "42", "c-1", "rose", "", "no_funds")
		s.err = nil
		s.last = func(context.Context) { panic("a bug") }
		wantCall(t, ann, "42", "c-1", "rose", "", im.CodeInternal)
		s.last = nil
		wantCall(t, ann, "42", "c-1", "rose", `{"order":3}`, "") // it ran again, and what it appended is there once
		wantCall(t, ann, "42", "c-1", "rose", `{"order":3}`, "")
		s.wantEffects(t, "42", 1)
	})
}

func TestOperationsSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newKeptLog(t, nil)
		s := openShop(t, log, im.Options{})
		ann := s.Join("42", user("ann"))
		wantCall(t, ann, "42", "c-1", "rose", `{"order":1}`, "")
		for i := range 1200 { // more than a page
			if _, err := s.Room("42").Send(t.Context(), im.Notice, i); err != nil {
				t.Fatal(err)
			}
		}
		_ = s.Close()

		s = openShop(t, log, im.Options{})
		ann = s.Join("42", user("ann"))
		s.runs.Store(100)
		wantCall(t, ann, "42", "c-1", "rose", `{"order":1}`, "")
		wantCall(t, ann, "42", "c-1", "castle", "", im.CodeConflict)
		wantCall(t, ann, "42", "c-2", "rose", `{"order":101}`, "")
		if page, err := s.Room("42").History(t.Context(), im.HistoryQuery{Newest: true, Max: 3}); err != nil || len(page.Events) != 3 || page.Events[0].Kind != im.Gift {
			t.Fatalf("the newest page: %+v, %v", page, err)
		}

		other := openShop(t, log, im.Options{}) // a second node
		other.runs.Store(200)
		bob := other.Join("42", user("ann"))
		wantCall(t, bob, "42", "c-2", "rose", `{"order":101}`, "")
		wantCall(t, bob, "42", "c-3", "rose", `{"order":201}`, "")
		wantCall(t, ann, "42", "c-3", "rose", `{"order":201}`, "") // seen by following
		_ = other.Close()
	})
}

// The process dies after an operation has had its effects and before the log was told.
func TestOperationAfterACrashDoublesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newKeptLog(t, nil)
		outcome := func(e *im.Event) error {
			if e.Kind == im.System {
				return errors.New("the disk is gone")
			}
			return nil
		}
		log.refuse = outcome
		s := openShop(t, log, im.Options{})
		var first *im.Event
		s.sent = func(e *im.Event) { first = e }
		ann := s.Join("42", user("ann"))
		wantCall(t, ann, "42", "c-1", "rose", "", im.CodeTimeout)
		wantCall(t, ann, "42", "c-1", "rose", "", im.CodeTimeout)
		if n := s.runs.Load(); n != 1 {
			t.Fatalf("it ran %d times", n)
		}
		wantCall(t, ann, "42", "c-2", "rose", "", im.CodeTimeout)
		log.refuse = nil
		wantCall(t, ann, "42", "c-2", "rose", `{"order":2}`, "") // the same process: the log is told now
		_ = s.Close()

		s = openShop(t, log, im.Options{})
		s.runs.Store(100)
		ann = s.Join("42", user("ann"))
		s.sent = func(e *im.Event) {
			if e.ID != first.ID && string(e.Body) != `{"order":1}` {
				t.Errorf("the second run got %+v, want what the first has sent", e)
			}
		}
		wantCall(t, ann, "42", "c-1", "rose", `{"order":101}`, "") // it ran again
		s.wantEffects(t, "42", 2)
		wantCall(t, ann, "42", "c-1", "rose", `{"order":101}`, "")
		wantCall(t, ann, "42", "c-2", "rose", `{"order":2}`, "")
		s.wantEffects(t, "42", 2)
	})
}

// After a crash another body under the same cid is still a conflict, and has no effect.
func TestOperationAfterACrashIsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newKeptLog(t, nil)
		log.refuse = func(e *im.Event) error {
			if e.Kind == im.System {
				return im.ErrNotStored
			}
			return nil
		}
		s := openShop(t, log, im.Options{})
		wantCall(t, s.Join("42", user("ann")), "42", "c-1", "rose", "", im.CodeTimeout)
		_ = s.Close()
		log.refuse = nil
		s = openShop(t, log, im.Options{})
		wantCall(t, s.Join("42", user("ann")), "42", "c-1", "castle", "", im.CodeConflict)
		wantCall(t, s.Join("42", user("ann")), "42", "c-1", "rose", `{"order":2}`, "")
		s.wantEffects(t, "42", 1)
	})
}

// After the window the memory has forgotten; the log has not.
func TestOperationAfterTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t, nil, im.Options{})
		wantCall(t, s.Join("42", user("ann")), "42", "c-1", "rose", `{"order":1}`, "")
		pass(4*time.Minute + 50*time.Second)
		wantCall(t, s.Join("42", user("ann")), "42", "c-1", "rose", `{"order":1}`, "")
		if n := s.runs.Load(); n != 1 {
			t.Fatalf("it ran %d times", n)
		}
		pass(time.Minute)
		wantCall(t, s.Join("42", user("ann")), "42", "c-1", "rose", `{"order":1}`, "") // what the log says counts
		if n := s.runs.Load(); n != 2 {
			t.Fatalf("it ran %d times", n)
		}
		s.wantEffects(t, "42", 1)
	})
}

func TestOperationIsRefusedWhileTheLogDoesNotKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newKeptLog(t, nil)
		s := openShop(t, log, im.Options{})
		ann := s.Join("42", user("ann"))
		wantCall(t, ann, "42", "c-1", "rose", `{"order":1}`, "")
		log.away.Store(true)
		wantCall(t, ann, "42", "c-2", "rose", "", im.CodeOverloaded)
		wantCall(t, ann, "42", "c-1", "rose", `{"order":1}`, "") // this is known
		log.away.Store(false)
		s.wantEffects(t, "42", 1)
		wantCall(t, ann, "42", "c-2", "rose", `{"order":2}`, "")
	})
}

func TestLargeAnswerIsNotInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newKeptLog(t, nil)
		open := func() *imtest.Viewer {
			hub := imtest.NewHub(t, &im.Options{Log: log})
			hub.Handle("big.answer", func(context.Context, *im.Request) (any, error) { return strings.Repeat("x", 20_000), nil })
			return hub.Join("42", user("ann"))
		}
		ann := open()
		for range 2 {
			if b, err := ann.CallAs("big.answer", "42", "c-1", nil); err != nil || len(b) != 20_002 {
				t.Fatalf("%d bytes, %v", len(b), err)
			}
		}
		if b, err := open().CallAs("big.answer", "42", "c-1", nil); err != nil || b != nil {
			t.Fatalf("after a restart: %d bytes, %v", len(b), err)
		}
	})
}
