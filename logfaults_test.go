package im_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// flaky is a log whose parts can be replaced.
type flaky struct {
	*im.MemoryLog
	mu     sync.Mutex // guards the fields below
	follow func(ctx context.Context, room string, after im.Position, deliver func([]*im.Event, error)) (func(), error)
	head   func(ctx context.Context, room string) (im.Position, error)
	append func(ctx context.Context, room string, ev []*im.Event) ([]im.Appended, error)
	read   func(ctx context.Context, room string, r im.Range) (im.Page, error)
	trim   func(ctx context.Context, now time.Time) error
}

func (f *flaky) Follow(ctx context.Context, room string, after im.Position, deliver func([]*im.Event, error)) (func(), error) {
	f.mu.Lock()
	instead := f.follow
	f.mu.Unlock()
	if instead != nil {
		return instead(ctx, room, after, deliver)
	}
	return f.MemoryLog.Follow(ctx, room, after, deliver)
}

func (f *flaky) Head(ctx context.Context, room string) (im.Position, error) {
	f.mu.Lock()
	instead := f.head
	f.mu.Unlock()
	if instead != nil {
		return instead(ctx, room)
	}
	return f.MemoryLog.Head(ctx, room)
}

func (f *flaky) Append(ctx context.Context, room string, ev []*im.Event) ([]im.Appended, error) {
	f.mu.Lock()
	instead := f.append
	f.mu.Unlock()
	if instead != nil {
		return instead(ctx, room, ev)
	}
	return f.MemoryLog.Append(ctx, room, ev)
}

func (f *flaky) Read(ctx context.Context, room string, r im.Range) (im.Page, error) {
	f.mu.Lock()
	instead := f.read
	f.mu.Unlock()
	if instead != nil {
		return instead(ctx, room, r)
	}
	return f.MemoryLog.Read(ctx, room, r)
}

func (f *flaky) Trim(ctx context.Context, now time.Time) error {
	f.mu.Lock()
	instead := f.trim
	f.mu.Unlock()
	if instead != nil {
		return instead(ctx, now)
	}
	return f.MemoryLog.Trim(ctx, now)
}

func newFlaky(t *testing.T, o *im.MemoryLogOptions) *flaky {
	l, err := im.NewMemoryLog(o)
	if err != nil {
		t.Fatal(err)
	}
	return &flaky{MemoryLog: l}
}

// An outage during which critical events are trimmed is not passed over in silence.
func TestOutageThatTrimsIsFlagged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFlaky(t, &im.MemoryLogOptions{KeepEvents: 2})
		var fail func([]*im.Event, error)
		log.follow = func(ctx context.Context, room string, after im.Position, deliver func([]*im.Event, error)) (func(), error) {
			fail = deliver
			return log.MemoryLog.Follow(ctx, room, after, deliver)
		}
		hub := imtest.NewHub(t, &im.Options{Log: log})
		v := hub.Join("42", user("ann"))
		if _, err := hub.Room("42").Send(t.Context(), im.Notice, 0); err != nil {
			t.Fatal(err)
		}
		v.Event()
		// The engine is lost; other nodes go on.
		log.mu.Lock()
		log.head = func(context.Context, string) (im.Position, error) { return im.Position{}, errors.New("engine away") }
		log.mu.Unlock()
		fail(nil, errors.New("engine away"))
		synctest.Wait()
		for i := range 10 {
			_, err := log.MemoryLog.Append(t.Context(), "42", []*im.Event{{ID: fmt.Sprint("x", i), Kind: im.Notice, Class: im.Critical, Body: []byte(fmt.Sprint(i + 1))}})
			if err != nil {
				t.Fatal(err)
			}
		}
		log.mu.Lock()
		log.head = nil
		log.mu.Unlock()
		pass(5 * time.Second)
		u, ok := v.TryNext(time.Second)
		for ok && u.Op == "online" {
			u, ok = v.TryNext(time.Second)
		}
		if ok && u.Op == "event" {
			if n, _ := im.Decode[int](u.Event); n != 1 {
				t.Errorf("critical events 1 to %d are missing, and nothing said so: no gap, no reset", n-1)
			}
		}
	})
}

// plain hides the optional abilities of the memory log.
type plain struct{ im.Log }

// A room whose newest event is past its retention can be opened.
func TestRoomWhoseHeadIsGoneOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := im.NewMemoryLog(&im.MemoryLogOptions{KeepAge: time.Minute})
		log := plain{l}
		_, _ = l.Append(t.Context(), "42", []*im.Event{{ID: "a", Kind: im.Chat, Class: im.Normal, Body: []byte("1")}})
		stop, _ := l.Follow(t.Context(), "42", im.Position{}, func([]*im.Event, error) {})
		pass(90 * time.Second)
		_ = l.Trim(t.Context(), time.Now())
		defer stop()
		hub := imtest.NewHub(t, &im.Options{Log: log})
		for range 2 {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			_, err := hub.Room("42").Send(ctx, im.Notice, 1)
			cancel()
			if err != nil {
				t.Errorf("after %v: %v", time.Since(start), err)
			}
		}
	})
}

// The log begins anew between Head and Follow.
func TestEpochThatChangesBetweenHeadAndFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFlaky(t, nil)
		once := false
		log.follow = func(ctx context.Context, room string, after im.Position, deliver func([]*im.Event, error)) (func(), error) {
			if !once {
				once = true
				log.Reset(room)
			}
			return log.MemoryLog.Follow(ctx, room, after, deliver)
		}
		hub := imtest.NewHub(t, &im.Options{Log: log})
		v := hub.Join("42", user("ann"))
		for i := range 3 {
			if r, err := v.Send(im.Chat, i); err != nil || r.Status != im.StatusOK {
				t.Fatal(r, err)
			}
		}
		pass(time.Minute)
		for {
			u, ok := v.TryNext(5 * time.Second)
			if !ok {
				t.Fatal("the room is deaf: acknowledged events are never delivered")
			}
			if u.Op == "event" || u.Op == "reset" {
				break
			}
		}
	})
}

// A change that comes while the room finds out that its log was lost.
func TestSetRightAfterALostLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFlaky(t, nil)
		hub := imtest.NewHub(t, &im.Options{Log: log})
		for i := range 5 {
			if _, err := hub.Room("42").Set(t.Context(), "k", i); err != nil {
				t.Fatal(err)
			}
		}
		log.Reset("42")
		v, err := hub.Room("42").Set(t.Context(), "k", 99)
		pass(time.Second)
		got, ver, _ := hub.Room("42").State().Get(t.Context(), "k")
		if err != nil {
			t.Errorf("Set: %d, %v; but the key is %s at version %d", v, err, got, ver)
		}
	})
}

// F13 for a Log of the host: it panics once, in each of the places where it is called.
func TestF13LogPanicsWhileARoomOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFlaky(t, nil)
		once := true
		log.head = func(ctx context.Context, room string) (im.Position, error) {
			if once {
				once = false
				panic("log panics once")
			}
			return log.MemoryLog.Head(ctx, room)
		}
		hub := imtest.NewHub(t, &im.Options{Log: log})
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, err := hub.Room("42").Send(ctx, im.Notice, 1)
			cancel()
			if err == nil {
				return
			}
		}
		t.Error("one panic of the log makes the room unusable for ever")
	})
}

func TestF13LogPanicsWhileARoomFollowsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFlaky(t, nil)
		calls := 0
		log.follow = func(ctx context.Context, room string, after im.Position, deliver func([]*im.Event, error)) (func(), error) {
			if calls++; calls == 2 {
				panic("once")
			}
			return log.MemoryLog.Follow(ctx, room, after, deliver)
		}
		hub := imtest.NewHub(t, &im.Options{Log: log})
		v := hub.Join("42", user("ann"))
		log.Reset("42")
		pass(10 * time.Second)
		log.Reset("42")
		pass(10 * time.Second)
		if _, err := hub.Room("42").Send(t.Context(), im.Notice, 1); err != nil {
			t.Fatal(err)
		}
		for {
			u, ok := v.TryNext(10 * time.Second)
			if !ok {
				t.Fatalf("deaf for ever after one panic (Follow was called %d times)", calls)
			}
			if u.Op == "event" {
				return
			}
		}
	})
}

func TestF13LogPanicsUnderLikes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFlaky(t, nil)
		hub := imtest.NewHub(t, &im.Options{Log: log})
		once := true
		log.append = func(ctx context.Context, room string, ev []*im.Event) ([]im.Appended, error) {
			if once {
				once = false
				panic("once")
			}
			return log.MemoryLog.Append(ctx, room, ev)
		}
		for range 10 {
			if err := hub.Room("42").Add(t.Context(), im.Like, 1); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		all, _ := hub.Room("42").State().All(t.Context())
		if string(all["im.total.like"]) != "10" {
			t.Errorf("likes total %q, want 10", all["im.total.like"])
		}
	})
}

func TestF13LogPanicsInMaintenance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFlaky(t, nil)
		calls := 0
		log.trim = func(ctx context.Context, now time.Time) error {
			if calls++; calls == 1 {
				panic("once")
			}
			return nil
		}
		imtest.NewHub(t, &im.Options{Log: log})
		pass(time.Hour)
		synctest.Wait()
		if calls < 2 {
			t.Errorf("maintenance ended for ever: Trim was called %d times in an hour", calls)
		}
	})
}

// Who enters while the room is folded anew gets a state that fits its position.
func TestJoinWhileARoomIsFoldedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFlaky(t, nil)
		plainLog := struct{ im.Log }{log}
		var fail func([]*im.Event, error)
		slow := false
		log.follow = func(ctx context.Context, room string, after im.Position, deliver func([]*im.Event, error)) (func(), error) {
			fail = deliver
			if slow {
				pass(2 * time.Second)
			}
			return log.MemoryLog.Follow(ctx, room, after, deliver)
		}
		hub := imtest.NewHub(t, &im.Options{Log: plainLog})
		for _, k := range []string{"a", "b", "c"} {
			if _, err := hub.Room("42").Set(t.Context(), k, 1); err != nil {
				t.Fatal(err)
			}
		}
		slow = true
		fail(nil, im.ErrGap)
		pass(time.Second)
		v := hub.Connect(user("ann"))
		e := v.Join("42", nil)
		got, ver, _ := hub.Room("42").State().Get(t.Context(), "a")
		pass(10 * time.Second)
		reset := false
		for {
			u, ok := v.TryNext(time.Second)
			if !ok {
				break
			}
			reset = reset || u.Op == "reset"
		}
		if len(e.State) != 3 && !reset {
			t.Errorf("joined at %v with state %v, never corrected; the room has a, b and c", e.Pos, e.State)
		}
		if ver == 0 {
			t.Errorf("Get says that the key does not exist: %s %d", got, ver)
		}
	})
}

// A room that another node closes while this one has lost the log.
func TestRoomClosedWhileTheLogWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFlaky(t, nil)
		var fail func([]*im.Event, error)
		log.follow = func(ctx context.Context, room string, after im.Position, deliver func([]*im.Event, error)) (func(), error) {
			fail = deliver
			return log.MemoryLog.Follow(ctx, room, after, deliver)
		}
		hub := imtest.NewHub(t, &im.Options{Log: log})
		hub.Join("42", user("troll"))
		w := hub.Join("43", user("troll"))
		// follower of 43 fell behind; another node closes the room meanwhile
		fail(nil, im.ErrGap)
		log.MemoryLog.Append(t.Context(), "43", []*im.Event{{ID: "c", Kind: im.System, Class: im.Critical, Body: []byte(`{"type":"close","reason":"over"}`)}})
		pass(10 * time.Second)
		for {
			u, ok := w.TryNext(time.Second)
			if !ok {
				break
			}
			if u.Op == "bye" && u.Code != im.CodeRoomClosed {
				t.Errorf("the whole connection is ended with %q for one closed room", u.Code)
			}
		}
	})
}

// A kick of another node while this one has lost the log.
func TestKickWhileTheLogWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFlaky(t, nil)
		var fail func([]*im.Event, error)
		log.follow = func(ctx context.Context, room string, after im.Position, deliver func([]*im.Event, error)) (func(), error) {
			fail = deliver
			return log.MemoryLog.Follow(ctx, room, after, deliver)
		}
		hub := imtest.NewHub(t, &im.Options{Log: log})
		hub.Join("42", user("troll"))
		fail(nil, im.ErrGap)
		log.MemoryLog.Append(t.Context(), "42", []*im.Event{{ID: "c", Kind: im.System, Class: im.Critical, Body: []byte(`{"type":"kick","user":"troll"}`)}})
		pass(10 * time.Second)
		if n := hub.Room("42").Len(); n != 0 {
			t.Errorf("a kick that is in the log was not obeyed: %d members", n)
		}
	})
}

// A call without a deadline ends with the hub.
func TestSetReturnsWhenTheHubIsClosed(t *testing.T) {
	log := newFlaky(t, nil)
	var fail func([]*im.Event, error)
	log.follow = func(ctx context.Context, room string, after im.Position, deliver func([]*im.Event, error)) (func(), error) {
		fail = deliver
		return log.MemoryLog.Follow(ctx, room, after, deliver)
	}
	hub, _ := im.New(imtest.BearerUser, &im.Options{Log: log})
	if _, err := hub.Room("42").Set(context.Background(), "a", 1); err != nil {
		t.Fatal(err)
	}
	log.mu.Lock()
	log.head = func(ctx context.Context, room string) (im.Position, error) {
		<-ctx.Done()
		return im.Position{}, ctx.Err()
	}
	log.mu.Unlock()
	fail(nil, fmt.Errorf("engine away"))
	done := make(chan error)
	go func() { _, err := hub.Room("42").Set(context.Background(), "a", 2); done <- err }()
	pass(100 * time.Millisecond)
	hub.Close()
	select {
	case err := <-done:
		t.Log(err)
	case <-time.After(3 * time.Second):
		t.Error("Set(context.Background()) has not returned 3 s after Close; its doc promises ErrClosed")
	}
}
