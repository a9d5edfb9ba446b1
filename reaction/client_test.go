package reaction_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/reaction"
	"github.com/liveim/im/transport/pipe"
)

// A Go client that taps fast sends little, and every tap counts.
func TestGoClientReacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := imtest.NewHub(t, options(nil))
		r := plug(t, hub, &reaction.Options{Kinds: []im.Kind{"heart"}, Every: 100})
		c, err := client.Dial(t.Context(), "", &client.Options{Dial: func(context.Context) (client.Conn, error) {
			conn, peer := pipe.New(nil)
			if _, err := hub.Attach(conn, im.User{ID: "ann"}); err != nil {
				return nil, err
			}
			return peer, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		room, err := c.Join(t.Context(), "42", &client.JoinOptions{NoUpdates: true})
		if err != nil {
			t.Fatal(err)
		}
		for range 120 {
			if err := room.React("heart", 1); err != nil {
				t.Fatal(err)
			}
			pass(20 * time.Millisecond) // more than the limit allows
		}
		pass(20 * time.Second)
		if n, err := r.Total(t.Context(), "42", "heart"); n != 120 || err != nil {
			t.Errorf("%d hearts, %v", n, err)
		}
		if value, _, _ := room.Get("im.total.heart"); string(value) != "120" {
			t.Errorf("the client sees %s", value)
		}
		if got := milestones(t, hub, "42"); len(got) != 1 || got[0] != "heart 100" {
			t.Errorf("%q", got)
		}
	})
}
