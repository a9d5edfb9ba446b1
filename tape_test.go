package im_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im/internal/wire"
)

// tape is what came over one connection, and when.
type tape struct {
	mu    sync.Mutex // guards what follows
	bytes []byte
	told  int       // where the deletion stands; 0: it has not come
	at    time.Time // when it came
	news  chan struct{}
}

// Write implements io.Writer.
func (t *tape) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes = append(t.bytes, p...)
	if i := bytes.Index(t.bytes, []byte(`"type":"delete"`)); t.told == 0 && i >= 0 {
		t.told, t.at = i, time.Now()
	}
	select {
	case t.news <- struct{}{}:
	default:
	}
	return len(p), nil
}

// until waits until the tape holds something.
func (t *tape) until(tb testing.TB, what string) {
	tb.Helper()
	late := time.After(10 * time.Second)
	for {
		t.mu.Lock()
		got := bytes.Contains(t.bytes, []byte(what))
		t.mu.Unlock()
		if got {
			return
		}
		select {
		case <-t.news:
		case <-late:
			tb.Fatalf("%q did not come: %s", what, t.bytes)
		}
	}
}

// transports are ways to watch a room over a real connection: what comes goes to the tape until the test ends.
func (c *web) transports(url string) map[string]func(t *testing.T, query string) *tape {
	background := func(t *testing.T, f func(ctx context.Context, to *tape)) *tape {
		to := &tape{news: make(chan struct{}, 1)}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			f(ctx, to)
		}()
		t.Cleanup(func() {
			cancel()
			<-done
		})
		return to
	}
	return map[string]func(t *testing.T, query string) *tape{
		"websocket": func(t *testing.T, query string) *tape {
			s := dialAs(t, url+"?"+query, "ann")
			return background(t, func(ctx context.Context, to *tape) {
				end := context.AfterFunc(ctx, func() { _ = s.conn.Close() })
				defer end()
				for m := s.read(); m != ""; m = s.read() {
					_, _ = io.WriteString(to, m+"\n")
				}
			})
		},
		"sse": func(t *testing.T, query string) *tape {
			return background(t, func(ctx context.Context, to *tape) {
				resp, err := (&webViewer{base: c.base, user: c.user}).get(ctx, "/sse?"+query)
				if err == nil {
					_, _ = io.Copy(to, resp.Body)
					_ = resp.Body.Close()
				}
			})
		},
		"poll": func(t *testing.T, query string) *tape {
			return background(t, func(ctx context.Context, to *tape) { c.pollTo(ctx, query, to) })
		},
	}
}

// pollTo polls on and on, from where it is.
func (c *web) pollTo(ctx context.Context, query string, to *tape) {
	sid, epoch, seq := "", "", uint64(0)
	for ctx.Err() == nil {
		q := query
		if sid != "" {
			q = fmt.Sprintf("room=42&since=%s.%d&sid=%s&wait=60000", epoch, seq, sid)
		}
		resp, err := c.try(ctx, "/poll?"+q)
		if err != nil {
			return
		}
		var list []wire.Message
		if json.Unmarshal(resp, &list) != nil {
			return
		}
		for _, m := range list {
			switch m.Op {
			case wire.OpWelcome:
				sid = m.SID
			case wire.OpJoined, wire.OpReset:
				epoch, seq = m.Epoch, m.Seq
			case wire.OpEvents, wire.OpGap:
				seq = max(seq, m.To)
			}
		}
		_, _ = to.Write(resp)
	}
}

func (c *web) try(ctx context.Context, path string) ([]byte, error) {
	resp, err := (&webViewer{base: c.base, user: c.user}).get(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return io.ReadAll(resp.Body)
}

// clean holds that nothing that was deleted is on the tape from a place on.
func (t *tape) clean(tb testing.TB, what string, from int) {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	if rest := t.bytes[from:]; bytes.Contains(rest, []byte("spam")) {
		tb.Errorf("%s gets what was deleted: %s", what, rest)
	}
}
