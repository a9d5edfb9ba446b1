package main

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/liveim/im"
)

// Whoever opens the page is a guest with a made-up name, kept in a signed
// cookie. A real site asks its own login here: the hub only wants to know who
// a request is from.

const (
	cookieName   = "liveroom_guest"
	cookieAge    = 30 * 24 * time.Hour
	longestName  = 24 // characters
	longestGuest = 512
)

// guests hands out identities and recognises them. It is the handler of POST
// /guest.
type guests struct {
	key []byte // signs
}

// newGuests makes a key of a secret. Guests are known for as long as that stays the same.
func newGuests(secret []byte) *guests {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("liveroom guests"))
	return &guests{mac.Sum(nil)}
}

// guest is what the cookie says.
type guest struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Roles are what the room knows. In this demo whoever wants to is the host.
	Roles []string `json:"roles,omitempty"`
}

const (
	hostRole = "host"
	botRole  = "bot" // of those who speak for many
)

func newGuest(name string) guest {
	return guest{ID: "guest-" + rand.Text()[:16], Name: cmp.Or(name, randomName())}
}

// authenticate is the hub's question who makes a request: a browser with its
// cookie, or a bot with the same thing as a token.
func (g *guests) authenticate(r *http.Request) (im.User, error) {
	signed, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		cookie, err := r.Cookie(cookieName)
		if err != nil {
			return im.User{}, im.ErrNoCredentials
		}
		signed = cookie.Value
	}
	who, ok := g.open(signed)
	if !ok {
		return im.User{}, &im.Error{Code: im.CodeUnauthorized}
	}
	return im.User{ID: who.ID, Name: who.Name, Roles: who.Roles}, nil
}

// ServeHTTP answers who the visitor is, and makes a guest of one who is
// nobody yet. The form value "name" changes the name, "host" (true or false) makes
// the visitor the host of the room: a real site knows by itself who that is.
func (g *guests) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	err := r.ParseForm()
	name, ok := cleanName(r.PostForm.Get("name"))
	if err != nil || !ok {
		http.Error(w, "A name is 1 to 24 visible characters.", http.StatusBadRequest)
		return
	}
	who, known := guest{}, false
	if cookie, err := r.Cookie(cookieName); err == nil {
		who, known = g.open(cookie.Value)
	}
	if !known {
		who = newGuest(name)
	}
	who.Name = cmp.Or(name, who.Name)
	switch r.PostForm.Get("host") {
	case "true":
		who.Roles = []string{hostRole}
	case "false":
		who.Roles = nil
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: g.seal(who), Path: "/", MaxAge: int(cookieAge.Seconds()),
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
	})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(who) // the visitor may be gone
}

// seal signs an identity.
func (g *guests) seal(who guest) string {
	body, err := json.Marshal(who)
	if err != nil {
		panic(err) // strings can always be marshalled
	}
	return base64.RawURLEncoding.EncodeToString(body) + "." + base64.RawURLEncoding.EncodeToString(g.mac(body))
}

// open reads what seal wrote, and nothing else.
func (g *guests) open(signed string) (who guest, ok bool) {
	if len(signed) > longestGuest {
		return guest{}, false
	}
	left, right, _ := strings.Cut(signed, ".")
	body, err := base64.RawURLEncoding.DecodeString(left)
	if err != nil {
		return guest{}, false
	}
	mac, err := base64.RawURLEncoding.DecodeString(right)
	if err != nil || !hmac.Equal(mac, g.mac(body)) {
		return guest{}, false
	}
	return who, json.Unmarshal(body, &who) == nil
}

func (g *guests) mac(body []byte) []byte {
	h := hmac.New(sha256.New, g.key)
	h.Write(body)
	return h.Sum(nil)
}

// cleanName checks a chosen name. The empty one stands for none.
func cleanName(name string) (string, bool) {
	name = strings.Join(strings.Fields(name), " ")
	hidden := func(c rune) bool { return !unicode.IsPrint(c) }
	return name, utf8.ValidString(name) && utf8.RuneCountInString(name) <= longestName && !strings.ContainsFunc(name, hidden)
}
