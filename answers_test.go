package im_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/wire"
)

// answered is an HTTP answer as it came over the wire.
type answered struct {
	status int
	closes bool // says that the connection ends
	header http.Header
	body   string
}

// code is the code of the error, or of the only message, that the body holds.
func (a *answered) code() string {
	m := new(wire.Message)
	if json.Unmarshal([]byte(strings.TrimSuffix(strings.TrimPrefix(a.body, "["), "]")), m) != nil {
		return ""
	}
	return m.Code
}

// exchange writes raw on a connection of its own, ends its sending side if half
// says so, and returns the answers up to the end of the connection. Streams are
// read up to their first byte.
func exchange(t testing.TB, addr, raw string, half bool) (list []*answered) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, raw); err != nil && len(raw) < 4096 {
		t.Fatal(err)
	}
	if half {
		_ = c.(*net.TCPConn).CloseWrite()
	}
	method, _, _ := strings.Cut(raw, " ")
	r := bufio.NewReader(c)
	for {
		if _, err := r.Peek(1); err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				t.Errorf("%.40q: the connection is still open after %d answers", raw, len(list))
			}
			return list
		}
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Errorf("%.40q: behind %d answers comes no answer: %v", raw, len(list), err)
			return list
		}
		a := &answered{status: resp.StatusCode, closes: resp.Close, header: resp.Header}
		list = append(list, a)
		if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") && method == http.MethodGet {
			first, _ := r.Peek(1)
			a.body = string(first)
			return list
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Errorf("%.40q: %v", raw, err)
			return list
		}
		a.body = string(body)
	}
}

// request is the text of a request. Header lines end with a line break.
func request(method, path, header, body string) string {
	if body != "" || method == http.MethodPost {
		header += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return method + " " + path + " HTTP/1.1\r\nHost: im.example\r\n" + header + "\r\n" + body
}

const (
	asAnn  = "Authorization: Bearer ann\r\n"
	noMore = "Connection: close\r\n"
	asJSON = "application/json"
)

// endpoint is a path, and how it answers the methods that it has.
type endpoint struct {
	path        string
	allow       string // "" means that there is nothing
	status      int
	contentType string
	private     bool // answers for a user, and preflights
}

var endpoints = []endpoint{
	{"/ws", "GET", 426, "text/plain; charset=utf-8", true},
	{"/sse?room=42", "GET, HEAD", 200, "text/event-stream", true},
	{"/poll?room=42&wait=1", "GET", 200, asJSON, true},
	{"/send", "POST", 200, asJSON, true},
	{"/rooms/42/history", "GET, HEAD", 200, asJSON, true},
	{"/client.js", "GET, HEAD", 200, "text/javascript; charset=utf-8", false},
	{"/client.d.ts", "GET, HEAD", 200, "text/typescript; charset=utf-8", false},
	{"/danmaku.js", "GET, HEAD", 200, "text/javascript; charset=utf-8", false},
	{"/features.js", "GET, HEAD", 200, "text/javascript; charset=utf-8", false},
	{"/danmaku.d.ts", "GET, HEAD", 200, "text/typescript; charset=utf-8", false},
	{"/diagnose.js", "GET, HEAD", 200, "text/javascript; charset=utf-8", false},
	{"/diagnose.d.ts", "GET, HEAD", 200, "text/typescript; charset=utf-8", false},
	{"/doctor", "GET, HEAD", 200, "text/html; charset=utf-8", false},
	{"/doctor.js", "GET, HEAD", 200, "text/javascript; charset=utf-8", false},
	{"/doctor.css", "GET, HEAD", 200, "text/css; charset=utf-8", false},
	{path: ""}, {path: "/"}, {path: "/nothing"}, {path: "/history"}, {path: "/rooms"}, {path: "/rooms/42"}, {path: "/rooms/42/members"},
	{path: "/ws/"}, {path: "/sse/"}, {path: "/poll/?room=42"}, {path: "/send/"}, {path: "/rooms/42/history/"}, {path: "/doctor/"},
	{path: "//ws"}, {path: "//doctor"}, {path: "/rooms//42/history"}, {path: "/WS"}, {path: "/%77s/x"}, {path: "/../ws"},
	{path: "/im.js"}, {path: "/doctor.html"}, {path: "/README.md"}, {path: "/favicon.ico"},
}

// wanted is what an answer must be.
type wanted struct {
	status      int
	contentType string
	cache       string
	code        string // of JSON
}

// wants says how an endpoint answers a method. refusal is what it makes of
// requests for a user, if it refuses them.
func (e *endpoint) wants(method string, refusal *wanted) wanted {
	allowed := slices.Contains(strings.Split(e.allow, ", "), method)
	switch {
	case e.allow == "":
		return wanted{404, asJSON, "no-store", "not_found"}
	case e.private && method == http.MethodOptions:
		return wanted{204, "", "no-store", ""}
	case !allowed:
		return wanted{405, asJSON, "no-store", "bad_request"}
	case refusal != nil && e.private:
		return *refusal
	case e.private:
		return wanted{e.status, e.contentType, "no-store", ""}
	}
	return wanted{e.status, e.contentType, "no-cache", ""}
}

// TestEveryAnswer: whatever is asked of a hub, the answer has the right status,
// and says what it is and who may keep it.
func TestEveryAnswer(t *testing.T) {
	hub, addr := bareHub(t, nil)
	check := func(header string, refusal *wanted) {
		t.Helper()
		for i := range endpoints {
			e := &endpoints[i]
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
				want := e.wants(method, refusal)
				if header == "" && e.path == "/ws" && want.status == 401 { // it may still say hello
					want = e.wants(method, nil)
				}
				body := ""
				if method == "POST" && e.path == "/send" {
					body = `{"op":"ping"}`
				}
				list := exchange(t, addr, request(method, "/im"+e.path, header+noMore, body), false)
				if len(list) != 1 {
					t.Errorf("%s %s: %d answers", method, e.path, len(list))
					continue
				}
				e.judge(t, method, list[0], want)
			}
		}
	}
	check(asAnn, nil)
	check("", &wanted{401, asJSON, "no-store", "unauthorized"})
	_ = hub.Close()
	check(asAnn, &wanted{503, asJSON, "no-store", "shutdown"})

	_, addr = bareHub(t, &im.Options{Bounds: im.Bounds{Sessions: 1}})
	exchange(t, addr, request("GET", "/im/poll", asAnn+noMore, ""), false) // stays for a while
	for _, path := range []string{"/sse", "/poll", "/ws"} {
		list := exchange(t, addr, request("GET", "/im"+path, asAnn+noMore, ""), false)
		(&endpoint{path, "GET", 0, "", true}).judge(t, "GET", list[0], wanted{503, asJSON, "no-store", "overloaded"})
	}
}

// bareHub serves a hub at /im with nothing in between that would mend a path.
func bareHub(t *testing.T, opts *im.Options) (*im.Hub, string) {
	t.Helper()
	hub, err := im.New(imtest.BearerUser, opts)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.StripPrefix("/im", hub))
	t.Cleanup(func() {
		_ = hub.Close()
		srv.Close()
	})
	return hub, srv.Listener.Addr().String()
}

func (e *endpoint) judge(t *testing.T, method string, got *answered, want wanted) {
	t.Helper()
	h := got.header
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s %q: %s\n\tstatus %d, %v, %.100q", method, e.path, fmt.Sprintf(format, args...), got.status, h, got.body)
	}
	contentType, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	wantType, _, _ := strings.Cut(want.contentType, ";")
	switch {
	case got.status != want.status:
		fail("want status %d", want.status)
	case contentType != wantType || strings.HasPrefix(wantType, "text/") && wantType != "text/event-stream" && !strings.HasSuffix(h.Get("Content-Type"), "; charset=utf-8"):
		fail("want %q", want.contentType)
	case h.Get("Cache-Control") != want.cache:
		fail("want Cache-Control: %s", want.cache)
	case want.status != 204 && h.Get("X-Content-Type-Options") != "nosniff":
		fail("its type may be guessed")
	case (want.status == 405 || want.status == 204) && h.Get("Allow") != e.allow:
		fail("want Allow: %s", e.allow)
	case e.private && !slices.Contains(h.Values("Vary"), "Origin"):
		fail("a cache may show it to pages of another origin")
	case want.status == 200 && !e.private && (h.Get("Vary") != "Origin" || h.Get("ETag") == ""):
		fail("want Vary and ETag")
	case method == http.MethodHead && got.body != "":
		fail("the answer to HEAD has a body")
	case method != http.MethodHead && want.status != 204 && got.body == "":
		fail("the answer is empty")
	case method != http.MethodHead && want.code != "" && got.code() != want.code:
		fail("want code %s", want.code)
	case want.status == 401 && h.Get("WWW-Authenticate") != "Bearer":
		fail("401 does not say how to authenticate")
	case want.status == 503 && h.Get("Retry-After") == "":
		fail("503 does not say when to come back")
	case wantType == "text/html" && (!strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("Referrer-Policy") == ""):
		fail("the page has no policy")
	}
}
