package foreign

import (
	"slices"
	"testing"

	"github.com/liveim/im"
)

// The package ws, the WebSocket of most programs on Node.js: handshake,
// compression, requests, pings of both sides, a cut, and the end of the server.
func TestWebSocketClient(t *testing.T) {
	t.Parallel()
	v := open(t)
	p := v.start("ws.mjs")
	v.said("42", "cut me")
	v.proxy.cutNow()
	for n := range 30 {
		v.speak("42", []im.Kind{im.Chat, im.Notice, im.Danmaku}[n%3], n)
		v.pause()
	}
	v.said("42", "shut down")
	compressed := v.proxy.sent()
	page, err := v.Room("42").History(v.ctx, im.HistoryQuery{Max: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Shutdown(v.ctx); err != nil {
		t.Fatal(err)
	}
	type answer struct {
		Op, Code, Status, Event string
		ID                      int
	}
	var got struct {
		Refused struct {
			Status  int
			Message answer
		}
		Binary struct {
			Code   int
			Reason string
		}
		Protocol, Extensions string
		Answers              []answer // but for "joined", and the one to "cut me"
		Pong                 string   // what came back of a ping of the client
		Pings                int      // of the server, while all was silent
		Closes               []int
		Bye                  struct {
			Code  string
			Retry int `json:"retry_ms"`
		}
		Received int // characters
		Rooms    map[string]*sighting
	}
	p.result(&got)
	if got.Refused.Status != 401 || got.Refused.Message.Code != "unauthorized" {
		t.Errorf("with a wrong token: %+v", got.Refused)
	}
	if got.Binary.Code != 1003 || got.Binary.Reason == "" {
		t.Errorf("after a binary message: %+v, want code 1003 and a reason", got.Binary)
	}
	if got.Protocol != "im.v1" || got.Extensions != "permessage-deflate; server_no_context_takeover; client_no_context_takeover" {
		t.Errorf("subprotocol %q, extensions %q", got.Protocol, got.Extensions)
	}
	if compressed >= got.Received*3/4 { // the head of the handshake and answers are as they are
		t.Errorf("%d bytes came for %d characters: they were not compressed", compressed, got.Received)
	}
	wantAnswers := []string{"ack ok", "ack ok", "ack ok", "error conflict", "error forbidden", "pong ", "ack ok"}
	var answers []string
	for _, a := range got.Answers {
		answers = append(answers, a.Op+" "+a.Status+a.Code)
	}
	if !slices.Equal(answers, wantAnswers) {
		t.Errorf("answers %q, want %q", answers, wantAnswers)
	} else if got.Answers[0].Event != got.Answers[2].Event || got.Answers[0].Event == got.Answers[1].Event {
		t.Errorf("a retry with the same cid has another event: %+v", got.Answers)
	}
	if got.Pong != "are you there?" || got.Pings < 3 {
		t.Errorf("pong %q, and %d pings of the server", got.Pong, got.Pings)
	}
	if !slices.Equal(got.Closes, []int{1006, 1012}) || got.Bye.Code != "shutdown" || got.Bye.Retry < 1 {
		t.Errorf("close codes %d, and the bye %+v; want 1006 for the cut and 1012 for the shutdown", got.Closes, got.Bye)
	}
	v.compare("42", page.Events, got.Rooms["42"], 2)
	t.Logf("%d bytes for %d characters", compressed, got.Received)
}

// wscat, the command line, by the keyboard and by its options.
func TestWscat(t *testing.T) {
	t.Parallel()
	v := open(t)
	p := v.start("wscat.mjs")
	v.said("42", "shut down")
	page, err := v.Room("42").History(v.ctx, im.HistoryQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Shutdown(v.ctx); err != nil {
		t.Fatal(err)
	}
	type run struct {
		Exit   int
		Ops    []string
		Stderr string
		Rooms  map[string]*sighting
		Pings  int
		Pongs  []string
	}
	var got struct{ Options, Keyboard, Refused run }
	p.result(&got)
	for _, tt := range []struct {
		name string
		run
		ops []string // in the order of their names
	}{
		{"options", got.Options, []string{"ack", "events", "joined", "pong", "welcome"}},
		{"keyboard", got.Keyboard, []string{"ack", "ack", "bye", "events", "events", "joined", "welcome"}},
	} {
		slices.Sort(tt.Ops)
		if tt.Exit != 0 || !slices.Equal(tt.Ops, tt.ops) || tt.Stderr != "" {
			t.Errorf("by %s: %+v, want the messages %q", tt.name, tt.run, tt.ops)
		}
	}
	if !slices.Equal(got.Keyboard.Pongs, []string{"there?"}) || got.Keyboard.Pings < 1 {
		t.Errorf("pongs %q, and %d pings of the server", got.Keyboard.Pongs, got.Keyboard.Pings)
	}
	if got.Refused.Exit == 0 || got.Refused.Stderr != "error: Unexpected server response: 401\n" {
		t.Errorf("with a wrong token: %+v", got.Refused)
	}
	v.compare("42", page.Events, got.Keyboard.Rooms["42"], 1)
}
