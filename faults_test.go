package im_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
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
