package im_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// Whichever limit refuses, waiting exactly as long as the answer says satisfies all of them.
func TestRefusalsTellTheTruthOfAllLimits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	limit := func() im.Limit {
		return im.Limit{N: 1 + rng.IntN(5), Per: time.Duration(1+rng.IntN(20_000)) * time.Millisecond}
	}
	for i := range 40 {
		limits := im.Limits{
			User:       map[im.Kind]im.Limit{im.Chat: limit(), im.Like: limit(), im.State: limit()},
			Room:       map[im.Kind]im.Limit{im.Chat: limit(), im.Like: limit()},
			Connection: limit(), Requests: limit(),
		}
		send := func(v *imtest.Viewer) error { _, err := v.Send(im.Chat, "hi"); return err }
		if i%3 == 1 {
			send = func(v *imtest.Viewer) error { _, err := v.Send(im.Like, map[string]int{"n": 3}); return err }
		}
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			bubble(t, &im.Options{Limits: limits}, func(t *testing.T, hub *imtest.Hub) {
				v := hub.Join("42", user("ann"))
				for range 30 {
					err := send(v)
					var e *im.Error
					if errors.As(err, &e) && e.Code == im.CodeRateLimited {
						<-time.After(e.RetryAfter)
						if again := send(v); again != nil {
							t.Fatalf("%+v: told to wait %v, and then got %v", limits, e.RetryAfter, again)
						}
					} else if err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// What a connection may do counts also what comes in its name by POST, and what nobody
// can read.
func TestConnectionCountsPostsAndRubbish(t *testing.T) {
	limits := im.Limits{Requests: im.Unlimited, Connection: im.Limit{N: 10, Per: time.Hour}}
	hub, url := serve(t, imtest.BearerUser, &im.Options{Limits: limits}, nil, nil)
	s := dialAs(t, url, "ann")
	sid := s.expect("welcome").SID
	for range 4 {
		s.send(`{"op":`)
		if m := s.expect("error"); m.Code != string(im.CodeBadRequest) {
			t.Fatalf("%+v", m)
		}
	}
	post := func(query string, n int) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/send"+query, strings.NewReader("["+strings.Repeat(`{"op":"ping","id":1},`, n-1)+`{"op":"ping","id":1}]`))
		r.Header.Set("Authorization", "Bearer ann")
		w := httptest.NewRecorder()
		hub.ServeHTTP(w, r)
		return w
	}
	if n := strings.Count(post("?sid="+sid, 8).Body.String(), `"pong"`); n != 6 {
		t.Errorf("%d of 8 posted requests were served, want the 6 that were left", n)
	}
	s.send(`{"op":"ping","id":9}`)
	if m := s.expect("error"); m.Code != string(im.CodeRateLimited) || m.Retry <= 0 {
		t.Errorf("%+v", m)
	}
	s.send(`{"op":`)
	if m := s.expect("error"); m.Code != string(im.CodeRateLimited) {
		t.Errorf("%+v", m)
	}
	if n := strings.Count(post("", 12).Body.String(), `"pong"`); n != 12 {
		t.Errorf("%d of 12 requests in the name of no connection were served", n)
	}
}

// A POST costs its address as many requests as it holds; proxies have no client's address.
func TestAddressCountsRequestsOfAPost(t *testing.T) {
	for _, tt := range []struct {
		remote string
		served int
	}{
		{"203.0.113.7:1000", 5},
		{"203.0.113.7", 5},    // as some middleware writes it
		{"10.0.0.1:1000", 24}, // the proxy itself: a probe of its own
		{"127.0.0.1:1000", 5}, // a limit that is set is for all
	} {
		hub := imtest.NewHub(t, &im.Options{
			Limits:  im.Limits{Address: im.Limit{N: 5, Per: time.Hour}, Requests: im.Unlimited},
			Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		})
		served := 0
		for range 8 {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/send", strings.NewReader(`[{"op":"ping","id":1},{"op":"ping","id":2},{"op":"ping","id":3}]`))
			r.RemoteAddr = tt.remote
			r.Header.Set("Authorization", "Bearer ann")
			w := httptest.NewRecorder()
			hub.ServeHTTP(w, r)
			served += strings.Count(w.Body.String(), `"pong"`)
		}
		if served != tt.served {
			t.Errorf("%s: %d were served, want %d", tt.remote, served, tt.served)
		}
	}
}

// The host's hooks see where a message comes from, on every way.
func TestAddrOfAPost(t *testing.T) {
	var seen netip.Addr
	hub := imtest.NewHub(t, &im.Options{
		Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Admit:   func(_ context.Context, s *im.Session, _ string) error { seen = s.Addr(); return nil },
	})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/send", strings.NewReader(`{"op":"send","id":1,"room":"42","kind":"chat","body":"hi"}`))
	r.RemoteAddr = "10.0.0.1:1000"
	r.Header.Set("X-Forwarded-For", "198.51.100.9")
	r.Header.Set("Authorization", "Bearer ann")
	hub.ServeHTTP(httptest.NewRecorder(), r)
	if seen.String() != "198.51.100.9" {
		t.Errorf("Admit saw %v", seen)
	}
	if a := hub.Join("42", user("ann")).Session.Addr(); a.IsValid() {
		t.Errorf("a session in memory is at %v", a)
	}
}
