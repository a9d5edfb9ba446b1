package im_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

var unlimited = im.Limits{
	User:       map[im.Kind]im.Limit{im.Danmaku: im.Unlimited, im.Chat: im.Unlimited},
	Room:       map[im.Kind]im.Limit{im.Chat: im.Unlimited},
	Connection: im.Unlimited,
	Accept:     im.Unlimited,
}

// F1: slow consumers. The storm is run twice in the same process, without and
// with viewers that never read.
func TestF1SlowConsumers(t *testing.T) {
	eachPath(t, func(t *testing.T, p ioPath, full bool) {
		load := stormLoad{path: p, viewers: 60, every: 10 * time.Millisecond, length: 4 * time.Second}
		switch {
		case soak():
			load = stormLoad{path: p, viewers: 60, silent: 940, every: 5 * time.Millisecond, length: time.Minute}
		case !full:
			load.viewers, load.length = 40, 1500*time.Millisecond
		}
		judgeSlowConsumers(t, load)
	})
}

func judgeSlowConsumers(t *testing.T, load stormLoad) {
	// Machines are noisy: where a pair of runs misses the bar, the median of three decides.
	const mostBytes = 64 << 10
	var excess []time.Duration
	var perStuck []int
	for len(excess) == 0 || len(excess) < 3 && (excess[0] > 0 || perStuck[0] > mostBytes) {
		e, bytes := slowConsumers(t, load)
		excess, perStuck = append(excess, e), append(perStuck, bytes)
	}
	slices.Sort(excess)
	slices.Sort(perStuck)
	if e := excess[len(excess)/2]; e > 0 {
		t.Errorf("p99 of the others with stuck viewers is %v above the bar", e)
	}
	if b := perStuck[len(perStuck)/2]; b > mostBytes {
		t.Errorf("a stuck viewer costs %d bytes, want at most 64 KiB", b)
	}
}

// slowConsumers runs a storm without and with stuck viewers, and returns by how
// much the p99 of the others is above its bar, 1.5 times, or 5 ms more than,
// without, and what a stuck viewer costs.
func slowConsumers(t *testing.T, load stormLoad) (excess time.Duration, perStuck int) {
	const stuck = 10
	calm, without := storm(t, load)
	load.stuck = stuck
	slow, with := storm(t, load)
	perStuck = max(0, with-without) / stuck
	t.Logf("p99 of the others: %v without, %v with %d stuck viewers; %d bytes of memory per stuck viewer", calm, slow, stuck, perStuck)
	return slow - max(calm*3/2, calm+5*time.Millisecond), perStuck
}

// stormLoad is a storm of danmaku, with a notice for each hundred.
type stormLoad struct {
	path          ioPath
	viewers       int // that read and measure
	silent        int // that read only, since this process has to read for all of them
	stuck         int // that do not read
	every, length time.Duration
}

func (l stormLoad) events() int { return int(l.length / l.every) }

// storm returns the p99 of the delay to the viewers that read, and by how much
// memory has grown.
func storm(t *testing.T, load stormLoad) (p99 time.Duration, grown int) {
	t.Helper()
	hub, url := serve(t, imtest.BearerUser, &im.Options{IO: load.path.io, Limits: unlimited, Timeouts: im.Timeouts{Write: 5 * time.Minute, Heartbeat: 5 * time.Minute}}, nil, func(s *http.Server) {
		s.ConnState = func(c net.Conn, state http.ConnState) {
			if tc, ok := c.(*net.TCPConn); ok && state == http.StateNew {
				_ = tc.SetWriteBuffer(8 << 10) // so that stuck viewers get stuck soon
			}
		}
	})
	frozen := watch(t, url, "42", load.stuck)
	for _, w := range frozen.viewers {
		_ = w.conn.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	crowd := watch(t, url, "42", load.viewers)
	crowd.run()
	var silent sync.WaitGroup
	for _, w := range watch(t, url, "42", load.silent).viewers {
		silent.Go(func() { _, _ = io.Copy(io.Discard, w.conn) })
	}
	defer silent.Wait()
	room := hub.Room("42")
	before := heap()
	pad := strings.Repeat("x", 200)
	start, notices := time.Now(), 0
	for i := range load.events() {
		<-time.After(time.Until(start.Add(time.Duration(i) * load.every)))
		kind := im.Danmaku
		if i%100 == 50 {
			kind = im.Notice
			notices++
		}
		if _, err := room.Send(t.Context(), kind, stamped{time.Now().UnixNano(), pad}); err != nil {
			t.Fatal(err)
		}
	}
	if load.stuck > 0 && hub.Stats().FullSends == 0 {
		t.Error("no viewer got stuck: the test shows nothing")
	}
	if _, err := room.Send(t.Context(), im.Notice, "end"); err != nil {
		t.Fatal(err)
	}
	crowd.done.Wait()
	grown = heap() - before // what the others had not read yet is gone
	// The stuck ones read again: a gap or a reset, and every notice.
	frozen.run()
	frozen.done.Wait()
	for i, w := range frozen.viewers {
		if !w.finished || w.gaps+w.resets == 0 {
			t.Errorf("stuck viewer %d: finished %v, %d gaps, %d resets", i, w.finished, w.gaps, w.resets)
		}
		if w.kinds["notice"] != notices+1 {
			t.Errorf("stuck viewer %d has %d of %d notices", i, w.kinds["notice"], notices+1)
		}
		if total := w.kinds["danmaku"] + w.missed; total != load.events()-notices {
			t.Errorf("stuck viewer %d got %d danmaku and was told of %d missed, of %d", i, w.kinds["danmaku"], w.missed, load.events()-notices)
		}
	}
	p99 = crowd.percentile(99)
	load.path.used(t, hub, true)
	_ = hub.Close()
	return p99, grown
}

func heap() int {
	runtime.GC()
	runtime.GC() // what pools held through the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// A viewer that reads nothing is cut off within the write timeout.
func TestF1StuckViewerIsClosed(t *testing.T) {
	bubble(t, &im.Options{Limits: unlimited, Timeouts: im.Timeouts{Write: 5 * time.Second}}, func(t *testing.T, hub *imtest.Hub) {
		v := hub.ConnectSlow(user("stuck"), 512)
		v.Join("42", nil)
		for i := range 100 {
			if _, err := hub.Room("42").Send(t.Context(), im.Notice, i); err != nil {
				t.Fatal(err)
			}
		}
		pass(7 * time.Second)
		if n := hub.Room("42").Len(); n != 0 {
			t.Fatalf("%d viewers left after the write timeout", n)
		}
	})
}

// F2: a peer that has gone without a word is found within heartbeat plus
// timeout, 40 s by default.
func TestF2SilentPeerIsFound(t *testing.T) {
	eachPath(t, func(t *testing.T, p ioPath, full bool) {
		hub, url := serve(t, imtest.BearerUser, &im.Options{IO: p.io, Timeouts: im.Timeouts{Heartbeat: time.Second, Answer: time.Second}}, nil, nil)
		alive := dialAs(t, url, "alive")
		dead := dialAs(t, url, "dead")
		for _, s := range []*socket{alive, dead} {
			s.expect("welcome")
			s.send(`{"op":"join","id":1,"room":"42"}`)
			s.expect("joined")
		}
		go alive.end() // answers pings
		eventually(t, 10*time.Second, func() string {
			if hub.Room("42").Len() == 2 {
				return "the dead peer is still in the room"
			}
			return ""
		})
		if full {
			pass(3 * time.Second)
		} else {
			pass(1200 * time.Millisecond) // one heartbeat more
		}
		if n := hub.Room("42").Len(); n != 1 {
			t.Fatalf("%d in the room, want the living one", n)
		}
		p.used(t, hub, false)
		_ = alive.conn.Close()
	})
}

// F13: hooks of the host that panic, hang or end their goroutine cost the
// operation and nothing else.
func TestF13HostHooks(t *testing.T) {
	misbehave := func(how string) {
		switch how {
		case "panic":
			panic("the host is broken")
		case "exit":
			runtime.Goexit()
		}
	}
	for _, how := range []string{"panic", "exit", "hang"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				act := func(body string) {
					if body != "bad" {
						return
					}
					if how == "hang" {
						<-release
					}
					misbehave(how)
				}
				opts := &im.Options{
					Timeouts: im.Timeouts{Hook: 2 * time.Second},
					Admit: func(_ context.Context, _ *im.Session, room string) error {
						act(room)
						return nil
					},
					Intercept: []im.Middleware{func(next im.SendFunc) im.SendFunc {
						return func(ctx context.Context, d *im.Draft) (im.Receipt, error) {
							var s string
							_ = json.Unmarshal(d.Body, &s)
							act(s)
							return next(ctx, d)
						}
					}},
				}
				hub := imtest.NewHub(t, opts)
				hub.Handle("host.op", func(_ context.Context, r *im.Request) (any, error) {
					var s string
					_ = json.Unmarshal(r.Body, &s)
					act(s)
					return "done", nil
				})
				ann, bob := hub.Join("42", user("ann")), hub.Join("42", user("bob"))
				want := im.CodeInternal
				if how == "hang" {
					want = im.CodeTimeout
				}
				if _, err := ann.TryJoin("bad", nil); code(err) != want {
					t.Errorf("Admit: %v", err)
				}
				if _, err := ann.Call("host.op", "42", "bad"); code(err) != want {
					t.Errorf("operation: %v", err)
				}
				r, err := ann.Send(im.Chat, "bad")
				if how == "hang" && r.Status != im.StatusUnknown || how != "hang" && code(err) != want {
					t.Errorf("Intercept: %+v, %v", r, err)
				}
				if n := hub.Stats().HangingHooks; n != 0 && how != "hang" || how == "hang" && n != 3 {
					t.Errorf("%d hooks hang", n)
				}
				// The same session and the others go on.
				for _, v := range []*imtest.Viewer{ann, bob} {
					if b, err := v.Call("host.op", "42", "good"); err != nil || string(b) != `"done"` {
						t.Errorf("afterwards: %s, %v", b, err)
					}
					if r, err := v.Send(im.Chat, "good"); err != nil || r.Status != im.StatusOK {
						t.Errorf("afterwards: %+v, %v", r, err)
					}
				}
				if e := bob.Event(); string(e.Body) != `"good"` {
					t.Errorf("bob got %s", e.Body)
				}
				close(release)
				synctest.Wait()
				if n := hub.Stats().HangingHooks; n != 0 {
					t.Errorf("%d hooks hang after they were released", n)
				}
			})
		})
	}
}

// F13 for the hooks that run outside of requests: the Authenticator, in the
// server's own goroutine, and the observer, in everybody's.
func TestF13AuthenticatorAndObserver(t *testing.T) {
	auth := func(r *http.Request) (im.User, error) {
		switch token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); token {
		case "panic":
			panic("the host is broken")
		case "exit":
			runtime.Goexit()
		case "hang":
			<-r.Context().Done()
			return im.User{}, r.Context().Err()
		case "bad user":
			return im.User{ID: "a\nb"}, nil
		default:
			return im.User{ID: token}, nil
		}
		panic("unreachable")
	}
	var panics atomic.Int64
	_, url := serve(t, auth, &im.Options{
		Timeouts: im.Timeouts{Hook: 200 * time.Millisecond},
		Observe: func(im.Signal) {
			panics.Add(1)
			panic("the observer is broken")
		},
	}, nil, nil)
	for token, status := range map[string]string{"panic": "500", "exit": "500", "hang": "504", "bad user": "500"} {
		if _, err := tryDial(t, url, http.Header{"Authorization": {"Bearer " + token}}); err == nil || !strings.Contains(err.Error(), status) {
			t.Errorf("%s: %v, want %s", token, err, status)
		}
	}
	s := dialAs(t, url, "ann")
	s.expect("welcome")
	s.send(`{"op":"join","id":1,"room":"42"}`)
	s.expect("joined")
	s.send(`{"op":"send","id":2,"room":"42","kind":"chat","body":1}`)
	s.expect("ack")
	if panics.Load() < 3 {
		t.Fatalf("the observer was called %d times", panics.Load())
	}
}

// F14: graceful shutdown under load.
func TestF14ShutdownUnderLoad(t *testing.T) {
	viewers, rooms, rate := 300, 20, 1000
	if soak() {
		viewers, rooms, rate = 2000, 100, 5000
	}
	log, err := im.NewMemoryLog(&im.MemoryLogOptions{KeepEvents: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	hub, err := im.New(imtest.BearerUser, &im.Options{Log: log, Limits: unlimited, Pressure: calm})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.StripPrefix("/im", hub))
	defer srv.Close()
	url := "ws" + strings.TrimPrefix(srv.URL, "http") + "/im/ws"
	var crowds []*swarm
	for r := range rooms {
		s := watch(t, url, fmt.Sprintf("room-%d", r), viewers/rooms)
		s.run()
		crowds = append(crowds, s)
	}
	// Writers over all rooms; what was acknowledged must be in the log.
	var writers sync.WaitGroup
	var acked sync.Map
	stop := make(chan struct{})
	const writing = 20
	for w := range writing {
		writers.Go(func() {
			tick := time.NewTicker(time.Second * writing / time.Duration(rate))
			defer tick.Stop()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				room := fmt.Sprintf("room-%d", (w+i)%rooms)
				e, err := hub.Room(room).Send(context.Background(), im.Chat, i)
				if errors.Is(err, im.ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("send under load: %v", err)
					return
				}
				acked.Store(room+" "+e.ID, true)
			}
		})
	}
	<-time.After(time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	start := time.Now()
	if err := hub.Shutdown(ctx); err != nil {
		t.Fatalf("Shutdown: %v", err)
	}
	took := time.Since(start)
	close(stop)
	writers.Wait()
	if err := srv.Config.Shutdown(ctx); err != nil {
		t.Errorf("http.Server.Shutdown: %v", err)
	}
	returns := map[int64]int{}
	for _, s := range crowds {
		s.done.Wait()
		for _, w := range s.viewers {
			if w.bye == nil || w.bye.Code != "shutdown" || w.closed != 1012 {
				t.Errorf("a viewer was not told: %+v, close code %d", w.bye, w.closed)
				continue
			}
			returns[w.bye.Retry/100]++
		}
	}
	for bucket, n := range returns {
		if mean := float64(viewers) / 10; float64(n) > 3*mean {
			t.Errorf("%d of %d clients are told to come back in the same 100 ms (%d)", n, viewers, bucket)
		}
	}
	lost, total := 0, 0
	stored := map[string]bool{}
	for r := range rooms {
		room := fmt.Sprintf("room-%d", r)
		page, err := log.Read(t.Context(), room, im.Range{Max: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			stored[room+" "+e.ID] = true
		}
	}
	acked.Range(func(id, _ any) bool {
		total++
		if !stored[id.(string)] {
			lost++
		}
		return true
	})
	t.Logf("%d viewers in %d rooms, %d events acknowledged: shut down in %v", viewers, rooms, total, took.Round(time.Millisecond))
	if lost > 0 || total == 0 {
		t.Errorf("%d of %d acknowledged events are lost", lost, total)
	}
}

func TestShutdownAndCloseMayBeCalledTogether(t *testing.T) {
	hub, url := serve(t, imtest.BearerUser, nil, nil, nil)
	crowd := watch(t, url, "42", 20)
	crowd.run()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { _ = hub.Close() })
		wg.Go(func() { _ = hub.Shutdown(t.Context()) })
	}
	wg.Wait()
	crowd.done.Wait()
	if _, err := hub.Room("42").Send(t.Context(), im.Notice, 1); !errors.Is(err, im.ErrClosed) {
		t.Fatalf("send after the end: %v", err)
	}
	if _, err := hub.User("ann").Send(t.Context(), im.Notice, 1); !errors.Is(err, im.ErrClosed) {
		t.Fatalf("direct send after the end: %v", err)
	}
}

// Rooms and sessions that do nothing own no goroutine.
func TestIdleRoomsAndSessionsOwnNoGoroutine(t *testing.T) {
	const rooms, sessions = 10_000, 5_000
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		before, memory := runtime.NumGoroutine(), heap()
		for i := range rooms {
			if _, err := hub.Room(fmt.Sprint("room-", i)).Send(t.Context(), im.Notice, i); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		afterRooms := heap()
		perRoom := (afterRooms - memory) / rooms
		for i := range sessions {
			v := hub.Join(fmt.Sprint("room-", i%rooms), user(fmt.Sprint("u", i)))
			v.TryNext(time.Millisecond)
		}
		pass(5 * time.Second)
		perSession := (heap() - afterRooms) / sessions
		grown := runtime.NumGoroutine() - before
		t.Logf("%d rooms of one event and %d sessions: %d goroutines more; %d bytes a room, %d a session (viewer of the test included)",
			rooms, sessions, grown, perRoom, perSession)
		if grown > 10 {
			t.Errorf("%d goroutines more than without rooms and sessions", grown)
		}
		if n := hub.Stats(); n.Sessions != sessions || n.Rooms != rooms {
			t.Errorf("%+v", n)
		}
	})
}
