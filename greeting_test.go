package im_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport/pipe"
)

// A host may send as soon as it hears of a session, which is before the connection
// has started. The client gets its welcome first and then all of that, on every path.
func TestWhatIsSentAtOnceFollowsTheWelcome(t *testing.T) {
	eachPath(t, func(t *testing.T, p ioPath, _ bool) {
		g := &greeter{t: t, ready: make(chan struct{})}
		hub, url := serve(t, imtest.BearerUser, &im.Options{IO: p.io, Observe: g.observe}, nil, nil)
		g.hub = hub
		close(g.ready)

		conn, peer := pipe.New(nil)
		if _, err := hub.Attach(&early{Conn: conn, t: t}, user("ann")); err != nil {
			t.Error(err)
		}
		_ = peer.Close()
		deserted(t, hub)

		s := dialAs(t, url, "ann")
		g.judge("a WebSocket", s.read)
		_ = s.conn.Close()
		deserted(t, hub)

		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		v := &webViewer{t: t, base: "http" + strings.TrimSuffix(strings.TrimPrefix(url, "ws"), "/ws"), user: "ann"}
		resp, err := v.get(ctx, "/sse")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		lines := bufio.NewScanner(resp.Body)
		g.judge("a stream", func() string {
			for lines.Scan() {
				if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
					return data
				}
			}
			return ""
		})
	})
}

// greeter is a host that sends to each session when it opens.
type greeter struct {
	t     *testing.T
	hub   *im.Hub // once ready is closed
	ready chan struct{}
}

const greetings = 3

func (g *greeter) observe(s im.Signal) {
	if s.Type != im.SignalSessionOpened {
		return
	}
	<-g.ready
	for i := range greetings { // more than one, since the second may find the connection full
		n, err := g.hub.User("ann").Send(context.Background(), im.Notice, strings.Repeat("x", 1000*(i+1)))
		if n != 1 || err != nil {
			g.t.Errorf("sent to %d sessions: %v", n, err)
		}
	}
}

// judge reads as many messages as there should be.
func (g *greeter) judge(from string, read func() string) {
	g.t.Helper()
	var ops []string
	for len(ops) < 1+greetings {
		raw := read()
		if raw == "" {
			break
		}
		m := new(wire.Message)
		if err := json.Unmarshal([]byte(raw), m); err != nil {
			g.t.Fatal(err)
		}
		ops = append(ops, m.Op)
	}
	if got, want := strings.Join(ops, " "), "welcome direct direct direct"; got != want {
		g.t.Errorf("%s brings %q, want %q", from, got, want)
	}
}

// deserted waits until nobody is left.
func deserted(t *testing.T, hub *im.Hub) {
	t.Helper()
	eventually(t, 5*time.Second, func() string {
		if n := hub.Stats().Sessions; n > 0 {
			return fmt.Sprintf("%d sessions are left", n)
		}
		return ""
	})
}
