package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/liveim/im"
)

// control is what a test can do to the venue. Every answer is JSON; what went
// wrong is a text with the status 500.
type control struct {
	venue *venue

	mu      sync.Mutex
	notices map[string]*ticker // by room
}

func newControl(v *venue) http.Handler {
	c := &control{venue: v, notices: map[string]*ticker{}}
	mux := http.NewServeMux()
	for pattern, fn := range map[string]func(*http.Request) (any, error){
		"POST /restart": c.restart, // ?how=close or shutdown
		"POST /block":   c.block,   // ?path=/im/ws&how=refuse, hang, drop or pass
		"POST /say":     c.say,     // ?room=&kind=, the body is the event's, after {"as":{…user}} if it is not of the host
		"POST /set":     c.set,     // ?room=&key=, the body is the value
		"POST /notices": c.begin,   // ?room=&every=50ms: numbered notices, until
		"POST /silence": c.silence, // ?room=; answers how many there were
		"GET /history":  c.history, // ?room=: all that a room has, but for what is volatile
		"GET /stats":    c.stats,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			answer, err := fn(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(answer) // the test may have given up
		})
	}
	return mux
}

func (c *control) restart(r *http.Request) (any, error) {
	if err := c.venue.shut(r.FormValue("how")); err != nil {
		return nil, err
	}
	return nil, c.venue.open()
}

func (c *control) block(r *http.Request) (any, error) {
	return nil, c.venue.barrier.set(r.FormValue("path"), r.FormValue("how"))
}

func (c *control) say(r *http.Request) (any, error) {
	var said struct {
		As   *im.User        `json:"as"`
		Body json.RawMessage `json:"body"`
	}
	if err := json.NewDecoder(r.Body).Decode(&said); err != nil {
		return nil, err
	}
	var opts []im.SendOption
	if said.As != nil {
		opts = append(opts, im.AsUser(*said.As))
	}
	query := r.URL.Query()
	_, err := c.venue.room(query.Get("room")).Send(r.Context(), im.Kind(query.Get("kind")), said.Body, opts...)
	return nil, err
}

func (c *control) set(r *http.Request) (any, error) {
	var value json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&value); err != nil {
		return nil, err
	}
	query := r.URL.Query()
	return c.venue.room(query.Get("room")).Set(r.Context(), query.Get("key"), value)
}

// ticker says numbered notices, one after the other, whatever happens to the hub.
type ticker struct {
	stop  context.CancelFunc
	ended chan struct{}
	n     int // how many; to be read after ended
}

func (c *control) begin(r *http.Request) (any, error) {
	every, err := time.ParseDuration(r.FormValue("every"))
	if err != nil {
		return nil, err
	}
	room := r.FormValue("room")
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, stop := context.WithCancel(context.Background())
	t := &ticker{stop: stop, ended: make(chan struct{})}
	if before := c.notices[room]; before != nil {
		before.stop()
		<-before.ended
		t.n = before.n
	}
	c.notices[room] = t
	go c.tick(ctx, t, room, every)
	return nil, nil
}

func (c *control) tick(ctx context.Context, t *ticker, room string, every time.Duration) {
	defer close(t.ended)
	clock := time.NewTicker(every)
	defer clock.Stop()
	for ctx.Err() == nil {
		next := t.n + 1
		if c.venue.persist(ctx, room, im.Notice, map[string]int{"n": next}, fmt.Sprint("notice-", next)) != nil {
			return // stopped, while there is no hub
		}
		t.n = next
		select {
		case <-clock.C:
		case <-ctx.Done():
		}
	}
}

func (c *control) silence(r *http.Request) (any, error) {
	room := r.FormValue("room")
	c.mu.Lock()
	t := c.notices[room]
	c.mu.Unlock()
	if t == nil {
		return nil, fmt.Errorf("room %q has no notices", room)
	}
	t.stop()
	<-t.ended
	return t.n, nil
}

// told is an event as the tests compare it.
type told struct {
	Seq  uint64          `json:"seq"`
	Kind im.Kind         `json:"kind"`
	Body json.RawMessage `json:"body"`
}

func (c *control) history(r *http.Request) (any, error) {
	room := c.venue.room(r.FormValue("room"))
	all := []told{}
	for after := (im.Position{}); ; {
		page, err := room.History(r.Context(), im.HistoryQuery{After: after, Max: 500})
		if err != nil {
			return nil, err
		}
		for _, e := range page.Events {
			after = e.Pos
			if e.Kind != im.Danmaku {
				all = append(all, told{e.Pos.Seq, e.Kind, e.Body})
			}
		}
		if !page.More || len(page.Events) == 0 {
			return all, nil
		}
	}
}

func (c *control) stats(*http.Request) (any, error) {
	c.venue.mu.Lock()
	hub := c.venue.hub
	c.venue.mu.Unlock()
	return map[string]any{"hub": hub.Stats(), "versions": c.venue.barrier.versions()}, nil
}
