package filelog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/storage/filelog/internal/disk/disktest"
)

const (
	stallRoom  = "42"
	stallTime  = 5 * time.Second
	stallSoon  = 1100 * time.Millisecond // within which whatever waits for the disk is answered
	stallQueue = 100                     // events that may wait for the disk, where a test fills the queue
)

// F6: the disk of a hub stalls for 5 s. Danmaku go on as before. Who sends a gift is told within a second that its fate
// is not known, and may safely send it again; and no more than a stated number of gifts wait. IM_SOAK=1 does it in real
// time as well.
func TestF6StallThroughAHub(t *testing.T) {
	t.Run("gifts are retried", func(t *testing.T) { synctest.Test(t, testStallRetries) })
	t.Run("thousands of gifts", func(t *testing.T) { synctest.Test(t, testStallCrowd) })
	if os.Getenv("IM_SOAK") == "1" {
		t.Run("gifts are retried in real time", testStallRetries)
		t.Run("thousands of gifts in real time", testStallCrowd)
	}
}

// testStallRetries has two clients send a gift again and again under one cid, one as an event and one by an operation.
func testStallRetries(t *testing.T) {
	s := newStallHub(t, Options{})
	ann := s.hub.Join(stallRoom, im.User{ID: "ann"})
	bob := s.hub.Join(stallRoom, im.User{ID: "bob"})
	mistaken := s.hub.Join(stallRoom, im.User{ID: "ann"})
	calm := s.traffic(2*time.Second, nil)

	waiting, release := s.fsys.Stall(disktest.Sync, "")
	t.Cleanup(release) // so that a test that fails can close the log
	byAnn := retried(func() (string, error) {
		r, err := ann.SendTo(stallRoom, im.Gift, "rose", "from ann")
		if r.Status == im.StatusUnknown {
			return "", errUnknown
		}
		return r.Event, err
	})
	<-waiting
	byBob := retried(func() (string, error) {
		pos, err := bob.CallAs("gift.send", stallRoom, "rose", "from bob")
		return strings.Trim(string(pos), `"`), err
	})
	mixed := retried(func() (string, error) { // of ann as well, and under the id of her gift: what it is depends on the disk
		r, err := mistaken.SendTo(stallRoom, im.Danmaku, "rose", "no rose")
		if r.Status == im.StatusUnknown {
			return "", errUnknown
		}
		return conflictOnly(r, err)
	})
	stall := s.traffic(stallTime, nil)
	began := time.Now()
	s.hub.Join(stallRoom, im.User{ID: "late"})
	if d := time.Since(began); d > 100*time.Millisecond {
		t.Errorf("joining took %v while the disk stalls: it waits for nothing", d)
	}
	release()
	after := s.traffic(time.Second, nil)
	if stall > 2*calm || after > 2*calm {
		t.Errorf("99 of 100 danmaku were shown within %v before the stall, %v in it and %v after it: want twice the first at most", calm, stall, after)
	}
	a, b := <-byAnn, <-byBob
	a.check(t, "ann", errUnknown)
	b.check(t, "bob", &im.Error{Code: im.CodeTimeout})
	m := <-mixed
	m.check(t, "ann, with a danmaku under the id of her gift,", errUnknown)
	if m.answer != conflicts {
		t.Errorf("a danmaku under the id of a gift was acknowledged as %q, want a conflict", m.answer)
	}
	ofAnn, ofBob := s.once(`"from ann"`), s.once(`"from bob"`)
	if a.answer != ofAnn.ID {
		t.Errorf("ann's gift was acknowledged as %q, and is %q in the log", a.answer, ofAnn.ID)
	}
	if b.answer != ofBob.Pos.String() {
		t.Errorf("bob's gift was acknowledged at %s, and is at %s", b.answer, ofBob.Pos)
	}
	t.Logf("danmaku within %v, %v and %v; ann was told %d times that it is not known, and bob %d times",
		calm, stall, after, len(a.took)-1, len(b.took)-1)
}

// testStallCrowd has each of many clients send a gift a second, each under a cid of its own.
func testStallCrowd(t *testing.T) {
	const clients = 500
	s := newStallHub(t, Options{QueueEvents: stallQueue})
	crowd := make([]*imtest.Viewer, clients)
	for i := range crowd {
		crowd[i] = s.hub.Connect(im.User{ID: fmt.Sprint("giver-", i)})
		crowd[i].Join(stallRoom, &imtest.JoinOptions{Tier: "critical"})
	}
	calm := s.traffic(2*time.Second, nil)
	goroutines, heap := runtime.NumGoroutine(), heapInUse()

	_, release := s.fsys.Stall(disktest.Sync, "")
	t.Cleanup(release)
	over := time.Now().Add(stallTime)
	answers := make(chan crowdAnswer, 10*clients)
	done := make(chan struct{}, clients)
	for i, v := range crowd {
		go func() {
			defer func() { done <- struct{}{} }()
			for n := 0; time.Until(over) > stallSoon; n++ {
				a := crowdAnswer{body: fmt.Sprintf("gift-%d-%d", i, n)}
				began := time.Now()
				r, err := v.SendTo(stallRoom, im.Gift, a.body, a.body)
				a.took, a.status, a.err = time.Since(began), r.Status, err
				answers <- a
				if e, ok := errors.AsType[*im.Error](err); ok {
					pass(max(e.RetryAfter, 100*time.Millisecond))
				}
			}
		}()
	}
	most, threads := 0, 0
	stall := s.traffic(stallTime, func() {
		most = max(most, s.log.Stats().QueueEvents)
		threads = max(threads, runtime.NumGoroutine())
	})
	grown := heapInUse() - heap
	for range clients {
		<-done
	}
	release()
	after := s.traffic(time.Second, nil)
	if stall > 2*calm || after > 2*calm {
		t.Errorf("99 of 100 danmaku were shown within %v before the stall, %v in it and %v after it: want twice the first at most", calm, stall, after)
	}
	if most > stallQueue {
		t.Errorf("%d events waited for the disk, want %d at most", most, stallQueue)
	}
	if threads > goroutines+2*clients {
		t.Errorf("%d goroutines during the stall, want no more than two for each of %d clients above the %d before it", threads, clients, goroutines)
	}
	unknown, refused := s.checkCrowd(answers)
	t.Logf("danmaku within %v, %v and %v; of %d gifts it was not known of %d and %d were refused; %d waited at most; %d goroutines, %d before; the heap grew by %d KiB",
		calm, stall, after, unknown+refused, unknown, refused, most, threads, goroutines, grown>>10)
}

// crowdAnswer is what a client was told of one gift.
type crowdAnswer struct {
	body   string
	took   time.Duration
	status im.Status
	err    error
}

// checkCrowd checks what the clients were told: soon, that it is not known, or that nothing was stored, and then nothing is.
func (s *stallHub) checkCrowd(answers chan crowdAnswer) (unknown, refused int) {
	t := s.t
	stored := map[string]int{}
	for _, e := range all(t, s.log, stallRoom) {
		stored[string(e.Body)]++
	}
	close(answers)
	for a := range answers {
		if a.took > stallSoon {
			t.Errorf("%s was answered after %v, want %v at most", a.body, a.took, stallSoon)
		}
		n := stored[fmt.Sprintf("%q", a.body)]
		switch {
		case a.err == nil && a.status == im.StatusUnknown:
			if unknown++; n != 1 { // the log took it, and the disk works again
				t.Errorf("%s is %d times in the log, and its fate was not known", a.body, n)
			}
		case errors.Is(a.err, &im.Error{Code: im.CodeOverloaded}):
			if refused++; n != 0 {
				t.Errorf("%s is in the log, and was refused as overloaded", a.body)
			}
		default:
			t.Errorf("%s was answered %q, %v", a.body, a.status, a.err)
		}
	}
	if unknown > 2*stallQueue { // what is being synced, and what waits for that
		t.Errorf("%d gifts were taken, want %d at most", unknown, 2*stallQueue)
	}
	if unknown == 0 || refused == 0 {
		t.Errorf("it was not known of %d gifts, and %d were refused: want some of both", unknown, refused)
	}
	return unknown, refused
}

var errUnknown = errors.New("it is not known whether it is stored")

// conflicts stands for the answer that something else came first.
const conflicts = "conflict"

func conflictOnly(r im.Receipt, err error) (string, error) {
	if errors.Is(err, &im.Error{Code: im.CodeConflict}) {
		return conflicts, nil
	}
	return r.Event, err
}

// attempts are what a client was told that sent the same thing until it was acknowledged.
type attempts struct {
	took   []time.Duration
	errs   []error
	answer string
}

func retried(send func() (string, error)) <-chan attempts {
	done := make(chan attempts, 1)
	go func() {
		var a attempts
		for len(a.took) < 100 {
			began := time.Now()
			answer, err := send()
			a.took = append(a.took, time.Since(began))
			if err == nil {
				a.answer = answer
				break
			}
			a.errs = append(a.errs, err)
			pass(100 * time.Millisecond)
		}
		done <- a
	}()
	return done
}

// check checks that each attempt was answered soon, and all that failed in one way.
func (a attempts) check(t *testing.T, who string, want error) {
	if len(a.errs) < 3 {
		t.Errorf("%s was told %v while the disk stalled, want %v every second", who, a.errs, want)
	}
	for i, err := range a.errs {
		if !errors.Is(err, want) {
			t.Errorf("%s was told %v, want %v", who, err, want)
		}
		if a.took[i] > stallSoon {
			t.Errorf("%s was told %v after %v, want %v at most", who, err, a.took[i], stallSoon)
		}
	}
}

// stallHub is a hub on a disk that can stall, with viewers who read everything.
type stallHub struct {
	t       *testing.T
	fsys    *disktest.FS
	log     *Log
	hub     *imtest.Hub
	sender  *imtest.Viewer
	viewers []*imtest.Viewer
	shown   [][]*im.Event // by viewer
	sent    int
}

func newStallHub(t *testing.T, o Options) *stallHub {
	fsys := disktest.New()
	l := openFS(t, fsys, o)
	free := map[im.Kind]im.Limit{im.Danmaku: im.Unlimited, im.Gift: im.Unlimited}
	hub := imtest.NewHub(t, &im.Options{
		Log: l, Logger: quiet(), Kinds: []im.KindSpec{{Kind: im.Gift, Class: im.Critical, From: im.Everyone()}},
		Limits: im.Limits{User: free, Room: free, Requests: im.Unlimited, Connection: im.Unlimited},
	})
	hub.Handle("gift.send", func(ctx context.Context, r *im.Request) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second) // a client waits no longer
		defer cancel()
		e, err := hub.Room(r.Room).Send(ctx, im.Gift, r.Body)
		if err != nil {
			return nil, err
		}
		return e.Pos.String(), nil
	})
	s := &stallHub{t: t, fsys: fsys, log: l, hub: hub, sender: hub.Join(stallRoom, im.User{ID: "flier"})}
	for i := range 8 {
		s.viewers = append(s.viewers, hub.Join(stallRoom, im.User{ID: fmt.Sprint("watcher-", i)}))
	}
	s.shown = make([][]*im.Event, len(s.viewers))
	return s
}

// traffic has danmaku sent for a time, two that come close together and then none for a while, below the budget of the
// room. It returns within which time 99 of 100 were shown to every viewer. then is called after each, if it is not nil.
func (s *stallHub) traffic(d time.Duration, then func()) time.Duration {
	s.t.Helper()
	var took []time.Duration
	for until := time.Now().Add(d); time.Now().Before(until); {
		for _, wait := range []time.Duration{5 * time.Millisecond, 55 * time.Millisecond} {
			next := time.Now().Add(wait)
			took = append(took, s.fly())
			if then != nil {
				then()
			}
			pass(time.Until(next))
		}
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// fly sends one danmaku and returns how long it was until all viewers were shown it.
func (s *stallHub) fly() time.Duration {
	s.t.Helper()
	s.sent++
	body := fmt.Sprint(s.sent)
	began := time.Now()
	if r, err := s.sender.SendTo(stallRoom, im.Danmaku, "", s.sent); err != nil || r.Status != im.StatusOK {
		s.t.Errorf("danmaku %s came to %q: %v", body, r.Status, err)
		return 0
	}
	for i, v := range s.viewers {
		for {
			e := v.Event()
			s.shown[i] = append(s.shown[i], e)
			if string(e.Body) == body {
				break
			}
		}
	}
	return time.Since(began)
}

// once checks that the log has one event with the body, and that every viewer was shown it once and there.
func (s *stallHub) once(body string) *im.Event {
	s.t.Helper()
	with := func(list []*im.Event) (found []*im.Event) {
		for _, e := range list {
			if string(e.Body) == body {
				found = append(found, e)
			}
		}
		return found
	}
	stored := with(all(s.t, s.log, stallRoom))
	if len(stored) != 1 {
		s.t.Fatalf("%s is %d times in the log, want once", body, len(stored))
	}
	for i, shown := range s.shown {
		checkOrder(s.t, shown)
		if got := with(shown); len(got) != 1 || got[0].Pos != stored[0].Pos || got[0].ID != stored[0].ID {
			s.t.Errorf("%s is at %s, and viewer %d was shown it %d times: %v", body, stored[0].Pos, i, len(got), got)
		}
	}
	return stored[0]
}

// heapInUse is how many bytes of memory are in use.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
