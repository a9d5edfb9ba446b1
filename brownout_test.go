package im_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/transport/pipe"
)

// gauge is a pressure that a test sets.
type gauge struct{ v atomic.Value }

func (g *gauge) set(p float64) { g.v.Store(p) }

func (g *gauge) read() float64 {
	p, _ := g.v.Load().(float64)
	return p
}

// climb sets the gauge to its limit until the hub has got to the level, then where it stays.
func (g *gauge) climb(hub *im.Hub, level im.BrownoutLevel) {
	g.set(1)
	for hub.Stats().Brownout < level {
		pass(50 * time.Millisecond)
	}
	g.set(0.8)
}

func TestBrownoutIsObserved(t *testing.T) {
	var g gauge
	var mu sync.Mutex
	var levels []im.BrownoutLevel
	var logged bytes.Buffer
	opts := &im.Options{
		Pressure: g.read,
		Logger:   slog.New(slog.NewTextHandler(&logged, nil)),
		Observe: func(s im.Signal) {
			if s.Type == im.SignalBrownout {
				mu.Lock()
				levels = append(levels, s.Level)
				mu.Unlock()
			}
		},
	}
	bubble(t, opts, func(t *testing.T, hub *imtest.Hub) {
		g.set(1.25)
		start := time.Now()
		for hub.Stats().Brownout < im.BrownoutRefusing {
			pass(50 * time.Millisecond)
		}
		if took := time.Since(start); took < 4*time.Second || took > 6*time.Second || hub.Stats().Pressure != 1.25 {
			t.Errorf("the top is reached after %v at pressure %v", took, hub.Stats().Pressure)
		}
		pass(time.Hour)
		g.set(0)
		start = time.Now()
		for hub.Stats().Brownout > im.BrownoutNone {
			pass(50 * time.Millisecond)
		}
		if took := time.Since(start); took < 25*time.Second || took > 28*time.Second {
			t.Errorf("calm again after %v", took)
		}
		g.set(100)
		pass(1600 * time.Millisecond)
		if got := hub.Stats().Brownout; got != im.BrownoutRefusing {
			t.Errorf("after three extreme samples the level is %v", got)
		}
		_ = hub.Close()
	})
	if want := []im.BrownoutLevel{1, 2, 3, 4, 5, 4, 3, 2, 1, 0, 2, 4, 5}; !slices.Equal(levels, want) {
		t.Errorf("observed %v, want %v", levels, want)
	}
	if n := strings.Count(logged.String(), "leaves out"); n != len(levels) || !strings.Contains(logged.String(), `level="no joins" before=coarse pressure=1.25`) {
		t.Errorf("%d lines for %d changes:\n%s", n, len(levels), &logged)
	}
	if im.BrownoutSlowed.String() != "slowed" || im.BrownoutLevel(9).String() != "BrownoutLevel(9)" {
		t.Error(im.BrownoutSlowed, im.BrownoutLevel(9))
	}
}

// A Pressure that fails is not asked again, and the hub goes on.
func TestPressureFails(t *testing.T) {
	for _, how := range []string{"panics", "hangs"} {
		t.Run(how, func(t *testing.T) {
			var calls atomic.Int64
			stop := make(chan struct{})
			hub, err := im.New(anybody, &im.Options{
				Timeouts: im.Timeouts{Hook: 400 * time.Millisecond},
				Pressure: func() float64 {
					if calls.Add(1); how == "panics" {
						panic("no such file")
					}
					<-stop
					return 9
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			pass(1800 * time.Millisecond)
			if n := calls.Load(); n != 1 {
				t.Errorf("it was called %d times", n)
			}
			if _, err := hub.Room("42").Send(t.Context(), im.Notice, 1); err != nil {
				t.Error(err)
			}
			close(stop)
			if err := hub.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBrownoutMakesTotalsCoarser(t *testing.T) {
	var g gauge
	opts := &im.Options{Pressure: g.read, Limits: im.Limits{User: map[im.Kind]im.Limit{im.Like: im.Unlimited}}}
	bubble(t, opts, func(t *testing.T, hub *imtest.Hub) {
		g.climb(hub.Hub, im.BrownoutCoarse)
		watcher, fan := hub.Join("42", user("watcher")), hub.Join("42", user("fan"))
		arrivalsOf(watcher, 10*time.Second)
		var likes, counts []time.Time
		total, count := "", 0
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
			if _, err := fan.Send(im.Like, 1); err != nil {
				t.Fatal(err)
			}
			hub.Connect(user(fmt.Sprint("u", time.Now().UnixNano()))).Join("42", nil)
			for {
				u, ok := watcher.TryNext(100 * time.Millisecond)
				if !ok {
					break
				}
				switch {
				case u.Op == "online":
					counts, count = append(counts, time.Now()), u.Count
				case u.Event != nil && u.Event.Kind == im.Like:
					likes, total = append(likes, time.Now()), string(u.Event.Body)
				}
			}
		}
		if len(likes) < 4 || len(likes) > 6 || len(counts) < 2 || len(counts) > 3 {
			t.Errorf("in 10 s %d totals of likes and %d counts", len(likes), len(counts))
		}
		for { // the last value always arrives
			u, ok := watcher.TryNext(10 * time.Second)
			if !ok {
				break
			}
			if u.Op == "online" {
				count = u.Count
			} else if u.Event != nil {
				total = string(u.Event.Body)
			}
		}
		if want := hub.Room("42").Len(); count != want || !strings.Contains(total, fmt.Sprintf(`"total":%d`, want-2)) {
			t.Errorf("the last count is %d, the last total %s; want %d and %d", count, total, want, want-2)
		}
	})
}

func TestBrownoutSlowsNormalKinds(t *testing.T) {
	var g gauge
	limits := im.Limits{User: map[im.Kind]im.Limit{im.Chat: im.Unlimited, im.Danmaku: im.Unlimited, im.Like: im.Unlimited, im.Notice: im.Unlimited, im.State: im.Unlimited}}
	opts := &im.Options{Pressure: g.read, Limits: limits, Kinds: []im.KindSpec{{Kind: im.Notice, Class: im.Critical, From: im.Everyone()}}}
	bubble(t, opts, func(t *testing.T, hub *imtest.Hub) {
		v, other := hub.Join("42", user("ann", "host")), hub.Join("43", user("ann"))
		send := func(kind im.Kind, n int) (stored int) {
			t.Helper()
			for range n {
				_, err := v.Send(kind, 1)
				var e *im.Error
				switch {
				case err == nil:
					stored++
				case !errors.As(err, &e) || e.Code != im.CodeOverloaded || e.RetryAfter <= 0 || e.RetryAfter > 2*time.Second:
					t.Fatalf("%s: %v", kind, err)
				}
			}
			return stored
		}
		g.climb(hub.Hub, im.BrownoutHalved)
		if n := send(im.Chat, 100); n != 100 {
			t.Errorf("a level below, %d of 100 chat messages were taken", n)
		}
		g.climb(hub.Hub, im.BrownoutSlowed)
		if n := send(im.Chat, 100); n != 20 {
			t.Errorf("%d of 100 chat messages were taken at once, want 20", n)
		}
		pass(time.Second)
		if n := send(im.Chat, 100); n != 20 {
			t.Errorf("%d of 100 chat messages were taken a second later, want 20", n)
		}
		if _, err := other.Send(im.Chat, 1); err != nil {
			t.Errorf("another room: %v", err)
		}
		// Nothing else is slowed.
		for _, kind := range []im.Kind{im.Danmaku, im.Like, im.Notice} {
			if n := send(kind, 100); n != 100 {
				t.Errorf("%d of 100 %s events were taken", n, kind)
			}
		}
		for range 50 {
			if _, err := hub.Room("42").Send(t.Context(), im.Chat, 1); err != nil {
				t.Fatalf("the host itself: %v", err)
			}
			if _, err := v.Set("42", "slide", 1, nil); err != nil {
				t.Fatalf("state: %v", err)
			}
		}
	})
}

// At the last level nothing new comes in, and what is there goes on.
func TestBrownoutRefusesConnections(t *testing.T) {
	var g gauge
	hub, url := serve(t, imtest.BearerUser, &im.Options{Pressure: g.read, Limits: unlimited}, nil, nil)
	hub.Handle("gift.send", func(ctx context.Context, r *im.Request) (any, error) {
		_, err := hub.Room(r.Room).Send(ctx, im.Gift, r.Body, im.WithID(r.EventID()))
		return nil, err
	})
	base := "http" + strings.TrimSuffix(strings.TrimPrefix(url, "ws"), "/ws")
	do := func(method, path, body string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer ann")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	defer http.DefaultClient.CloseIdleConnections()
	ann := dialAs(t, url, "ann")
	ann.send(`{"op":"join","id":1,"room":"42"}`)
	ann.expect("joined")
	var polled bytes.Buffer
	if _, err := polled.ReadFrom(do(http.MethodGet, "/poll?room=42&wait=0", "").Body); err != nil {
		t.Fatal(err)
	}
	_, sid, _ := strings.Cut(polled.String(), `"sid":"`)
	sid, _, _ = strings.Cut(sid, `"`)
	g.set(9)
	for hub.Stats().Brownout < im.BrownoutRefusing {
		pass(50 * time.Millisecond)
	}

	for _, path := range []string{"/ws", "/sse?room=42", "/sse?room=42&since=e.1", "/poll?room=42", "/poll?room=42&since=e.1&sid=" + strings.Repeat("A", 43)} {
		resp := do(http.MethodGet, path, "")
		seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if resp.StatusCode != http.StatusServiceUnavailable || err != nil || seconds < 5 || seconds > 30 {
			t.Errorf("%s: %s, Retry-After %q", path, resp.Status, resp.Header.Get("Retry-After"))
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(resp.Body); err != nil || !strings.Contains(b.String(), `"code":"overloaded"`) || !strings.Contains(b.String(), `"retry_ms":`) {
			t.Errorf("%s: %s, %v", path, &b, err)
		}
	}
	conn, peer := pipe.New(nil)
	defer func() { _ = peer.Close() }()
	if _, err := hub.Attach(conn, im.User{ID: "bot"}); !errors.Is(err, &im.Error{Code: im.CodeOverloaded}) {
		t.Errorf("Attach: %v", err)
	}

	// Who is in goes on, and so does who needs no connection.
	if resp := do(http.MethodGet, "/poll?room=42&wait=0&sid="+sid, ""); resp.StatusCode != http.StatusOK {
		t.Errorf("the next poll of a session: %s", resp.Status)
	}
	if resp := do(http.MethodPost, "/send", `{"op":"send","id":1,"room":"42","kind":"danmaku","body":1}`); resp.StatusCode != http.StatusOK {
		t.Errorf("POST /send: %s", resp.Status)
	}
	for i := range 50 {
		ann.send(fmt.Sprintf(`{"op":"gift.send","id":%d,"room":"42","cid":"g%d","body":%d}`, i+2, i, i))
		if m := ann.expect("ack"); m.Status != "ok" {
			t.Fatalf("gift %d: %+v", i, m)
		}
	}
	page, err := hub.Room("42").History(t.Context(), im.HistoryQuery{Max: 500})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(slices.DeleteFunc(page.Events, func(e *im.Event) bool { return e.Kind != im.Gift })); n != 50 {
		t.Errorf("%d of 50 gifts are stored", n)
	}
}

// A hub whose host plugs in nothing looks at its process, and all that it says of it can be encoded.
func TestHubMeasuresItself(t *testing.T) {
	hub, err := im.New(anybody, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hub.Close() }()
	for hub.Stats().Pressure == 0 { // goroutines always wait a little
		for range 100 {
			if _, err := hub.Room("42").Send(t.Context(), im.Danmaku, 1); err != nil {
				t.Fatal(err)
			}
			pass(time.Millisecond)
		}
	}
	if _, err := json.Marshal(hub.Stats()); err != nil {
		t.Error(err)
	}
}

func TestPressureThatIsNoNumber(t *testing.T) {
	var g gauge
	bubble(t, &im.Options{Pressure: g.read}, func(t *testing.T, hub *imtest.Hub) {
		for _, tt := range []struct{ said, taken float64 }{{math.NaN(), 0}, {-3, 0}, {math.Inf(-1), 0}, {math.Inf(1), 1000}, {0.5, 0.5}} {
			g.set(tt.said)
			pass(time.Second)
			if got := hub.Stats().Pressure; got != tt.taken {
				t.Errorf("%v is taken for %v, want %v", tt.said, got, tt.taken)
			}
		}
	})
}
