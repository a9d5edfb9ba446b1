package im

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/liveim/im/internal/fanout"
	"github.com/liveim/im/internal/wire"
)

// sink is a connection that takes everything and keeps nothing.
type sink struct{ answers }

func (*sink) TrySend(bufs [][]byte) (n int, err error) {
	for _, b := range bufs {
		n += len(b)
	}
	return n, nil
}

// refusedSession is of a user who has sent all the danmaku that there may be, from an
// address that is counted.
func refusedSession(t testing.TB) (*Session, *wire.Request) {
	hub, err := New(func(*http.Request) (User, error) { return User{ID: "ann"}, nil }, &Options{Limits: Limits{Connection: Limit{1_000_000, 10_000_000}, Address: Limit{1_000_000, 10_000_000}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hub.Close() })
	conn := new(sink)
	s := &Session{hub: hub, conn: conn, addr: netip.MustParseAddr("203.0.113.7"), rooms: &member{core: &core{id: "42"}}}
	s.outlet = fanout.NewOutlet(conn, &hub.delivery)
	s.user.Store(&User{ID: "ann"})
	req := &wire.Request{Op: wire.OpSend, ID: 7, Room: "42", Kind: "danmaku", CID: "c-1", Body: []byte(`{"text":"hi"}`)}
	for range 20 {
		_ = hub.limits.takeUser(s.user.Load(), Danmaku, 1, hub.steady())
	}
	if err := s.serve(req); !errors.Is(err, &Error{Code: CodeRateLimited}) {
		t.Fatalf("got %v", err)
	}
	return s, req
}

// A refused danmaku costs its answer, which is an Error and the bytes of the message.
func TestRefusalAllocatesItsAnswer(t *testing.T) {
	s, req := refusedSession(t)
	n := testing.AllocsPerRun(1000, func() {
		if err := s.serve(req); err != nil {
			s.refuse(req, err)
		}
	})
	if n > 4 {
		t.Errorf("a refusal allocates %v times: want an Error, its message, and the message in the format of the connection", n)
	}
}

func BenchmarkRefusedDanmaku(b *testing.B) {
	s, req := refusedSession(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.serve(req); err != nil {
			s.refuse(req, err)
		}
	}
}

// counting counts warnings.
type counting struct {
	slog.Handler
	mu       sync.Mutex
	warnings []string
}

func (c *counting) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.warnings = append(c.warnings, string(p))
	return len(p), nil
}

func TestUnnamedProxyIsWarnedOfOnce(t *testing.T) {
	for _, tt := range []struct {
		remote, header string
		proxies        string
		want           int
	}{
		{"10.0.0.9:1", "203.0.113.7", "", 1},
		{"10.0.0.9:1", "", "", 0},
		{"203.0.113.9:1", "203.0.113.7", "", 0}, // anybody can send that
		{"10.0.0.9:1", "203.0.113.7", "10.0.0.0/8", 0},
	} {
		log := new(counting)
		opts := &Options{Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))}
		if tt.proxies != "" {
			opts.Proxies = []netip.Prefix{netip.MustParsePrefix(tt.proxies)}
		}
		hub, err := New(func(*http.Request) (User, error) { return User{ID: "ann"}, nil }, opts)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/send", strings.NewReader(`{"op":"ping","id":1}`))
			r.RemoteAddr = tt.remote
			if tt.header != "" {
				r.Header.Set("X-Forwarded-For", tt.header)
			}
			hub.ServeHTTP(httptest.NewRecorder(), r)
		}
		_ = hub.Close()
		if len(log.warnings) != tt.want || tt.want > 0 && !strings.Contains(log.warnings[0], "Options.Proxies") {
			t.Errorf("from %s with %q, proxies %q: %q", tt.remote, tt.header, tt.proxies, log.warnings)
		}
	}
}
