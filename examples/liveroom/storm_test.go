package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
)

func TestStorm(t *testing.T) {
	address := start(t, config{speed: 1, room: "42"})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, room := join(ctx, t, address, nil)

	var refusal *im.Error
	if _, err := c.Join(ctx, "43", &client.JoinOptions{NoUpdates: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call(ctx, stormOp, "43", nil); !errors.As(err, &refusal) || refusal.Code != im.CodeNotFound {
		t.Errorf("a storm in another room: %v", err)
	}
	if _, err := c.Call(ctx, stormOp, "42", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call(ctx, stormOp, "42", nil); !errors.As(err, &refusal) || refusal.Code != im.CodeRateLimited ||
		refusal.RetryAfter < stormLength || refusal.RetryAfter > stormRest {
		t.Errorf("a second storm: %v, want it after at most %v", err, stormRest)
	}

	missing := map[string]bool{"one that stands for many": true, "shed": true, "merged": true}
	for u := range room.Updates(ctx) {
		e, ok := u.(client.Event)
		if !ok {
			continue
		}
		if e.Kind == im.Danmaku && e.N > 1 {
			delete(missing, "one that stands for many")
		}
		if e.Kind == im.Tally {
			var body im.TallyBody
			if err := json.Unmarshal(e.Body, &body); err != nil {
				t.Fatal(err)
			}
			if body.Shed > 0 {
				delete(missing, "shed")
			}
			if body.Merged > 0 {
				delete(missing, "merged")
			}
		}
		if len(missing) == 0 {
			return // and the storm ends with the server
		}
	}
	t.Errorf("did not see: %v (%v)", missing, room.Err())
}

func TestStormHasSomethingToSay(t *testing.T) {
	if lines := stormLines(nil); len(lines) < fewestLines || len(lines) > mostLines {
		t.Errorf("%d lines are made up", len(lines))
	}
}

// TestHost is the choice of this demo: whoever wants to is the host, and sets the modes.
func TestHost(t *testing.T) {
	address := start(t, config{speed: 1, room: "42"})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, host := join(ctx, t, address, url.Values{"host": {"true"}})
	_, guest := join(ctx, t, address, url.Values{"host": {"false"}})

	var refusal *im.Error
	if _, err := guest.SetModes(ctx, im.Modes{Stopped: true}); !errors.As(err, &refusal) || refusal.Code != im.CodeForbidden {
		t.Errorf("a guest sets the modes: %v", err)
	}
	if _, err := host.SetModes(ctx, im.Modes{EmojiOnly: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := guest.Send(ctx, im.Chat, comment{Text: "words"}); !errors.As(err, &refusal) || refusal.Code != im.CodeRoomMode {
		t.Errorf("words, where there are emoji only: %v", err)
	}
	if _, err := host.Send(ctx, im.Chat, comment{Text: "words"}); err != nil {
		t.Errorf("the host: %v", err)
	}
}
