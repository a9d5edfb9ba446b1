package moderate_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
	"github.com/liveim/im/moderate"
)

// site is a moderated hub behind real connections. A token is the id of a user, and after a colon a role.
type site struct {
	t   *testing.T
	hub *im.Hub
	mod *moderate.Moderation
	url string
}

func newSite(t *testing.T) *site {
	hub, err := im.New(func(r *http.Request) (im.User, error) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			return im.User{}, im.ErrNoCredentials
		}
		id, role, _ := strings.Cut(token, ":")
		return im.User{ID: id, Roles: []string{role}}, nil
	}, &im.Options{Limits: fast, Pressure: func() float64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	mod, err := moderate.New(hub, nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(hub)
	t.Cleanup(func() {
		mod.Close()
		hub.Close()
		srv.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return &site{t, hub, mod, srv.URL}
}

func (s *site) request(ctx context.Context, method, path, token, body string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return http.DefaultClient.Do(r)
}

// get returns the status and body of an answer.
func (s *site) get(path, token string) (int, string) {
	resp, err := s.request(s.t.Context(), http.MethodGet, path, token, "")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if !strings.HasPrefix(path, "/sse") {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			s.t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	var body strings.Builder
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); { // a stream stays open, for other rooms
		body.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), `"op":"left"`) || strings.Contains(lines.Text(), `"op":"joined"`) {
			break
		}
	}
	return resp.StatusCode, body.String()
}

// post calls an operation by POST and returns the code of the refusal, "" for an ack.
func (s *site) post(token, op, body string) im.Code {
	resp, err := s.request(s.t.Context(), http.MethodPost, "/send", token, fmt.Sprintf(`{"op":%q,"id":1,"room":"42","body":%s}`, op, body))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answers []struct {
		Op   string
		Code im.Code
	}
	if err := json.NewDecoder(resp.Body).Decode(&answers); err != nil || len(answers) == 0 {
		s.t.Fatalf("%s by POST is answered with %v (%v)", op, answers, err)
	}
	return answers[0].Code
}

// watcher is somebody in the room on some transport.
type watcher struct {
	seen chan string   // all that comes, in pieces
	out  chan struct{} // closed when the room is over for them
}

func (w *watcher) tell(s string) {
	select {
	case w.seen <- s:
	default:
	}
}

// watch has a user enter the room on a transport, and returns when they are in.
func (s *site) watch(transport, token string) *watcher {
	w := &watcher{make(chan string, 1000), make(chan struct{})}
	in := make(chan struct{})
	go func() {
		defer close(w.out)
		switch transport {
		case "websocket":
			s.watchSocket(w, token, in)
		case "sse":
			s.watchStream(w, token, in)
		case "poll":
			s.watchPoll(w, token, in)
		}
	}()
	select {
	case <-in:
	case <-w.out:
		s.t.Fatalf("%s does not get in over %s", token, transport)
	case <-time.After(10 * time.Second):
		s.t.Fatalf("%s waits over %s", token, transport)
	}
	return w
}

func (s *site) watchSocket(w *watcher, token string, in chan<- struct{}) {
	ctx := s.t.Context()
	c, err := client.Dial(ctx, s.url+"/ws", &client.Options{Token: func(context.Context) (string, error) { return token, nil }})
	if err != nil {
		return
	}
	defer c.Close()
	room, err := c.Join(ctx, "42", nil)
	if err != nil {
		return
	}
	close(in)
	for u := range room.Updates(ctx) {
		if e, ok := u.(client.Event); ok {
			w.tell(string(e.Body))
		}
	}
}

func (s *site) watchStream(w *watcher, token string, in chan<- struct{}) {
	resp, err := s.request(s.t.Context(), http.MethodGet, "/sse?room=42", token, "")
	if err != nil {
		return
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		line := lines.Text()
		w.tell(line)
		if strings.Contains(line, `"op":"joined"`) {
			close(in)
		}
		if strings.Contains(line, `"op":"left"`) {
			return
		}
	}
}

func (s *site) watchPoll(w *watcher, token string, in chan<- struct{}) {
	since, sid := "", ""
	for {
		resp, err := s.request(s.t.Context(), http.MethodGet, "/poll?wait=20000&room=42&since="+since+"&sid="+sid, token, "")
		if err != nil {
			return
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return
		}
		w.tell(string(body))
		var messages []struct {
			Op, Epoch, Sid string
			Seq, To        uint64
		}
		if json.Unmarshal(body, &messages) != nil {
			return
		}
		epoch, _, _ := strings.Cut(since, ".")
		for _, m := range messages {
			switch m.Op {
			case "welcome":
				sid = m.Sid
			case "joined":
				if since == "" {
					close(in)
				}
				epoch = m.Epoch
				since = fmt.Sprintf("%s.%d", epoch, m.Seq)
			case "events":
				since = fmt.Sprintf("%s.%d", epoch, m.To)
			case "left", "bye":
				return
			}
		}
	}
}

var transports = []string{"websocket", "sse", "poll"}

// A ban ends every connection within a second, and nothing lets the user in again: not the room, not its history, not a
// resume.
func TestBanOnEveryTransport(t *testing.T) {
	for _, hubWide := range []bool{false, true} {
		for _, transport := range transports {
			t.Run(fmt.Sprint(transport, " hub-wide=", hubWide), func(t *testing.T) {
				s := newSite(t)
				if _, err := s.hub.Room("42").Send(t.Context(), im.Chat, "before"); err != nil {
					t.Fatal(err)
				}
				head, err := s.hub.Room("42").Position(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				bob := s.watch(transport, "bob")
				room := "42"
				if hubWide {
					room = ""
				}
				began := time.Now()
				if _, err := s.mod.Impose(t.Context(), room, moderate.Ban, moderate.Target{User: "bob"}, time.Hour, "", "spam"); err != nil {
					t.Fatal(err)
				}
				select {
				case <-bob.out:
				case <-time.After(5 * time.Second):
					t.Fatal("the user is still in after 5 s")
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("the user was in for %v", took)
				}
				since := "&since=" + head.String()
				for _, path := range []string{"/rooms/42/history", "/sse?room=42", "/sse?room=42" + since, "/poll?room=42", "/poll?room=42&wait=0" + since} {
					if status, body := s.get(path, "bob"); status == http.StatusOK && !strings.Contains(body, "banned") || strings.Contains(body, "before") {
						t.Errorf("GET %s is answered with %d: %s", path, status, body)
					}
				}
				for op, body := range map[string]string{"history": `{}`, "send": `"x"`} {
					if code := s.post("bob", op, body); code != "banned" {
						t.Errorf("%s by POST: %q", op, code)
					}
				}
			})
		}
	}
}

// A message that a moderator deletes is gone from every path within a second, and the viewers are told.
func TestDeletedOnEveryTransport(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	bob := im.User{ID: "bob"}
	var at []uint64
	for _, text := range []string{"keep one", "take away", "keep two"} {
		e, err := s.hub.Room("42").Send(ctx, im.Chat, text, im.AsUser(bob))
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, e.Pos.Seq)
	}
	before := im.Position{}
	page, err := s.hub.Room("42").History(ctx, im.HistoryQuery{})
	if err != nil {
		t.Fatal(err)
	}
	before = page.Events[0].Pos
	watchers := map[string]*watcher{}
	for _, transport := range transports {
		watchers[transport] = s.watch(transport, "viewer-"+transport)
	}
	began := time.Now()
	if code := s.post("boss:moderator", "mod.delete", fmt.Sprintf(`{"seqs":[%d]}`, at[1])); code != "" {
		t.Fatalf("mod.delete: %s", code)
	}
	for transport, w := range watchers {
		for told := false; !told; {
			select {
			case piece := <-w.seen:
				told = strings.Contains(piece, `"type":"delete"`) && strings.Contains(piece, fmt.Sprint(at[1]))
			case <-time.After(5 * time.Second):
				t.Fatalf("over %s nobody is told", transport)
			}
		}
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("the last was told after %v", took)
	}
	for _, path := range []string{"/rooms/42/history", "/rooms/42/history?newest=1&max=2", "/poll?room=42", "/poll?room=42&since=" + before.String()} {
		status, body := s.get(path, "eve")
		if status != http.StatusOK || strings.Contains(body, "take away") || !strings.Contains(body, "keep two") {
			t.Errorf("GET %s is answered with %d: %s", path, status, body)
		}
	}
	replay, err := s.hub.Room("42").Replay(ctx, im.ReplayOptions{Speed: im.MaxReplaySpeed})
	if err != nil {
		t.Fatal(err)
	}
	var played []string
	for e := range replay.Events() {
		if e.Kind == im.Chat {
			played = append(played, string(e.Body))
		}
	}
	if want := []string{`"keep one"`, `"keep two"`}; !slices.Equal(played, want) {
		t.Errorf("the replay plays %v", played)
	}
}

// A13: every role and operation over every way to ask. Which roles may is read from the table of rights.
func TestA13RightsOnEveryTransport(t *testing.T) {
	s := newSite(t)
	n := 0
	for _, role := range []string{"", "guest", "member", "moderator", "owner"} {
		token := "u-" + role + ":" + role
		may := moderate.DefaultRights()[moderate.RoleOf(user("x", role), "42")]
		c, err := client.Dial(t.Context(), s.url+"/ws", &client.Options{Token: func(context.Context) (string, error) { return token, nil }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Join(t.Context(), "42", &client.JoinOptions{NoUpdates: true}); err != nil {
			t.Fatal(err)
		}
		for _, transport := range []string{"sse", "poll"} { // whose back-channel the POSTs are
			s.watch(transport, token)
		}
		for op, right := range moderate.Operations() {
			allowed := slices.Contains(may, right)
			for way, call := range map[string]func() im.Code{
				"WebSocket": func() im.Code {
					_, err := c.Call(t.Context(), op, "42", json.RawMessage(`{"misspelt":1}`))
					return code(err)
				},
				"POST": func() im.Code { return s.post(token, op, `{"misspelt":1}`) },
			} {
				// Who has the right gets as far as the body.
				want := im.CodeForbidden
				if allowed {
					want = im.CodeBadRequest
				}
				if got := call(); got != want {
					t.Errorf("a %q calls %s by %s: %q, want %q", role, op, way, got, want)
				}
				n++
			}
		}
		c.Close()
	}
	t.Logf("%d combinations", n)
}
