package presence_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/liveim/im"
	"github.com/liveim/im/presence"
	"github.com/liveim/im/transport/pipe"
)

// A host that greets those who come in, and asks who is there.
func Example() {
	hub, err := im.New(func(*http.Request) (im.User, error) { return im.User{}, im.ErrNoCredentials }, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer hub.Close()
	came := make(chan string, 10)
	people, err := presence.New(hub, &presence.Options{
		Except: []string{"bot"},
		OnJoin: func(_ context.Context, room string, m presence.Member) {
			came <- fmt.Sprintf("%s came into %s", m.Name, room)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer people.Close()

	// Two devices of Ann and one of Bob; over the network they come by themselves.
	for _, u := range []im.User{{ID: "u1", Name: "Ann"}, {ID: "u1", Name: "Ann"}, {ID: "u2", Name: "Bob"}} {
		conn, peer := pipe.New(nil)
		defer peer.Close()
		if _, err := hub.Attach(conn, u); err != nil {
			log.Fatal(err)
		}
		if err := peer.Send(context.Background(), []byte(`{"op":"join","id":1,"room":"42"}`)); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(<-came)
	fmt.Println(<-came)
	fmt.Println(hub.Room("42").Len(), "sessions,", people.Count("42"), "members:")
	for m := range people.Members("42") {
		fmt.Println(m.ID, m.Name)
	}
	// Output:
	// Ann came into 42
	// Bob came into 42
	// 3 sessions, 2 members:
	// u1 Ann
	// u2 Bob
}
