package im_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

// A9: each origin on each path. What is refused has no effect, and the answer tells
// a foreign page nothing.
func TestA9EveryOriginOnEveryPath(t *testing.T) {
	hub, addr := bareHub(t, &im.Options{Origins: []string{"https://friend.example"}})
	const send = `{"op":"send","id":1,"room":"42","kind":"chat","body":1}`
	paths := []struct{ method, path, header, body string }{
		{"GET", "/im/ws", handshake, ""},
		{"GET", "/im/sse?room=42", "", ""},
		{"HEAD", "/im/sse?room=42", "", ""},
		{"GET", "/im/poll?room=42&wait=1", "", ""},
		{"POST", "/im/send", "", send},
		{"GET", "/im/rooms/42/history", "", ""},
		{"OPTIONS", "/im/send", "Access-Control-Request-Method: POST\r\n", ""},
		{"OPTIONS", "/im/sse", "Access-Control-Request-Method: GET\r\n", ""},
	}
	const host = "http://im.example"
	refused := map[string]int{
		"Origin: null": 403, "Origin: ": 403, "Origin: https://evil.example": 403,
		"Origin: http://sub.im.example": 403, "Origin: http://im.example:8080": 403, "Origin: https://im.example:8443": 403,
		"Origin: http://im.example.evil.example": 403, "Origin: file://im.example": 403, "Origin: im.example": 403, "Origin: http://evil.example@im.example.net": 403,
		"Origin: http://friend.example": 403, "Origin: https://sub.friend.example": 403, "Origin: https://friend.example:8443": 403, "Origin: https://friend.example.": 403,
		"Origin: " + host + "\r\nOrigin: https://evil.example": 400,
		"Sec-Fetch-Site: cross-site":                           403, "Sec-Fetch-Site: same-site": 403,
	}
	for _, p := range paths {
		for header, status := range refused {
			list := exchange(t, addr, request(p.method, p.path, asAnn+p.header+header+"\r\n", p.body), true)
			if len(list) != 1 || list[0].status != status {
				t.Errorf("%s %s, %q: %+v, want status %d", p.method, p.path, header, list, status)
				continue
			}
			for name := range list[0].header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s %s, %q: the refusal has %s", p.method, p.path, header, name)
				}
			}
		}
	}
	if s := hub.Stats(); s.Sessions > 0 || s.Accepted > 0 || s.Rooms > 0 {
		t.Fatalf("refused requests had an effect: %+v", s)
	}
	for _, header := range []string{"X-No: origin", "Origin: " + host, "Origin: https://im.example", "Origin: https://friend.example", "Origin: HTTPS://Friend.Example", "Sec-Fetch-Site: same-origin"} {
		for _, p := range paths {
			if p.path == "/im/ws" {
				continue // TestA9ForeignOriginsAreRefused has the ones that are let in
			}
			list := exchange(t, addr, request(p.method, p.path, asAnn+p.header+noMore+header+"\r\n", p.body), false)
			if len(list) != 1 || list[0].status/100 != 2 {
				t.Errorf("%s %s, %q: %+v, want it let in", p.method, p.path, header, list)
				continue
			}
			friend := strings.Contains(strings.ToLower(header), "friend")
			if got := list[0].header.Get("Access-Control-Allow-Origin"); (got != "") != friend || got == "*" {
				t.Errorf("%s %s, %q: allows %q", p.method, p.path, header, got)
			}
		}
	}
}

// A12: a session id of somebody else gives nothing, and looks exactly like one that
// nobody has, on every way that takes one.
func TestA12StolenSessionIDs(t *testing.T) {
	hub, c := serveWeb(t, &im.Options{Admit: func(_ context.Context, s *im.Session, room string) error {
		if room == "club" && s.User().ID == "mallory" {
			return &im.Error{Code: im.CodeForbidden, Reason: "members only"}
		}
		return nil
	}})
	stream := c.stream("room=club", "")
	sids := map[string]string{"stream": stream.expect("welcome").SID}
	stream.expect("joined")
	socket := dialAs(t, "ws"+strings.TrimPrefix(c.base, "http")+"/ws", "ann")
	sids["WebSocket"] = socket.expect("welcome").SID
	socket.send(`{"op":"join","id":1,"room":"club"}`)
	socket.expect("joined")
	_, list := c.messages("GET", "/poll?room=club", "")
	sids["poll"] = list[0].SID

	mallory := &web{t, c.base, "mallory"}
	unknown := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	// What the hub says to a request of mallory, without what differs each time.
	ask := func(method, path, sid, body string) string {
		resp := mallory.do(t.Context(), method, fmt.Sprintf(path, sid), body, nil)
		text := make([]byte, 8192)
		n := 0
		for n < len(text) && !strings.Contains(string(text[:n]), wire.OpLeft) { // a stream goes on
			k, err := resp.Body.Read(text[n:])
			if n += k; err != nil {
				break
			}
		}
		header := resp.Header.Clone()
		header.Del("Date")
		header.Del("Content-Length") // differs with the digits of times only, which are compared below
		said := string(text[:n])
		if _, own, ok := strings.Cut(said, `"sid":"`); ok {
			own, _, _ = strings.Cut(own, `"`)
			if own == sid {
				t.Errorf("%s %s: mallory was given the session %s", method, path, sid)
			}
			said = strings.ReplaceAll(said, own, "OWN")
		}
		return fmt.Sprint(resp.StatusCode, header, said)
	}
	for _, w := range []struct{ method, path, body string }{
		{"GET", "/sse?room=club&sid=%s", ""},
		{"GET", "/poll?room=club&wait=1&sid=%s", ""},
		{"POST", "/send?sid=%s", `{"op":"send","id":1,"room":"club","kind":"chat","body":1}`},
		{"POST", "/send?sid=%s", `{"op":"history","id":1,"room":"club"}`},
		{"POST", "/send?sid=%s", `{"op":"state.set","id":1,"room":"club","body":{"key":"k","value":1}}`},
		{"GET", "/rooms/club/history?sid=%s", ""},
	} {
		want := ask(w.method, w.path, unknown, w.body)
		if !strings.Contains(want, "members only") {
			t.Errorf("%s %s: %s", w.method, w.path, want)
		}
		for of, sid := range sids {
			tampered := []byte(sid)
			tampered[3] ^= 1
			for _, s := range []string{sid, string(tampered), sid[:len(sid)-2], sid + "AA", "", "%00"} {
				if got := ask(w.method, w.path, s, w.body); got != want {
					t.Errorf("%s %s with the id of a %s: %s\nwith an unknown one: %s", w.method, w.path, of, got, want)
				}
			}
		}
	}
	// Those whose ids were stolen have not noticed.
	if _, err := hub.Room("club").Send(t.Context(), im.Notice, "still here"); err != nil {
		t.Fatal(err)
	}
	stream.expect("events")
	socket.expect("events")
	if _, list = c.messages("GET", "/poll?room=club&since="+list[1].Epoch+".0&sid="+sids["poll"], ""); len(list) == 0 || list[0].Op == "welcome" {
		t.Errorf("the poll: %+v", list)
	}
	// 128 random bits, and the tag that binds them to the user.
	seen := map[string]bool{}
	for range 200 {
		_, list := c.messages("GET", "/poll", "")
		raw, err := base64.RawURLEncoding.DecodeString(list[0].SID)
		if err != nil || len(raw) != 32 || seen[string(raw[:16])] {
			t.Fatalf("session id %q, %v", list[0].SID, err)
		}
		seen[string(raw[:16])] = true
	}
}
