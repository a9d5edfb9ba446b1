package im_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// until sends until it is refused, and returns how often that went well and the
// refusal.
func until(t *testing.T, v *imtest.Viewer, kind im.Kind) (n int, refusal *im.Error) {
	t.Helper()
	for {
		_, err := v.Send(kind, map[string]any{"text": fmt.Sprint("message ", n)})
		if errors.As(err, &refusal) {
			if refusal.Code != im.CodeRateLimited || refusal.RetryAfter <= 0 {
				t.Fatalf("refused with %v", refusal)
			}
			return n, refusal
		}
		if n++; n > 5000 {
			return n, nil
		}
	}
}

func TestLimitsOfUsersAndRoles(t *testing.T) {
	limits := im.Limits{
		Role: map[string]map[im.Kind]im.Limit{
			"vip":  {im.Danmaku: {N: 40, Per: time.Minute}},
			"bot":  {im.Danmaku: im.Unlimited},
			"slow": {im.Danmaku: {N: 1, Per: 20 * time.Second}},
		},
		Connection: im.Unlimited,
		Room:       map[im.Kind]im.Limit{im.Chat: im.Unlimited},
	}
	for _, tt := range []struct {
		roles []string
		kind  im.Kind
		want  int // 0: never refused
	}{
		{nil, im.Danmaku, 20},
		{nil, im.Chat, 10},
		{[]string{"moderator"}, im.Danmaku, 100},
		{[]string{"moderator"}, im.Chat, 100},
		{[]string{"host"}, im.Danmaku, 0},
		{[]string{"vip"}, im.Danmaku, 40},
		{[]string{"vip"}, im.Chat, 10},
		{[]string{"slow", "vip"}, im.Danmaku, 40},
		{[]string{"vip", "bot"}, im.Danmaku, 0},
		{[]string{"slow"}, im.Danmaku, 1},
		{[]string{"nobody"}, im.Danmaku, 20},
	} {
		t.Run(fmt.Sprint(tt.roles, tt.kind), func(t *testing.T) {
			bubble(t, &im.Options{Limits: limits, Flow: im.Flow{Budget: -1}}, func(t *testing.T, hub *imtest.Hub) {
				v := hub.Join("42", user("ann", tt.roles...))
				n, refusal := until(t, v, tt.kind)
				if refusal == nil {
					n = 0
				}
				if n != tt.want {
					t.Fatalf("%d were taken, want %d", n, tt.want)
				}
				if refusal == nil {
					return
				}
				<-time.After(time.Duration(refusal.RetryAfter.Milliseconds())*time.Millisecond - 2*time.Millisecond)
				if _, err := v.Send(tt.kind, "too early"); code(err) != im.CodeRateLimited {
					t.Errorf("2 ms before it should, a send gets %v", err)
				}
				<-time.After(2 * time.Millisecond)
				if _, err := v.Send(tt.kind, "in time"); err != nil {
					t.Errorf("the client waited as long as it was told: %v", err)
				}
			})
		})
	}
}

func TestLimitsCountAUserOnce(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		phone, desktop := hub.Join("42", user("ann")), hub.Join("7", user("ann"))
		a, _ := until(t, phone, im.Danmaku)
		b, _ := until(t, desktop, im.Danmaku)
		if a != 20 || b != 0 {
			t.Errorf("%d from one device and %d from the other, want 20 of both", a, b)
		}
		if n, _ := until(t, phone, im.Chat); n != 10 {
			t.Errorf("%d chat messages were taken beside danmaku", n)
		}
	})
}

func TestLimitOfARoomTakesNothingFromTheUser(t *testing.T) {
	limits := im.Limits{Room: map[im.Kind]im.Limit{im.Chat: {N: 5, Per: 10 * time.Second}}}
	bubble(t, &im.Options{Limits: limits}, func(t *testing.T, hub *imtest.Hub) {
		ann, bob := hub.Join("42", user("ann")), hub.Join("42", user("bob"))
		a, _ := until(t, ann, im.Chat)
		for range 20 { // refused by the room: costs Bob nothing
			if _, err := bob.Send(im.Chat, "hello"); code(err) != im.CodeRateLimited {
				t.Fatalf("got %v", err)
			}
		}
		<-time.After(10 * time.Second)
		b, refusal := until(t, bob, im.Chat)
		if a != 5 || b != 5 {
			t.Errorf("%d and then %d were taken, want 5 each", a, b)
		}
		<-time.After(refusal.RetryAfter)
		if _, err := bob.Send(im.Chat, "again"); err != nil {
			t.Errorf("waited as told: %v", err)
		}
		if _, err := ann.SendTo("other", im.Chat, "", "hello"); code(err) == im.CodeRateLimited {
			t.Error("one room's limit is another's")
		}
	})
}

func TestLimitOfAConnection(t *testing.T) {
	limits := im.Limits{Requests: im.Unlimited, Connection: im.Limit{N: 50, Per: 10 * time.Second}}
	bubble(t, &im.Options{Limits: limits}, func(t *testing.T, hub *imtest.Hub) {
		v, other := hub.Join("42", user("ann")), hub.Join("42", user("ann"))
		for i := range 60 {
			if err := v.Raw(fmt.Sprintf(`{"op":"ping","id":%d}`, 100+i)); err != nil {
				t.Fatal(err)
			}
		}
		refused := 0
		for {
			u, ok := v.TryNext(time.Second)
			if !ok {
				break
			}
			if u.Code == im.CodeRateLimited {
				refused++
			}
		}
		if refused != 11 { // of 61, the join included
			t.Errorf("%d were refused, want 11", refused)
		}
		if err := other.Raw(`{"op":"ping","id":500}`); err != nil {
			t.Error(err)
		}
		if u, ok := other.TryNext(5 * time.Second); ok && u.Code == im.CodeRateLimited {
			t.Error("one connection's limit is another's")
		}
	})
}

func TestLimitOfAnAddress(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limit  im.Limit
		remote []string // one after the other
		xff    string
		served int // of 12 requests
	}{
		{"one address", im.Limit{N: 4, Per: time.Hour}, []string{"203.0.113.7:1000"}, "", 4},
		{"several", im.Limit{N: 4, Per: time.Hour}, []string{"203.0.113.7:1000", "203.0.113.8:1000"}, "", 8},
		{"one subscriber with many IPv6 addresses", im.Limit{N: 4, Per: time.Hour}, []string{"[2001:db8:1:2::1]:5", "[2001:db8:1:2:ffff::9]:5", "[2001:db8:1:2:abcd::9]:5"}, "", 4},
		{"several IPv6 networks", im.Limit{N: 4, Per: time.Hour}, []string{"[2001:db8:1:2::1]:5", "[2001:db8:1:3::1]:5"}, "", 8},
		{"mapped IPv4", im.Limit{N: 4, Per: time.Hour}, []string{"203.0.113.7:1", "[::ffff:203.0.113.7]:1"}, "", 4},
		{"loopback by default", im.Limit{}, []string{"127.0.0.1:1"}, "", 12},
		{"a forged header", im.Limit{N: 4, Per: time.Hour}, []string{"203.0.113.7:1000"}, "198.51.100.%d", 4},
		{"a header of a proxy", im.Limit{N: 4, Per: time.Hour}, []string{"10.0.0.1:1000"}, "198.51.100.%d", 12},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hub := imtest.NewHub(t, &im.Options{
				Limits:  im.Limits{Address: tt.limit, Requests: im.Unlimited},
				Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			})
			served := 0
			for i := range 12 {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/send", strings.NewReader(`{"op":"ping","id":1}`))
				r.RemoteAddr = tt.remote[i%len(tt.remote)]
				r.Header.Set("Authorization", fmt.Sprintf("Bearer user-%d", i))
				if tt.xff != "" {
					r.Header.Set("X-Forwarded-For", strings.ReplaceAll(tt.xff, "%d", fmt.Sprint(i)))
				}
				w := httptest.NewRecorder()
				hub.ServeHTTP(w, r)
				switch {
				case w.Code == http.StatusOK:
					served++
				case w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "":
					t.Fatalf("status %d, Retry-After %q: %s", w.Code, w.Header().Get("Retry-After"), w.Body)
				}
			}
			if served != tt.served {
				t.Errorf("%d were served, want %d", served, tt.served)
			}
		})
	}
}

// TestAcceptRate opens connections faster than the hub lets them in.
func TestAcceptRate(t *testing.T) {
	_, w := serveWeb(t, &im.Options{Limits: im.Limits{Accept: im.Limit{N: 3, Per: time.Hour}}})
	for i := range 6 {
		resp := w.do(t.Context(), http.MethodGet, "/poll?room=42&wait=0", "", nil)
		if ok := resp.StatusCode == http.StatusOK; ok != (i < 3) {
			t.Errorf("connection %d: status %d", i, resp.StatusCode)
		}
		if resp.StatusCode != http.StatusOK && (resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "") {
			t.Errorf("connection %d: status %d, Retry-After %q", i, resp.StatusCode, resp.Header.Get("Retry-After"))
		}
	}
}
