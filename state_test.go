package im_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// value returns a key of the state as JSON; "" if it is not there.
func value(t *testing.T, room *im.Room, key string) string {
	t.Helper()
	v, _, err := room.State().Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(v)
}

func set(t *testing.T, room *im.Room, key string, v any, opts ...im.SetOption) uint64 {
	t.Helper()
	version, err := room.Set(t.Context(), key, v, opts...)
	if err != nil {
		t.Fatalf("set %q: %v", key, err)
	}
	return version
}

// sharedLog returns a log for several hubs, at the same time or one after the other.
func sharedLog(t *testing.T) *im.MemoryLog {
	t.Helper()
	log, err := im.NewMemoryLog(nil)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func TestCountersNeverLeaveTheirBounds(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		v := hub.Join("42", user("ann"))
		set(t, room, "stock", 10)
		var wg sync.WaitGroup
		var mu sync.Mutex
		sold := 0
		for range 30 {
			wg.Go(func() {
				_, _, err := room.Increment(t.Context(), "stock", -1, im.AtLeast(0))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					sold++
				} else if !errors.Is(err, im.ErrConflict) || !strings.Contains(err.Error(), "less than 0") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if sold != 10 || value(t, room, "stock") != "0" {
			t.Fatalf("%d of 10 were sold, %s are left", sold, value(t, room, "stock"))
		}
		for want := 10; want >= 0; want-- { // viewers get the sum, not only the difference
			var c struct{ Value int }
			if e := v.Event(); json.Unmarshal(e.Body, &c) != nil || c.Value != want {
				t.Fatalf("delivered %s, want %d", e.Body, want)
			}
		}
	})
}

func TestIncrement(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room, ctx := hub.Room("42"), t.Context()
		set(t, room, "text", "x")
		set(t, room, "top", int64(im.MaxSeq))
		for _, c := range []struct {
			key  string
			by   int64
			opts []im.SetOption
			want int64
			fail string
		}{
			{"new", 5, nil, 5, ""},
			{"new", -7, nil, -2, ""},
			{"new", 12, []im.SetOption{im.AtMost(10)}, 10, ""},
			{"new", 1, []im.SetOption{im.AtMost(10)}, 0, "more than 10"},
			{"new", -11, []im.SetOption{im.AtLeast(0), im.AtMost(10)}, 0, "less than 0"},
			{"new", 1, []im.SetOption{im.IfVersion(1)}, 0, "version"},
			{"text", 1, nil, 0, "no whole number"},
			{"top", 1, nil, 0, "2^53"},
			{"top", math.MaxInt64, nil, 0, "2^53"},
			{"new", math.MinInt64, nil, 0, "2^53"},
			{"top", -2 * im.MaxSeq, nil, -im.MaxSeq, ""},
			{"top", -1, nil, 0, "2^53"},
		} {
			n, version, err := room.Increment(ctx, c.key, c.by, c.opts...)
			switch {
			case c.fail != "" && (!errors.Is(err, im.ErrConflict) || !strings.Contains(err.Error(), c.fail)):
				t.Errorf("%s by %d: %v, want %q", c.key, c.by, err, c.fail)
			case c.fail == "" && (err != nil || n != c.want || version == 0):
				t.Errorf("%s by %d: %d, %d, %v; want %d", c.key, c.by, n, version, err, c.want)
			}
		}
		first, v1, err := room.Increment(ctx, "likes", 3, im.SetID("once"))
		if err != nil {
			t.Fatal(err)
		}
		_, _, _ = room.Increment(ctx, "likes", 4)
		if again, v2, err := room.Increment(ctx, "likes", 3, im.SetID("once")); err != nil || again != first || v2 != v1 {
			t.Fatalf("the retry: %d, %d, %v; the first %d, %d", again, v2, err, first, v1)
		}
		for name, opts := range map[string][]im.SetOption{
			"bounds of a set": {im.AtLeast(1)}, "ttl": {im.WithTTL(-1)}, "owner": {im.WithOwner(strings.Repeat("u", 200))},
		} {
			if _, err := room.Set(ctx, "k", 1, opts...); code(err) != im.CodeBadRequest {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := room.Delete(ctx, "k", im.WithTTL(time.Second)); code(err) != im.CodeBadRequest {
			t.Errorf("a delete that expires: %v", err)
		}
	})
}

func TestStateIsBoundedInBytes(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		big := strings.Repeat("x", 3<<10)
		n := 0
		var err error
		for ; err == nil && n < 1000; n++ {
			_, err = room.Set(t.Context(), fmt.Sprintf("key-%03d", n), big)
		}
		if !errors.Is(err, im.ErrConflict) || !strings.Contains(err.Error(), "262144") || n < 80 || n > 90 {
			t.Fatalf("after %d keys of 3 KiB: %v", n, err)
		}
		set(t, room, "key-000", "small") // what shrinks it is never too much
		set(t, room, "one more", big[:2000])
		if _, err := room.Set(t.Context(), "k", strings.Repeat("x", 4<<10)); code(err) != im.CodeTooLarge {
			t.Fatalf("a value of more than 4 KiB: %v", err)
		}
	})
}

func TestKeysExpireOnceAndForEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := sharedLog(t)
		a, b := imtest.NewHub(t, &im.Options{Log: log}), imtest.NewHub(t, &im.Options{Log: log})
		va, vb := a.Join("42", user("ann")), b.Join("42", user("bob"))
		room := a.Room("42")
		set(t, room, "poll", "open", im.WithTTL(10*time.Second))
		set(t, room, "kept", 1, im.WithTTL(5*time.Second))
		set(t, room, "kept", 2) // for good
		set(t, room, "longer", 1, im.WithTTL(5*time.Second))
		if _, _, err := room.Increment(t.Context(), "longer", 1); err != nil { // keeps its time
			t.Fatal(err)
		}
		for range 5 {
			va.Event()
			vb.Event()
		}
		pass(5*time.Second + 100*time.Millisecond)
		if got := value(t, room, "longer"); got != "" {
			t.Fatalf("longer is still %s", got)
		}
		if got := value(t, b.Room("42"), "poll"); got != `"open"` {
			t.Fatalf("poll is %s too early", got)
		}
		pass(5 * time.Second)
		if value(t, room, "poll") != "" || value(t, b.Room("42"), "poll") != "" || value(t, room, "kept") != "2" {
			t.Fatal("poll is still there, or kept is not")
		}
		for _, v := range []*imtest.Viewer{va, vb} { // two nodes append, one event has an effect
			for _, key := range []string{"longer", "poll"} {
				var c struct {
					Key    string
					Delete bool
				}
				if e := v.Event(); json.Unmarshal(e.Body, &c) != nil || c.Key != key || !c.Delete {
					t.Fatalf("delivered %s, want that %s is deleted", e.Body, key)
				}
			}
			if u, ok := v.TryNext(2 * time.Second); ok && u.Op == "event" {
				t.Fatalf("delivered %s as well", u.Event.Body)
			}
		}
	})
}

func TestKeysExpireWhileNobodyHasTheRoomOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := sharedLog(t)
		first := imtest.NewHub(t, &im.Options{Log: log})
		set(t, first.Room("42"), "poll", "open", im.WithTTL(time.Hour))
		set(t, first.Room("42"), "kept", 1, im.WithTTL(3*time.Hour))
		if err := first.Shutdown(t.Context()); err != nil { // it saves a snapshot
			t.Fatal(err)
		}
		pass(2 * time.Hour) // the events are past their retention
		second := imtest.NewHub(t, &im.Options{Log: log})
		if e := second.Connect(user("ann")).Join("42", nil); e.State["poll"] != nil || string(e.State["kept"]) != "1" {
			t.Fatalf("who comes in later sees %s", e.State)
		}
		pass(time.Hour + time.Second)
		if got := value(t, second.Room("42"), "kept"); got != "" {
			t.Fatalf("kept is %s after its time", got)
		}
	})
}

// A wall clock that is set neither loses an expiry nor doubles it (F10).
func TestExpiryBearsAWallClockThatIsSet(t *testing.T) {
	for _, c := range []struct {
		name string
		jump time.Duration
		gone time.Duration // after so long it must be gone
		here time.Duration // and after so long it must not
	}{
		{"forward", time.Hour, 62 * time.Second, 0},
		{"back", -30 * time.Minute, 40*time.Minute + 2*time.Second, 39 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			var skew time.Duration
			now := func() time.Time {
				mu.Lock()
				defer mu.Unlock()
				return time.Now().Add(skew)
			}
			bubble(t, &im.Options{Now: now}, func(t *testing.T, hub *imtest.Hub) {
				room := hub.Room("42")
				set(t, room, "poll", 1, im.WithTTL(10*time.Minute))
				pass(time.Second / 2)
				mu.Lock()
				skew = c.jump
				mu.Unlock()
				pass(c.here)
				if c.here > 0 && value(t, room, "poll") != "1" {
					t.Fatal("it is gone too early")
				}
				pass(c.gone - c.here)
				if got := value(t, room, "poll"); got != "" {
					t.Fatalf("it is still %s", got)
				}
				mu.Lock()
				skew = -c.jump
				mu.Unlock()
				pass(3 * time.Minute)
				if head, _ := room.Position(t.Context()); head.Seq != 2 {
					t.Fatalf("it took %d events", head.Seq)
				}
			})
		})
	}
}

func TestSyncSeesWhatOtherNodesHaveWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := sharedLog(t)
		a, b := imtest.NewHub(t, &im.Options{Log: log}), imtest.NewHub(t, &im.Options{Log: tardyLog{log}})
		for i := range 20 {
			set(t, a.Room("42"), "slide", i)
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					if err := b.Room("42").State().Sync(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if got := value(t, b.Room("42"), "slide"); got != fmt.Sprint(i) {
				t.Fatalf("after Sync the slide is %s, want %d", got, i)
			}
		}
		head, err := log.Head(t.Context(), "42")
		if err != nil || head.Seq > 60 {
			t.Fatalf("200 calls of Sync and 20 changes took %d events (%v): calls that come together share one", head.Seq, err)
		}
		if page, _ := a.Room("42").History(t.Context(), im.HistoryQuery{}); len(page.Events) != 20 {
			t.Fatalf("the history has %d events, want the 20 changes alone", len(page.Events))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := a.Room("42").State().Sync(ctx); code(err) != im.CodeTimeout {
			t.Fatalf("a context that has ended: %v", err)
		}
	})
}

func TestWatchYieldsTheNewestValues(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		set(t, room, "slide", 1)
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		next, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for change, err := range room.State().Watch(ctx) {
				if err != nil {
					t.Error(err)
				}
				got = append(got, fmt.Sprintf("%s=%s/%s", change.Key, change.Value, change.Owner))
				<-next
			}
		}()
		synctest.Wait()
		for i := range 100 { // while the watcher is busy
			set(t, room, "slide", i+2)
		}
		set(t, room, "seat", "ann", im.WithOwner("ann"), im.WithTTL(time.Minute))
		next <- struct{}{}
		next <- struct{}{}
		next <- struct{}{}
		if err := room.Delete(t.Context(), "slide"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		next <- struct{}{}
		synctest.Wait()
		cancel()
		<-done
		if want := `[slide=1/ slide=101/ seat="ann"/ann slide=/]`; fmt.Sprint(got) != want {
			t.Fatalf("got  %v\nwant %s", got, want)
		}
		for _, err := range hub.Room("a\nb").State().Watch(t.Context()) {
			if code(err) != im.CodeBadRequest {
				t.Fatal(err)
			}
		}
	})
}

// tardyLog takes its time.
type tardyLog struct{ *im.MemoryLog }

func (l tardyLog) Append(ctx context.Context, room string, events []*im.Event) ([]im.Appended, error) {
	pass(10 * time.Millisecond)
	return l.MemoryLog.Append(ctx, room, events)
}

// stubbornLog takes nothing while it is told to.
type stubbornLog struct {
	*im.MemoryLog
	refuses atomic.Bool
	refused atomic.Int64
}

func (l *stubbornLog) Append(ctx context.Context, room string, events []*im.Event) ([]im.Appended, error) {
	if l.refuses.Load() {
		l.refused.Add(1)
		return nil, im.ErrNotStored
	}
	return l.MemoryLog.Append(ctx, room, events)
}

func TestExpiryWaitsForALogThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &stubbornLog{MemoryLog: sharedLog(t)}
		hub := imtest.NewHub(t, patient(log))
		room := hub.Room("42")
		set(t, room, "poll", 1, im.WithTTL(10*time.Second))
		ann := hub.Join("42", user("ann"))
		sit(t, ann, "seat.1")
		log.refuses.Store(true)
		ann.Leave("42")
		pass(time.Minute)
		if n := log.refused.Load(); n < 30 || n > 200 {
			t.Fatalf("it tried %d times in a minute", n)
		}
		log.refuses.Store(false)
		pass(10 * time.Second)
		if value(t, room, "poll") != "" || value(t, room, "seat.1") != "" {
			t.Fatal("what had to go is still there")
		}
	})
}
