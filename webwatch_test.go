package im_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

// webViewer is a viewer of a swarm over server-sent events or long-poll.
type webViewer struct {
	sight
	t    *testing.T
	base string // of the mount
	user string
	room string
}

var webClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000, IdleConnTimeout: time.Minute}}

func (v *webViewer) get(ctx context.Context, query string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.base+query, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+v.user)
	return webClient.Do(req)
}

// stream watches over server-sent events. It calls in when it is in the room.
func (v *webViewer) stream(in func()) {
	resp, err := v.get(v.t.Context(), "/sse?room="+v.room)
	if err != nil {
		v.t.Error(err)
		in()
		return
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	joined := false
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		m := new(wire.Message)
		if err := json.Unmarshal([]byte(data), m); err != nil {
			v.t.Errorf("a stream got %.100q: %v", data, err)
			return
		}
		if m.Op == wire.OpJoined && !joined {
			joined = true
			in()
			continue
		}
		if v.see(m) {
			return
		}
	}
}

// poll watches by long-poll. It calls in when it is in the room.
func (v *webViewer) poll(in func()) {
	sid, at := "", im.Position{}
	for {
		resp, err := v.get(v.t.Context(), fmt.Sprintf("/poll?room=%s&since=%s&sid=%s&wait=20000", v.room, since(at), sid))
		if err != nil {
			v.t.Error(err)
			return
		}
		var list []*wire.Message
		err = json.NewDecoder(resp.Body).Decode(&list)
		_ = resp.Body.Close()
		if err != nil {
			v.t.Errorf("a poll was answered with status %d: %v", resp.StatusCode, err)
			return
		}
		for _, m := range list {
			switch m.Op {
			case wire.OpWelcome:
				sid = m.SID
			case wire.OpJoined, wire.OpReset:
				first := at.IsZero()
				at = im.Position{Epoch: m.Epoch, Seq: m.Seq}
				if first {
					in()
					continue
				}
			case wire.OpEvents, wire.OpGap:
				at.Seq = max(at.Seq, m.To)
			}
			if v.see(m) {
				return
			}
		}
	}
}

func since(p im.Position) string {
	if p.IsZero() {
		return ""
	}
	return p.String()
}

// watchWeb starts n viewers, and returns when all are in the room.
func watchWeb(t *testing.T, base, room, name string, n int, run func(v *webViewer, in func())) (viewers []*webViewer, done *sync.WaitGroup) {
	t.Helper()
	var in sync.WaitGroup
	done = new(sync.WaitGroup)
	for i := range n {
		v := &webViewer{t: t, base: base, user: fmt.Sprintf("%s-%d", name, i), room: room}
		viewers = append(viewers, v)
		in.Add(1)
		done.Go(func() { run(v, in.Done) })
	}
	in.Wait()
	return viewers, done
}
