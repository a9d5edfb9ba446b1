package main

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs the whole program on a free port for the time of a test, and
// returns the address of the page.
func start(t *testing.T, c config) string {
	t.Helper()
	c.addr = "127.0.0.1:0"
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- run(ctx, c, func(url string) { ready <- url }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run ended with %v", err)
		}
	})
	select {
	case page := <-ready:
		return page
	case err := <-ended:
		ended <- nil
		t.Fatalf("run failed: %v", err)
		return ""
	}
}

// visitor is a browser: it keeps cookies.
func visitor(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport}
}

// answer is what a request got, its body read.
type answer struct {
	status int
	header http.Header
	body   string
}

func get(t *testing.T, c *http.Client, address string) answer {
	t.Helper()
	resp, err := c.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func TestPage(t *testing.T) {
	address := start(t, config{speed: 1, room: `lobby"<>`})
	c := visitor(t)
	index := get(t, c, address)
	if index.status != http.StatusOK || !strings.HasPrefix(index.header.Get("Content-Type"), "text/html") {
		t.Fatalf("the page has status %d and type %q", index.status, index.header.Get("Content-Type"))
	}
	if got := index.header.Get("Content-Security-Policy"); got != policy {
		t.Errorf("Content-Security-Policy: %q", got)
	}
	if want := `data-room="lobby&#34;&lt;&gt;"`; !strings.Contains(index.body, want) {
		t.Errorf("the page does not hold %s", want)
	}
	if regexp.MustCompile(`(?i)(style|\son\w+)=|<style|<script>`).MatchString(index.body) {
		t.Error("the page has inline styles or scripts, which its policy forbids")
	}

	seen := map[string]bool{}
	checkFiles(t, c, address, index.body, seen)
	for _, name := range []string{"room.js", "room.css", "/im/client.js", "/im/danmaku.js"} {
		if !seen[name] {
			t.Errorf("the page does not load %s, only %v", name, seen)
		}
	}
	replay := get(t, c, address+"replay?room=%22%3Cb%3E")
	if replay.status != http.StatusOK || !strings.Contains(replay.body, `data-room="&#34;&lt;b&gt;"`) || replay.header.Get("Content-Security-Policy") != policy {
		t.Errorf("the page of the replay has status %d, %v: %.200s", replay.status, replay.header, replay.body)
	}
	if regexp.MustCompile(`(?i)(style|\son\w+)=|<style|<script>`).MatchString(replay.body) {
		t.Error("the page of the replay has inline styles or scripts, which its policy forbids")
	}
	checkFiles(t, c, address, replay.body, seen)
	if none := get(t, c, address+"none"); none.status != http.StatusNotFound {
		t.Errorf("a path that does not exist has status %d", none.status)
	}
}

var references = regexp.MustCompile(`(?:href|src)="([^"]+)"|from '([^']+)'`)

// checkFiles follows what a page or script refers to, and checks each file once.
func checkFiles(t *testing.T, c *http.Client, address, text string, seen map[string]bool) {
	for _, m := range references.FindAllStringSubmatch(text, -1) {
		name := m[1] + m[2]
		if seen[name] || name == "./" || strings.HasPrefix(name, "#") {
			continue
		}
		seen[name] = true
		if strings.Contains(name, "//") {
			t.Errorf("%s comes from elsewhere", name)
			continue
		}
		file := get(t, c, address+strings.TrimPrefix(name, "/"))
		if file.status != http.StatusOK || file.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s has status %d and may be sniffed: %q", name, file.status, file.header.Get("X-Content-Type-Options"))
		}
		if strings.HasPrefix(name, "/im/") { // the hub's own
			continue
		}
		if file.header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s has no policy", name)
		}
		if !strings.HasSuffix(name, ".js") {
			continue
		}
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("} {
			if strings.Contains(file.body, bad) {
				t.Errorf("%s uses %s", name, bad)
			}
		}
		checkFiles(t, c, address, file.body, seen)
	}
}

// join has a visitor get a cookie by a form, and enter the room with it.
func join(ctx context.Context, t *testing.T, address string, form url.Values) (*client.Client, *client.Room) {
	t.Helper()
	browser := visitor(t)
	resp, err := browser.PostForm(address+"guest", form)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	page, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	for _, cookie := range browser.Jar.Cookies(page) {
		header.Add("Cookie", cookie.String())
	}
	c, err := client.Dial(ctx, "ws://"+page.Host+"/im/ws", &client.Options{Header: header})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	room, err := c.Join(ctx, "42", nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, room
}

// TestVisit is what a visitor does: get a name, join, read, and say something.
func TestVisit(t *testing.T) {
	address := start(t, config{speed: 10, crowd: 3, room: "42"})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, room := join(ctx, t, address, url.Values{"name": {" 小  明 "}})
	if name := c.User().Name; name != "小 明" {
		t.Errorf("the visitor is called %q", name)
	}
	if _, err := room.Send(ctx, im.Chat, comment{Text: "你好"}); err != nil {
		t.Fatal(err)
	}
	waiting := map[string]bool{"a danmaku of a bot": true, "the own chat": true, "the title": true, "the crowd": true}
	for u := range room.Updates(ctx) {
		if e, ok := u.(client.Event); ok {
			switch {
			case e.Kind == im.Danmaku && strings.HasPrefix(e.From.ID, "bot-"):
				delete(waiting, "a danmaku of a bot")
			case e.Kind == im.Chat && e.From.Name == "小 明":
				delete(waiting, "the own chat")
			}
		}
		if _, _, ok := room.Get("title"); ok {
			delete(waiting, "the title")
		}
		if room.Online() >= 4 {
			delete(waiting, "the crowd")
		}
		if len(waiting) == 0 {
			return
		}
	}
	t.Errorf("did not see: %v (%v)", waiting, room.Err())
}

func TestRunRefusesOddFlags(t *testing.T) {
	for name, c := range map[string]config{
		"speed":     {speed: 0},
		"crowd":     {speed: 1, crowd: -1},
		"recording": {speed: 1, replay: "none.jsonl"},
		"address":   {speed: 1, addr: "127.0.0.1:-1"},
		"data":      {speed: 1, addr: "127.0.0.1:0", data: "/dev/null/rooms"},
	} {
		if err := run(t.Context(), c, func(string) { t.Errorf("%s: started", name) }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestDataIsKept starts the program twice on one directory: what a visitor said is there
// again, and the visitor is still who he was.
func TestDataIsKept(t *testing.T) {
	c := config{speed: 1, room: "42", data: t.TempDir()}
	said := make(chan client.Event, 2)
	const text = "still here tomorrow"
	visit := func(send bool) func(*testing.T) {
		return func(t *testing.T) {
			address := start(t, c)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, room := join(ctx, t, address, url.Values{"name": {"Ming"}})
			if send {
				if _, err := room.Send(ctx, im.Chat, comment{Text: text}); err != nil {
					t.Fatal(err)
				}
			}
			for u := range room.Updates(ctx) {
				if e, ok := u.(client.Event); ok && e.Kind == im.Chat && strings.Contains(string(e.Body), text) {
					said <- e
					return
				}
			}
			t.Fatalf("nobody says %q: %v", text, room.Err())
		}
	}
	t.Run("first", visit(true))
	t.Run("again", visit(false))
	if t.Failed() {
		return
	}
	if first, again := <-said, <-said; first.ID != again.ID || first.From != again.From {
		t.Errorf("after a restart the message is %+v, before it was %+v", again, first)
	}

	var cookie string
	for range 2 {
		_, secret, closeLog, err := openLog(c.data)
		if err != nil {
			t.Fatal(err)
		}
		g := newGuests(secret)
		if cookie == "" {
			cookie = g.seal(guest{ID: "a", Name: "Ming"})
		} else if who, ok := g.open(cookie); !ok || who.ID != "a" {
			t.Errorf("a guest is unknown after a restart: %+v", who)
		}
		if err := closeLog(); err != nil {
			t.Fatal(err)
		}
	}
}
