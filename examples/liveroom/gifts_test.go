package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
)

// TestGift gives gifts over POST, as a browser without a WebSocket does.
func TestGift(t *testing.T) {
	s, err := newServer(t.Context(), config{addr: "127.0.0.1:0", room: "42"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx) }()
	defer func() {
		stop()
		if err := errors.Join(<-ended, s.shutdown(t.Context())); err != nil {
			t.Error(err)
		}
	}()

	c := visitor(t)
	give := func(body string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url("http", "/im/send"), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+s.guests.seal(guest{ID: "guest-1", Name: "Ann"}))
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var answers []struct{ Op, Code string }
		if err := json.NewDecoder(resp.Body).Decode(&answers); err != nil || len(answers) != 1 {
			t.Fatalf("%s: got %v and %v", body, answers, err)
		}
		return answers[0].Op + answers[0].Code
	}
	for _, tt := range []struct{ body, want string }{
		{`{"op":"demo.gift","id":1,"room":"42","cid":"a","body":{"gift":"rose"}}`, "ack"},
		{`{"op":"demo.gift","id":1,"room":"42","cid":"a","body":{"gift":"rose"}}`, "ack"}, // a retry
		{`{"op":"demo.gift","id":1,"room":"42","cid":"b","body":{"gift":"rocket"}}`, "ack"},
		{`{"op":"demo.gift","id":1,"room":"42","cid":"c","body":{"gift":"yacht"}}`, "errornot_found"},
		{`{"op":"demo.gift","id":1,"room":"42","cid":"c","body":"rose"}`, "errornot_found"},
		{`{"op":"demo.gift","id":1,"room":"42","body":{"gift":"rose"}}`, "errorbad_request"},
		{`{"op":"demo.gift","id":1,"cid":"c","body":{"gift":"rose"}}`, "errorbad_request"},
		{`{"op":"send","id":1,"room":"42","cid":"c","kind":"gift","body":{"gift":"rose"}}`, "errorforbidden"},
	} {
		if got := give(tt.body); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.body, got, tt.want)
		}
	}

	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	page, err := s.hub.Room("42").History(ctx, im.HistoryQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range page.Events {
		if e.Kind == im.Gift {
			got = append(got, e.From.Name+string(e.Body))
		}
	}
	if want := `Ann{"gift":"rose"} Ann{"gift":"rocket"}`; strings.Join(got, " ") != want {
		t.Errorf("the room has the gifts %v, want %s", got, want)
	}
}
