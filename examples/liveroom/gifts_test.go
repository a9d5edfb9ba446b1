package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/gift"
)

// TestGift gives gifts, pays for a message and says what the rules forbid, over POST, as a browser without a WebSocket does.
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
		{`{"op":"gift.send","id":1,"room":"42","cid":"a","body":{"gift":"rose","count":2}}`, "ack"},
		{`{"op":"gift.send","id":1,"room":"42","cid":"a","body":{"gift":"rose","count":2}}`, "ack"}, // a retry
		{`{"op":"gift.send","id":1,"room":"42","cid":"b","body":{"gift":"rocket","count":1}}`, "ack"},
		{`{"op":"gift.send","id":1,"room":"42","cid":"c","body":{"gift":"yacht","count":1}}`, "errornot_found"},
		{`{"op":"gift.send","id":1,"room":"42","cid":"d","body":"rose"}`, "errorbad_request"},
		{`{"op":"gift.send","id":1,"room":"42","cid":"e","body":{"gift":"rocket","count":1000}}`, "errordeclined"},
		{`{"op":"paid.send","id":1,"room":"42","cid":"f","body":{"text":"加 微 信 me","amount":5000}}`, "errorforbidden"},
		{`{"op":"paid.send","id":1,"room":"42","cid":"g","body":{"text":"well played","amount":5000}}`, "ack"},
		{`{"op":"send","id":1,"room":"42","cid":"h","kind":"gift","body":{"gift":"rose"}}`, "errorforbidden"},
		{`{"op":"send","id":1,"room":"42","cid":"i","kind":"chat","body":{"text":"you 1d1ot"}}`, "ack"},
		{`{"op":"send","id":1,"room":"42","cid":"j","kind":"chat","body":{"text":"加-微-信"}}`, "errorforbidden"},
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
		switch e.Kind {
		case im.Gift:
			b, err := im.Decode[gift.Body](e)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s: %s%s %d", e.From.Name, b.Gift, b.Text, b.Amount))
		case im.Chat:
			got = append(got, string(e.Body))
		}
	}
	if want := `Ann: rose 20, Ann: rocket 2000, Ann: well played 5000, {"text":"you *****"}`; strings.Join(got, ", ") != want {
		t.Errorf("the room has %v, want %s", got, want)
	}
}
