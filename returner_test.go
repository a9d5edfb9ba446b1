package im_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
	"github.com/liveim/im/internal/wire"
)

// returner is a client that is cut, and comes back by the rules of its kind.
type returner struct {
	t      *testing.T
	base   string // of the mount
	user   string
	room   string
	client http.Client
	header http.Header

	at        im.Position
	sid       string
	entered   func()              // is called once, when it is in for the first time
	each      func(*wire.Message) // sees all messages; nil for none
	recovered bool                // it came back without a loss
	back      time.Time           // when it had what was sent while it was away
}

// in the body of what is sent while the clients are away.
const awayNotice = `"while you were away"`

// take notes a message. It reports whether that is what was waited for, and returns
// it if it was the last of the session.
func (r *returner) take(m *wire.Message) (done bool, bye *wire.Message) {
	if r.each != nil {
		r.each(m)
	}
	switch m.Op {
	case wire.OpWelcome:
		r.sid = m.SID
	case wire.OpBye:
		return false, m
	case wire.OpJoined, wire.OpReset:
		if r.at.IsZero() {
			r.entered()
		} else {
			r.recovered = m.Recovered
		}
		r.at = im.Position{Epoch: m.Epoch, Seq: m.Seq}
	case wire.OpEvents, wire.OpGap:
		r.at.Seq = max(r.at.Seq, m.To)
	}
	for i := range m.Events {
		if string(m.Events[i].Body) == awayNotice {
			r.back = time.Now()
			return true, nil
		}
	}
	return false, nil
}

// socket is a client of package client.
func (r *returner) socket(ctx context.Context) {
	c, err := client.Dial(ctx, "ws"+strings.TrimPrefix(r.base, "http")+"/ws", &client.Options{Header: r.header})
	if err != nil {
		r.t.Error(err)
		return
	}
	defer c.Close()
	room, err := c.Join(ctx, r.room, nil)
	if err != nil {
		r.t.Error(err)
		return
	}
	r.entered()
	for u := range room.Updates(ctx) {
		switch u := u.(type) {
		case client.Resumed:
			r.recovered = true
		case client.Event:
			if string(u.Body) == awayNotice {
				r.back = time.Now()
				return
			}
		}
	}
}

// web is a client without a WebSocket: it waits for as long as it is advised, and up
// to half a second more, which doubles with each failure, as web/im.js does.
func (r *returner) web(path string) func(ctx context.Context) {
	return func(ctx context.Context) {
		defer r.client.CloseIdleConnections()
		for ceiling := 500 * time.Millisecond; ctx.Err() == nil; ceiling = min(2*ceiling, 30*time.Second) {
			done, bye := r.visit(ctx, path)
			if done {
				return
			}
			advice := time.Duration(0)
			if bye != nil {
				advice = time.Duration(bye.Retry) * time.Millisecond
			}
			r.sid = ""
			select {
			case <-time.After(advice + rand.N(ceiling)):
			case <-ctx.Done():
			}
		}
	}
}

// visit is one stream, or the polls of one session.
func (r *returner) visit(ctx context.Context, path string) (done bool, bye *wire.Message) {
	for {
		q := url.Values{"room": {r.room}, "since": {since(r.at)}, "sid": {r.sid}}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+path+"?"+q.Encode(), nil)
		if err != nil {
			r.t.Error(err)
			return true, nil
		}
		req.Header = r.header
		resp, err := r.client.Do(req)
		if err != nil {
			return false, nil
		}
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() && !done && bye == nil {
			// An answer to a poll has a message a line, in brackets and with commas.
			data := strings.TrimPrefix(strings.Trim(lines.Text(), "[],"), "data: ")
			m := new(wire.Message)
			if json.Unmarshal([]byte(data), m) != nil {
				continue
			}
			if done, bye = r.take(m); resp.StatusCode != http.StatusOK {
				bye = m
			}
		}
		_ = resp.Body.Close()
		if done || bye != nil || path != "/poll" || lines.Err() != nil {
			return done, bye
		}
	}
}

// crowdOf starts n clients, in turn over the three transports, and returns when all are in.
func crowdOf(t *testing.T, ctx context.Context, base string, n, rooms int) (list []*returner, done *sync.WaitGroup) {
	t.Helper()
	var in sync.WaitGroup
	done = new(sync.WaitGroup)
	lanes := make(chan struct{}, 50)
	for i := range n {
		r := &returner{t: t, base: base, user: fmt.Sprint("user-", i), room: fmt.Sprint("storm-", i%rooms)}
		r.header = http.Header{"Authorization": {"Bearer " + r.user}}
		r.client.Transport = &http.Transport{} // a browser of its own
		in.Add(1)
		lanes <- struct{}{}
		r.entered = sync.OnceFunc(func() {
			<-lanes
			in.Done()
		})
		list = append(list, r)
		run := []func(context.Context){r.socket, r.web("/sse"), r.web("/poll")}[i%3]
		done.Go(func() {
			run(ctx)
			r.entered() // also if it failed
		})
	}
	in.Wait()
	return list, done
}
