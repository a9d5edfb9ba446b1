package ws

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// rawRequest is the handshake of RFC 6455 section 1.3 with more header lines.
func rawRequest(lines ...string) string {
	head := "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
	for _, line := range lines {
		head += line + "\r\n"
	}
	return head + "\r\n"
}

func parseRequest(t *testing.T, raw string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatalf("test request is malformed: %v", err)
	}
	return r
}

func TestCheckRequestRFCExample(t *testing.T) {
	r := parseRequest(t, rawRequest("Sec-WebSocket-Protocol: chat, superchat", "Origin: http://example.com"))
	hs, refused := CheckRequest(r, []string{"superchat", "chat"}, true)
	if refused != nil {
		t.Fatal(refused)
	}
	want := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: superchat\r\n\r\n"
	if got := string(hs.AppendResponse(nil)); got != want {
		t.Errorf("response:\n%s\nwant:\n%s", got, want)
	}
}

func TestCheckRequestAccepts(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"plain":             func(*http.Request) {},
		"Connection list":   func(r *http.Request) { r.Header.Set("Connection", "keep-alive, UPGRADE") },
		"Connection lines":  func(r *http.Request) { r.Header["Connection"] = []string{"keep-alive", "upgrade"} },
		"Upgrade list":      func(r *http.Request) { r.Header.Set("Upgrade", "h2c, WebSocket") },
		"one Origin":        func(r *http.Request) { r.Header.Set("Origin", "https://example.com") },
		"unknown protocol":  func(r *http.Request) { r.Header.Set(headerProtocol, "other") },
		"unknown extension": func(r *http.Request) { r.Header.Set(headerExtensions, "x-custom; a=1") },
		"empty list items":  func(r *http.Request) { r.Header.Set(headerProtocol, ", other,,") },
		"HTTP/1.2":          func(r *http.Request) { r.ProtoMinor = 2 },
	} {
		r := parseRequest(t, rawRequest())
		change(r)
		hs, refused := CheckRequest(r, []string{"chat"}, true)
		if refused != nil {
			t.Errorf("%s: %v", name, refused)
		} else if hs.Protocol != "" || hs.Deflate {
			t.Errorf("%s: %+v, want no protocol and no deflate", name, hs)
		}
	}
}

func TestCheckRequestRefuses(t *testing.T) {
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	del := func(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(name) } }
	twice := func(name string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = []string{"a", "a"} }
	}
	cases := []struct {
		name   string
		status int
		change func(*http.Request)
	}{
		{"POST", 405, func(r *http.Request) { r.Method = http.MethodPost }},
		{"HTTP/1.0", 400, func(r *http.Request) { r.ProtoMinor = 0 }},
		{"HTTP/2", 400, func(r *http.Request) { r.ProtoMajor, r.ProtoMinor = 2, 0 }},
		{"no Host", 400, func(r *http.Request) { r.Host = "" }},
		{"body", 400, func(r *http.Request) { r.ContentLength = 5 }},
		{"body of unknown length", 400, func(r *http.Request) { r.ContentLength = -1 }},
		{"no Connection", 426, del("Connection")},
		{"other Connection", 426, set("Connection", "keep-alive")},
		{"Connection prefix", 426, set("Connection", "upgraded")},
		{"no Upgrade", 426, del("Upgrade")},
		{"other Upgrade", 426, set("Upgrade", "h2c")},
		{"no version", 426, del(headerVersion)},
		{"version 8", 426, set(headerVersion, "8")},
		{"version 13 and 8", 426, set(headerVersion, "13, 8")},
		{"two versions", 400, twice(headerVersion)},
		{"no key", 400, del(headerKey)},
		{"two keys", 400, twice(headerKey)},
		{"short key", 400, set(headerKey, "c2hvcnQ=")},
		{"long key", 400, set(headerKey, "dGhlIHNhbXBsZSBub25jZSBpcyBsb25n")},
		{"key that is not base64", 400, set(headerKey, "dGhlIHNhbXBsZSBub25jZ!==")},
		{"key with a line break", 400, set(headerKey, "dGhlIHNhbXBsZSBub25jZ\n==")},
		{"two Origins", 400, twice("Origin")},
		{"two Hosts", 400, twice("Host")},
		{"two X-Forwarded-Hosts", 400, twice("X-Forwarded-Host")},
		{"bad protocol", 400, set(headerProtocol, "a b")},
		{"malformed extension", 400, set(headerExtensions, "permessage-deflate; =1")},
		{"2000 headers", 400, func(r *http.Request) {
			for i := range 2000 {
				r.Header.Set(fmt.Sprintf("X-%d", i), "x")
			}
		}},
		{"2000 lines of one header", 400, func(r *http.Request) { r.Header["Cookie"] = make([]string, 2000) }},
		{"64 KiB of protocols", 400, set(headerProtocol, strings.Repeat("a,", 32<<10))},
		{"64 KiB of extensions", 400, set(headerExtensions, strings.Repeat("a,", 32<<10))},
		{"64 KiB of Connection", 400, set("Connection", strings.Repeat("a,", 32<<10))},
	}
	for _, c := range cases {
		r := parseRequest(t, rawRequest())
		c.change(r)
		hs, refused := CheckRequest(r, []string{"chat"}, true)
		if hs != nil || refused == nil || refused.Status != c.status {
			t.Errorf("%s: got %+v and %v, want status %d", c.name, hs, refused, c.status)
			continue
		}
		checkRefusal(t, c.name, refused)
	}
}

func checkRefusal(t *testing.T, name string, refused *HandshakeError) {
	t.Helper()
	rec := httptest.NewRecorder()
	refused.Respond(rec)
	header := rec.Result().Header
	if rec.Code != refused.Status || header.Get("Connection") != "close" || !strings.Contains(rec.Body.String(), refused.Reason) {
		t.Errorf("%s: responded %d %v %q", name, rec.Code, header, rec.Body)
	}
	if refused.Status == 426 && (header.Get("Upgrade") != "websocket" || header.Get("Sec-WebSocket-Version") != "13") {
		t.Errorf("%s: 426 with %v, want Upgrade and Sec-WebSocket-Version", name, header)
	}
	if refused.Status == 405 && header.Get("Allow") != "GET" {
		t.Errorf("%s: 405 with %v, want Allow: GET", name, header)
	}
}

// TestCheckRequestAbuseIsCheap bounds what abusive headers allocate.
func TestCheckRequestAbuseIsCheap(t *testing.T) {
	r := parseRequest(t, rawRequest())
	r.Header.Set(headerProtocol, strings.Repeat("a,", 32<<10))
	if n := testing.AllocsPerRun(100, func() { _, _ = CheckRequest(r, nil, true) }); n > 8 {
		t.Errorf("%v allocations to refuse a 64 KiB list, want at most 8", n)
	}
}

// TestNothingBehindARefusal sends a second request, and a frame, behind a
// handshake that is refused: a net/http server must close without reading them.
func TestNothingBehindARefusal(t *testing.T) {
	var requests atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if _, refused := CheckRequest(r, nil, false); refused != nil {
			refused.Respond(w)
		}
	}))
	defer srv.Close()
	for name, head := range map[string]string{
		"version":  strings.Replace(rawRequest(), "Version: 13", "Version: 12", 1),
		"body":     rawRequest("Content-Length: 5"),
		"chunked":  rawRequest("Transfer-Encoding: chunked"),
		"bad list": rawRequest("Sec-WebSocket-Protocol: a b"),
	} {
		requests.Store(0)
		reply := exchange(t, srv, head+rawRequest()+"\x81\x80\x00\x00\x00\x00")
		if requests.Load() > 1 || strings.Count(reply, "HTTP/1.1 ") != 1 || !strings.HasPrefix(reply, "HTTP/1.1 4") {
			t.Errorf("%s: %d requests served, reply %q", name, requests.Load(), reply)
		}
	}
}
