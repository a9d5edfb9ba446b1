package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/liveim/im"
)

// ask posts to the guest handler with an optional name and cookie, and returns
// the status and the cookie of the answer.
func ask(g *guests, name string, cookies []*http.Cookie) (int, []*http.Cookie) {
	r := httptest.NewRequest(http.MethodPost, "/guest", strings.NewReader(url.Values{"name": {name}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	resp := w.Result()
	defer resp.Body.Close()
	return resp.StatusCode, resp.Cookies()
}

func identify(t *testing.T, g *guests, cookies []*http.Cookie) im.User {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/im/ws", nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	u, err := g.authenticate(r)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestGuestKeepsItsID(t *testing.T) {
	g := newGuests(nil)
	visit := func(name string, cookies []*http.Cookie) []*http.Cookie {
		t.Helper()
		status, cookies := ask(g, name, cookies)
		if status != http.StatusOK {
			t.Fatalf("name %q: status %d", name, status)
		}
		return cookies
	}
	first := visit("", nil)
	u := identify(t, g, first)
	if u.ID == "" || u.Name == "" {
		t.Fatalf("a new guest is %+v", u)
	}
	if again := identify(t, g, visit("", first)); again.ID != u.ID || again.Name != u.Name {
		t.Errorf("the guest %+v came back as %+v", u, again)
	}
	if renamed := identify(t, g, visit("阿岚", first)); renamed.ID != u.ID || renamed.Name != "阿岚" {
		t.Errorf("the guest %+v was renamed to %+v", u, renamed)
	}
	if other := identify(t, g, visit("", nil)); other.ID == u.ID {
		t.Error("two guests have one id")
	}
	c := first[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
		t.Errorf("the cookie %v can be read by scripts or sent by other sites", c)
	}
}

func TestGuestNames(t *testing.T) {
	g := newGuests(nil)
	for name, want := range map[string]int{
		"Ann":                     http.StatusOK,
		strings.Repeat("名", 24):   http.StatusOK,
		strings.Repeat("名", 25):   http.StatusBadRequest,
		"a\u202eb":                http.StatusBadRequest,
		"a\x00b":                  http.StatusBadRequest,
		"\xff":                    http.StatusBadRequest,
		strings.Repeat("x", 9000): http.StatusBadRequest,
	} {
		if status, _ := ask(g, name, nil); status != want {
			t.Errorf("name %.30q: status %d, want %d", name, status, want)
		}
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	g := newGuests(nil)
	r := httptest.NewRequest(http.MethodGet, "/im/ws", nil)
	if _, err := g.authenticate(r); !errors.Is(err, im.ErrNoCredentials) {
		t.Errorf("without a cookie: %v", err)
	}
	for name, token := range map[string]string{
		"nothing":      "",
		"no signature": strings.SplitAfter(g.seal(guest{ID: "a"}), ".")[0],
		"another key":  newGuests([]byte("another")).seal(guest{ID: "a"}),
		"too long":     g.seal(guest{ID: strings.Repeat("a", 2*longestGuest)}),
	} {
		r := httptest.NewRequest(http.MethodGet, "/im/ws", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		if u, err := g.authenticate(r); !errors.Is(err, &im.Error{Code: im.CodeUnauthorized}) {
			t.Errorf("%s: got %+v and %v", name, u, err)
		}
	}
}
