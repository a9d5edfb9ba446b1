package im_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
)

// badPost is a POST that is refused.
type badPost struct {
	name   string
	raw    string
	half   bool // the client ends its sending side behind it
	status int
	code   string
	stays  bool // the connection goes on: the request was read to its end
}

func post(header, body string) string { return request("POST", "/im/send", asAnn+header, body) }

func chunked(body string, complete bool) string {
	s := fmt.Sprintf("POST /im/send HTTP/1.1\r\nHost: im.example\r\n%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", asAnn, len(body), body)
	if complete {
		s += "0\r\n\r\n"
	}
	return s
}

// declared is the head of a POST with a body of n bytes that does not come.
func declared(header string, n int) string {
	return fmt.Sprintf("POST /im/send HTTP/1.1\r\nHost: im.example\r\n%sContent-Length: %d\r\n\r\n", header, n)
}

func badPosts(t *testing.T) []badPost {
	const sound = `{"op":"send","id":1,"room":"42","kind":"chat","body":1}`
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(sound)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	large := `{"op":"send","id":1,"room":"42","kind":"chat","body":"` + strings.Repeat("x", 64<<10) + `"}`
	many := "[" + strings.Repeat(`{"op":"ping"},`, 64) + `{"op":"ping"}]`
	deep := func(n int) string {
		return `{"op":"send","room":"42","kind":"chat","body":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}"
	}
	const ping = `{"op":"ping"}`
	return []badPost{
		{name: "no JSON", raw: post("", "nonsense"), status: 400, code: "bad_request", stays: true},
		{name: "cut JSON", raw: post("", sound[:20]), status: 400, code: "bad_request", stays: true},
		{name: "two values", raw: post("", ping+ping), status: 400, code: "bad_request", stays: true},
		{name: "a form", raw: post("Content-Type: application/x-www-form-urlencoded\r\n", "op=send&room=42"), status: 400, code: "bad_request", stays: true},
		{name: "JSON as a form of a foreign page", raw: post("Content-Type: text/plain\r\nOrigin: https://evil.example\r\n", sound), status: 403, code: "origin"},
		{name: "empty", raw: post("", ""), status: 400, code: "bad_request", stays: true},
		{name: "white space", raw: post("", " \r\n"), status: 400, code: "bad_request", stays: true},
		{name: "no UTF-8", raw: post("", "{\"op\":\"\xff\"}"), status: 400, code: "bad_request", stays: true},
		{name: "gzip", raw: post("Content-Encoding: gzip\r\n", zipped.String()), status: 400, code: "bad_request", stays: true},
		{name: "65 requests", raw: post("", many), status: 400, code: "bad_request", stays: true},
		{name: "33 deep", raw: post("", deep(32)), status: 400, code: "bad_request", stays: true},
		{name: "10,000 deep", raw: post("", deep(10_000)), status: 400, code: "bad_request", stays: true},
		{name: "join", raw: post("", `{"op":"join","id":1,"room":"42"}`), status: 400, code: "bad_request", stays: true},
		{name: "unknown operation", raw: post("", `{"op":"dance","id":1}`), status: 404, code: "not_found", stays: true},
		{name: "not allowed", raw: post("", `{"op":"send","id":1,"room":"42","kind":"notice","body":1}`), status: 403, code: "forbidden", stays: true},

		{name: "too large, declared", raw: post("", large), status: 413, code: "too_large"},
		{name: "too large, declared and awaited", raw: declared(asAnn+"Expect: 100-continue\r\n", 64<<10+1), status: 413, code: "too_large"},
		{name: "a gigabyte, declared", raw: declared(asAnn, 1<<30), status: 413, code: "too_large"},
		{name: "too large, chunked", raw: chunked(large, true), status: 413, code: "too_large"},
		{name: "too large, chunked without an end", raw: chunked(large, false), status: 413, code: "too_large"},
		{name: "unfinished", raw: declared(asAnn, 1000) + sound, half: true, status: 408, code: "bad_request"},
		{name: "unfinished, chunked", raw: chunked(sound, false), half: true, status: 408, code: "bad_request"},
		{name: "a broken chunk", raw: chunked(sound, false) + "zz\r\n", status: 408, code: "bad_request"},

		{name: "nobody", raw: request("POST", "/im/send", "", sound), status: 401, code: "unauthorized"},
		{name: "nobody, unfinished", raw: declared("", 1000) + sound, status: 401, code: "unauthorized"},
		{name: "wrong method", raw: request("PUT", "/im/send", asAnn, sound), status: 405, code: "bad_request"},
		{name: "wrong path", raw: request("POST", "/im/sent", asAnn, sound), status: 404, code: "not_found"},
		{name: "to a file", raw: request("POST", "/im/doctor", asAnn, sound), status: 405, code: "bad_request"},
		{name: "body of a GET", raw: request("GET", "/im/rooms/42/history", asAnn, sound), status: 400, code: "bad_request"},
		{name: "body of a poll", raw: request("GET", "/im/poll?room=42", asAnn, sound), status: 400, code: "bad_request"},
		{name: "body of a stream", raw: request("GET", "/im/sse?room=42", asAnn, sound), status: 400, code: "bad_request"},
		{name: "body of a handshake", raw: request("GET", "/im/ws", asAnn+handshake, sound), status: 400, code: "bad_request"},
		{name: "stream by POST", raw: request("POST", "/im/sse", asAnn, sound), status: 405, code: "bad_request"},
		{name: "poll by POST", raw: request("POST", "/im/poll", asAnn, sound), status: 405, code: "bad_request"},
	}
}

// handshake is what makes a GET one of WebSocket.
const handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: im.v1\r\n"

// A25: a bad POST is answered, and its connection closed unless it was read to its
// end. A24: what follows a refused request, or is its body, is not read as one.
func TestA25BadPosts(t *testing.T) {
	hub, addr := bareHub(t, nil)
	// It would be seen if it were served. Its answer is as long as that of the last.
	const next = `{"op":"send","id":9,"room":"42","kind":"chat","body":"next"}`
	posts := badPosts(t)
	served := 0
	var all sync.WaitGroup // all at once: some wait for a body that does not come
	for _, p := range posts {
		raw, want := p.raw, 1
		if !p.half {
			raw += request("POST", "/im/send", asAnn+noMore, next)
		}
		if p.stays {
			want = 2
			served++
		}
		all.Go(func() {
			t.Run(p.name, func(t *testing.T) {
				start := time.Now()
				list := exchange(t, addr, raw, p.half)
				if took := time.Since(start); took > strayBar {
					t.Errorf("took %v", took)
				}
				if len(list) != want || list[0].status != p.status || list[0].code() != p.code {
					t.Errorf("%d answers, want %d; want status %d, %q", len(list), want, p.status, p.code)
					for _, a := range list {
						t.Errorf("\t%d %v %.200s", a.status, a.header, a.body)
					}
				} else if list[0].closes == p.stays {
					t.Errorf("the answer says that the connection ends: %v", list[0].closes)
				}
			})
		})
	}
	all.Wait()
	// Limits of the kind refuse the later ones; nothing else may have got in.
	page, err := hub.Room("42").History(t.Context(), im.HistoryQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Events) > served {
		t.Errorf("%d events were stored, of %d sound requests", len(page.Events), served)
	}
	for _, e := range page.Events {
		if string(e.Body) != `"next"` {
			t.Errorf("the body of a refused request took effect: %s", e.Body)
		}
	}
}

// strayBar is when a refused connection must have ended: the body that nobody reads
// has 5 s, and net/http waits for half a second more.
const strayBar = 8 * time.Second

// A25: what bad posts cost the server, while they are there and in all.
func TestA25MemoryOfBadPosts(t *testing.T) {
	const clients = 200
	_, addr := bareHub(t, nil)
	exchange(t, addr, post(noMore, "nonsense"), false) // warm up
	// Bodies that are all but complete: each holds what it may hold.
	before := heap()
	var conns []net.Conn
	for range clients {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, declared(asAnn, 64<<10)+strings.Repeat("x", 64<<10-1)); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	pass(time.Second) // for the last of them to be read
	held := (heap() - before) / clients
	for _, c := range conns {
		_ = c.Close()
	}
	// Complete ones that are too large, in turn.
	large := chunked(strings.Repeat("x", 65<<10), true)
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	for range clients {
		if list := exchange(t, addr, large, false); len(list) != 1 || list[0].status != http.StatusRequestEntityTooLarge {
			t.Fatalf("%+v", list)
		}
	}
	runtime.ReadMemStats(&m1)
	each := int(m1.TotalAlloc-m0.TotalAlloc) / clients
	t.Logf("a POST that is not complete holds %d bytes; one that is too large allocates %d in all, this client included", held, each)
	if held > 160<<10 { // the body, the buffer that it outgrew, and the connection
		t.Errorf("a POST that is not complete holds %d bytes", held)
	}
	if each > 768<<10 {
		t.Errorf("a POST that is too large allocates %d bytes", each)
	}
}

// A25: of two polls with one sid at a time the first is answered at once, and the
// second gets what comes.
func TestA25SecondPoll(t *testing.T) {
	hub, c := serveWeb(t, nil)
	_, list := c.messages("GET", "/poll?room=42", "")
	query := fmt.Sprintf("/poll?room=42&since=%s&sid=%s&wait=", im.Position{Epoch: list[1].Epoch, Seq: list[1].Seq}, list[0].SID)
	c.messages("GET", query+"1", "") // the count
	polls := make(chan int, 20)
	results := make(chan string, cap(polls))
	for range cap(polls) {
		go func() {
			v := &webViewer{t: t, base: c.base, user: c.user}
			resp, err := v.get(t.Context(), query+"20000")
			if err != nil {
				results <- err.Error()
				return
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			results <- fmt.Sprintf("%d %s", resp.StatusCode, body)
		}()
	}
	t.Cleanup(webClient.CloseIdleConnections)
	start := time.Now()
	for range cap(polls) - 1 {
		if got := <-results; got != "200 []" && !strings.Contains(got, `"online"`) {
			t.Errorf("a poll that another one replaced: %s", got)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the polls that were replaced took %v", took)
	}
	if _, err := hub.Room("42").Send(t.Context(), im.Notice, "to the last one"); err != nil {
		t.Fatal(err)
	}
	if got := <-results; !strings.Contains(got, "to the last one") {
		t.Errorf("the last poll got %s", got)
	}
	if n := hub.Stats().Sessions; n != 1 {
		t.Errorf("%d sessions for one sid", n)
	}
}
