package reaction_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/liveim/im"
	"github.com/liveim/im/reaction"
)

// A host with likes and two reactions of its own, that celebrates the hundredth of each.
func Example() {
	nobody := func(*http.Request) (im.User, error) { return im.User{}, im.ErrNoCredentials }
	hub, err := im.New(nobody, &im.Options{
		Kinds:  reaction.Kinds("heart", "laugh"),
		Limits: im.Limits{User: reaction.Limits("heart", "laugh")},
	})
	if err != nil {
		log.Fatal(err)
	}
	passed := make(chan string)
	reactions, err := reaction.New(hub, &reaction.Options{
		Kinds: []im.Kind{im.Like, "heart", "laugh"},
		At:    []uint64{100},
		OnMilestone: func(_ context.Context, room string, m reaction.Milestone) {
			passed <- fmt.Sprintf("room %s: %d times %s", room, m.N, m.Kind)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer reactions.Close()
	defer hub.Close()

	// Clients send them; a host may add some too.
	if err := hub.Room("42").Add(context.Background(), "heart", 128); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-passed)
	// Output: room 42: 100 times heart
}
