package im_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// The tests in this file are named after the rulings of the design. Rulings 2 to
// 4 on logs have theirs beside the memory log and in imtest/logtest.

// slowLog is a memory log whose critical and normal appends wait for release,
// as they would for a disk.
type slowLog struct {
	*im.MemoryLog
	mu      sync.Mutex // guards release
	release chan struct{}
}

func newSlowLog(t *testing.T) *slowLog {
	l, err := im.NewMemoryLog(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &slowLog{MemoryLog: l}
}

func (l *slowLog) stall() (resume func()) {
	c := make(chan struct{})
	l.mu.Lock()
	l.release = c
	l.mu.Unlock()
	return func() {
		l.mu.Lock()
		l.release = nil
		l.mu.Unlock()
		close(c)
	}
}

func (l *slowLog) Append(ctx context.Context, room string, events []*im.Event) ([]im.Appended, error) {
	l.mu.Lock()
	c := l.release
	l.mu.Unlock()
	if c != nil && events[0].Class != im.Volatile {
		select {
		case <-c:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return l.MemoryLog.Append(ctx, room, events)
}

func TestRuling1PositionIsGivenWhenStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newSlowLog(t)
		hub := imtest.NewHub(t, &im.Options{Log: log})
		v := hub.Join("42", user("ann"))
		resume := log.stall()
		sent := make(chan *im.Event)
		go func() {
			e, err := hub.Room("42").Send(t.Context(), im.Notice, "waits")
			if err != nil {
				t.Error(err)
			}
			sent <- e
		}()
		synctest.Wait()
		if r, err := v.Send(im.Danmaku, "flies"); err != nil || r.Status != im.StatusOK {
			t.Fatalf("%+v, %v", r, err)
		}
		danmaku := v.Event()
		if danmaku.Kind != im.Danmaku {
			t.Fatalf("a %s event was shown before it was stored", danmaku.Kind)
		}
		resume()
		notice := <-sent
		if notice.Pos.Seq <= danmaku.Pos.Seq {
			t.Fatalf("the notice, stored later, has seq %d; the danmaku %d", notice.Pos.Seq, danmaku.Pos.Seq)
		}
		if e := v.Event(); e.ID != notice.ID {
			t.Fatalf("next came %s", e.Kind)
		}
	})
}

func TestRuling5RetryHasOneEffectAndTheFirstAnswer(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		v := hub.Join("42", user("ann"))
		first, err := v.SendTo("42", im.Chat, "c-1", "hello")
		if err != nil {
			t.Fatal(err)
		}
		again := hub.Join("42", user("ann")) // another connection of the same user
		retry, err := again.SendTo("42", im.Chat, "c-1", "hello")
		if err != nil || retry != first {
			t.Fatalf("the retry got %+v, %v; the first %+v", retry, err, first)
		}
		if _, err := again.SendTo("42", im.Chat, "c-1", "something else"); code(err) != im.CodeConflict {
			t.Fatalf("other content under the same cid: %v", err)
		}
		if r, err := hub.Join("42", user("bob")).SendTo("42", im.Chat, "c-1", "hello"); err != nil || r.Event == first.Event {
			t.Fatalf("the same cid of another user: %+v, %v", r, err)
		}
		page, err := hub.Room("42").History(t.Context(), im.HistoryQuery{})
		if err != nil || len(page.Events) != 2 {
			t.Fatalf("%d events are stored, want 2 (%v)", len(page.Events), err)
		}
	})
}

func TestRuling7CompareAndSetIsDecidedByTheFold(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		v := hub.Join("42", user("ann"))
		room := hub.Room("42")
		v1, err := room.Set(t.Context(), "seat", "ann", im.IfVersion(0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := room.Set(t.Context(), "seat", "bob", im.IfVersion(0)); !errors.Is(err, im.ErrConflict) {
			t.Fatalf("the second to take the seat: %v", err)
		}
		v2, err := room.Set(t.Context(), "seat", "cat", im.IfVersion(v1))
		if err != nil || v2 <= v1 {
			t.Fatalf("version %d after %d: %v", v2, v1, err)
		}
		// The losing event is neither delivered nor part of the history.
		for _, want := range []string{`"ann"`, `"cat"`} {
			var c struct{ Value json.RawMessage }
			if e := v.Event(); json.Unmarshal(e.Body, &c) != nil || string(c.Value) != want {
				t.Fatalf("delivered %s, want %s", e.Body, want)
			}
		}
		if u, ok := v.TryNext(2 * time.Second); ok && u.Op == "event" {
			t.Fatalf("delivered %s as well", u.Event.Body)
		}
		if page, _ := room.History(t.Context(), im.HistoryQuery{}); len(page.Events) != 2 {
			t.Fatalf("the history has %d events, want 2", len(page.Events))
		}
		if err := room.Delete(t.Context(), "seat", im.IfVersion(v1)); !errors.Is(err, im.ErrConflict) {
			t.Fatalf("delete with an old version: %v", err)
		}
		if err := room.Delete(t.Context(), "seat", im.IfVersion(v2)); err != nil {
			t.Fatal(err)
		}
		if value, ver, err := room.State().Get(t.Context(), "seat"); err != nil || value != nil || ver != 0 {
			t.Fatalf("after the delete: %s, %d", value, ver)
		}
	})
}

func TestRuling7ConcurrentSetsHaveOneWinner(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for i := range 20 {
			wg.Go(func() {
				_, err := hub.Room("42").Set(t.Context(), "seat", i, im.IfVersion(0))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !errors.Is(err, im.ErrConflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Fatalf("%d of 20 took the seat", won)
		}
	})
}

func TestRuling8LimitsOfStateAreInTheLog(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		for i := range 1000 {
			if _, err := room.Set(t.Context(), fmt.Sprint("key-", i), 1); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := room.Set(t.Context(), "key-7", 2); err != nil {
			t.Fatalf("a key that is there: %v", err)
		}
		if _, err := room.Set(t.Context(), "one more", 1); !errors.Is(err, im.ErrConflict) || !strings.Contains(err.Error(), "1000 keys") {
			t.Fatalf("a key too many: %v", err)
		}
		for _, key := range []string{"", strings.Repeat("k", 129), "im.total.like", "a\nb"} {
			if _, err := room.Set(t.Context(), key, 1); code(err) != im.CodeBadRequest {
				t.Errorf("key %.20q: %v", key, err)
			}
		}
	})
}

func TestRuling11TiersOmitAndNeverReorder(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		want := map[string][]im.Kind{
			"full":     {im.Danmaku, im.Chat, im.Danmaku, im.Notice, im.Danmaku, im.Chat, im.Notice},
			"reduced":  {im.Chat, im.Notice, im.Chat, im.Notice},
			"critical": {im.Notice, im.Notice},
		}
		viewers := map[string]*imtest.Viewer{}
		for tier := range want {
			viewers[tier] = hub.Connect(user(tier))
			viewers[tier].Join("42", &imtest.JoinOptions{Tier: tier})
		}
		for i, kind := range want["full"] {
			if _, err := hub.Room("42").Send(t.Context(), kind, i); err != nil {
				t.Fatal(err)
			}
			if i == 3 {
				pass(time.Second) // some of it in one batch, some in others
			}
		}
		for tier, kinds := range want {
			v := viewers[tier]
			for i, kind := range kinds {
				if e := v.Event(); e.Kind != kind {
					t.Fatalf("tier %s: event %d is %s, want %s", tier, i, e.Kind, kind)
				}
			}
			if u, ok := v.TryNext(2 * time.Second); ok && u.Op == "event" {
				t.Fatalf("tier %s also got %s", tier, u.Event.Kind)
			}
		}
		// A resumed session gets its tier's part of what it missed.
		since := viewers["full"].Position("42")
		for _, kind := range []im.Kind{im.Danmaku, im.Notice} {
			if _, err := hub.Room("42").Send(t.Context(), kind, 1); err != nil {
				t.Fatal(err)
			}
		}
		e := viewers["reduced"].Join("42", &imtest.JoinOptions{Tier: "reduced", Since: since})
		if !e.Recovered || len(e.Events) != 1 || e.Events[0].Kind != im.Notice {
			t.Fatalf("%+v", e)
		}
	})
}

func TestRuling12AckTellsTheFate(t *testing.T) {
	var held *im.Draft
	var accept im.SendFunc
	moderate := func(next im.SendFunc) im.SendFunc {
		accept = next
		return func(ctx context.Context, d *im.Draft) (im.Receipt, error) {
			switch string(d.Body) {
			case `"hold"`:
				held = d
				return im.Receipt{Status: im.StatusHeld}, nil
			case `"shed"`:
				return im.Receipt{Status: im.StatusShed}, nil
			case `"refuse"`:
				return im.Receipt{}, &im.Error{Code: "swearing", Reason: "be kind"}
			case `"change"`:
				d.Body = json.RawMessage(`"***"`)
			case `"hang"`:
				<-ctx.Done()
				return im.Receipt{}, ctx.Err()
			}
			return next(ctx, d)
		}
	}
	bubble(t, &im.Options{Intercept: []im.Middleware{moderate}}, func(t *testing.T, hub *imtest.Hub) {
		v := hub.Join("42", user("ann"))
		for _, tt := range []struct {
			body   string
			status im.Status
			code   im.Code
		}{
			{"plain", im.StatusOK, ""},
			{"change", im.StatusOK, ""},
			{"shed", im.StatusShed, ""},
			{"refuse", "", "swearing"},
			{"hang", im.StatusUnknown, ""},
			{"hold", im.StatusHeld, ""},
		} {
			start := time.Now()
			r, err := v.SendTo("42", im.Chat, "cid-"+tt.body, tt.body)
			if r.Status != tt.status || code(err) != tt.code {
				t.Errorf("%s: %+v, %v", tt.body, r, err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("%s: answered after %v", tt.body, took)
			}
			if (r.Event != "") != (tt.status == im.StatusOK) {
				t.Errorf("%s: event %q with status %s", tt.body, r.Event, r.Status)
			}
		}
		r, err := accept(t.Context(), held)
		held.Settle(r, err)
		u := waitFor(v, "fate")
		if u.Status != im.StatusOK || u.CID != "cid-hold" || u.Room != "42" {
			t.Fatalf("%+v", u)
		}
		held.Settle(im.Receipt{}, &im.Error{Code: "swearing", Reason: "be kind"})
		if u := waitFor(v, "fate"); u.Status != "refused" || u.Code != "swearing" || u.Reason != "be kind" {
			t.Fatalf("%+v", u)
		}
		page, err := hub.Room("42").History(t.Context(), im.HistoryQuery{})
		if err != nil {
			t.Fatal(err)
		}
		var bodies []string
		for _, e := range page.Events {
			bodies = append(bodies, string(e.Body))
		}
		if got := strings.Join(bodies, " "); got != `"plain" "***" "hold"` {
			t.Fatalf("stored: %s", got)
		}
	})
}

func TestRuling12UnknownIsSafeToRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newSlowLog(t)
		hub := imtest.NewHub(t, &im.Options{Log: log})
		v := hub.Join("42", user("ann"))
		resume := log.stall()
		start := time.Now()
		r, err := v.SendTo("42", im.Chat, "c-1", "hello")
		if err != nil || r.Status != im.StatusUnknown || time.Since(start) > time.Second {
			t.Fatalf("%+v, %v after %v", r, err, time.Since(start))
		}
		resume()
		if r, err = v.SendTo("42", im.Chat, "c-1", "hello"); err != nil || r.Status != im.StatusOK {
			t.Fatalf("the retry: %+v, %v", r, err)
		}
		if page, _ := hub.Room("42").History(t.Context(), im.HistoryQuery{}); len(page.Events) != 1 {
			t.Fatalf("%d events stored", len(page.Events))
		}
	})
}

func TestRuling14WhoMaySendWhichKind(t *testing.T) {
	opts := &im.Options{Kinds: []im.KindSpec{
		{Kind: "poll", Class: im.Critical, From: im.Senders{"host"}},
		{Kind: im.Notice, Class: im.Critical, From: im.Senders{"host"}},
		{Kind: "quiet", Class: im.Normal},
	}}
	bubble(t, opts, func(t *testing.T, hub *imtest.Hub) {
		viewer, host := hub.Join("42", user("ann")), hub.Join("42", user("boss", "host"))
		for _, tt := range []struct {
			kind         im.Kind
			viewer, host im.Code // "" means allowed
		}{
			{im.Danmaku, "", ""},
			{im.Chat, "", ""},
			{im.Like, "", ""},
			{im.Gift, im.CodeForbidden, im.CodeForbidden},
			{im.Notice, im.CodeForbidden, ""},
			{im.State, im.CodeBadRequest, im.CodeBadRequest},
			{im.Moderation, im.CodeForbidden, im.CodeForbidden},
			{im.System, im.CodeForbidden, im.CodeForbidden},
			{im.Presence, im.CodeForbidden, im.CodeForbidden},
			{"poll", im.CodeForbidden, ""},
			{"quiet", im.CodeForbidden, im.CodeForbidden},
			{"unheard-of", im.CodeNotFound, im.CodeNotFound},
		} {
			if _, err := viewer.Send(tt.kind, 1); code(err) != tt.viewer {
				t.Errorf("viewer sends %s: %v, want %q", tt.kind, err, tt.viewer)
			}
			if _, err := host.Send(tt.kind, 1); code(err) != tt.host {
				t.Errorf("host sends %s: %v, want %q", tt.kind, err, tt.host)
			}
		}
		if _, err := viewer.Set("42", "slide", 1, nil); code(err) != im.CodeForbidden {
			t.Errorf("viewer sets state: %v", err)
		}
		if v, err := host.Set("42", "slide", 1, nil); err != nil || v == 0 {
			t.Errorf("host sets state: %d, %v", v, err)
		}
	})
}

func TestRuling16DirectMessagesHaveNoPosition(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		v := hub.Join("42", user("ann"))
		before := v.Position("42")
		if _, err := hub.User("ann").Send(t.Context(), im.Notice, 1); err != nil {
			t.Fatal(err)
		}
		if u := waitFor(v, "direct"); !u.Event.Pos.IsZero() || v.Position("42") != before {
			t.Fatalf("%+v moved the position from %v to %v", u.Event, before, v.Position("42"))
		}
	})
}

func TestRuling24BodiesAreBounded(t *testing.T) {
	bubble(t, &im.Options{Bounds: im.Bounds{Body: 64}}, func(t *testing.T, hub *imtest.Hub) {
		v := hub.Join("42", user("ann"))
		if _, err := v.Send(im.Chat, strings.Repeat("x", 62)); err != nil {
			t.Fatalf("64 bytes: %v", err)
		}
		if _, err := v.Send(im.Chat, strings.Repeat("x", 63)); code(err) != im.CodeTooLarge {
			t.Fatalf("65 bytes: %v", err)
		}
		if _, err := hub.Room("42").Send(t.Context(), im.Notice, strings.Repeat("x", 63)); code(err) != im.CodeTooLarge {
			t.Fatalf("65 bytes of the host: %v", err)
		}
	})
}
