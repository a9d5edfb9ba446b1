package im_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/liveim/im"
)

// whoIs stands for the host's own sessions or tokens.
func whoIs(r *http.Request) (im.User, error) {
	c, err := r.Cookie("session")
	if err != nil {
		return im.User{}, im.ErrNoCredentials
	}
	return im.User{ID: c.Value}, nil
}

// A live room on an existing server, with an end that tells viewers when to
// come back.
func Example() {
	hub, err := im.New(whoIs, nil)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/im/", http.StripPrefix("/im", hub))
	srv := &http.Server{Addr: "127.0.0.1:0", Handler: mux, ReadHeaderTimeout: 5 * time.Second}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	go func() {
		if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			fmt.Println(err)
		}
		stop()
	}()
	time.AfterFunc(10*time.Millisecond, stop) // instead of somebody who types Ctrl-C
	<-ctx.Done()

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	fmt.Println(hub.Shutdown(ctx), srv.Shutdown(ctx))
	// Output: <nil> <nil>
}

// The host announces something, and changes what everybody in the room shares.
func ExampleRoom() {
	hub, err := im.New(whoIs, nil)
	if err != nil {
		panic(err)
	}
	defer hub.Close()
	ctx := context.Background()
	room := hub.Room("42")

	if _, err := room.Send(ctx, im.Notice, map[string]string{"text": "welcome"}); err != nil {
		panic(err)
	}
	version, err := room.Set(ctx, "slide", 12)
	if err != nil {
		panic(err)
	}
	_, err = room.Set(ctx, "slide", 13, im.IfVersion(version))
	fmt.Println(err)
	_, err = room.Set(ctx, "slide", 14, im.IfVersion(version)) // somebody was faster
	fmt.Println(errors.Is(err, im.ErrConflict))

	page, err := room.History(ctx, im.HistoryQuery{Newest: true, Max: 10})
	for _, e := range page.Events {
		fmt.Println(e.Kind, string(e.Body))
	}
	fmt.Println(err)
	// Output:
	// <nil>
	// true
	// notice {"text":"welcome"}
	// state {"key":"slide","value":12}
	// state {"key":"slide","value":13,"if":2}
	// <nil>
}

// An operation of the host's own. Clients call it with
// {"op":"quiz.answer","id":1,"room":"42","body":"B"}.
func ExampleHub_Handle() {
	hub, err := im.New(whoIs, &im.Options{
		Kinds: []im.KindSpec{{Kind: "quiz.solved", Class: im.Critical}},
	})
	if err != nil {
		panic(err)
	}
	defer hub.Close()
	hub.Handle("quiz.answer", func(ctx context.Context, r *im.Request) (any, error) {
		if string(r.Body) != `"B"` {
			return nil, &im.Error{Code: "wrong", Reason: "try again in a moment", RetryAfter: 5 * time.Second}
		}
		// A call is carried out once, however often the client repeats it. The id makes that once a user.
		_, err := hub.Room(r.Room).Send(ctx, "quiz.solved", r.User.Name, im.WithID("solved-by-"+r.User.ID))
		return map[string]int{"points": 10}, err
	})
}

// A word filter that masks, refuses, and holds for a moderator.
func ExampleMiddleware() {
	var queue []func(accept bool) // of a moderator
	filter := func(next im.SendFunc) im.SendFunc {
		return func(ctx context.Context, d *im.Draft) (im.Receipt, error) {
			switch string(d.Body) {
			case `"darn"`:
				d.Body = json.RawMessage(`"****"`)
			case `"spam"`:
				return im.Receipt{}, &im.Error{Code: im.CodeForbidden, Reason: "no advertising, please"}
			case `"hm"`:
				queue = append(queue, func(accept bool) {
					if accept {
						d.Settle(next(context.Background(), d))
					} else {
						d.Settle(im.Receipt{}, &im.Error{Code: im.CodeForbidden})
					}
				})
				return im.Receipt{Status: im.StatusHeld}, nil
			}
			return next(ctx, d)
		}
	}
	hub, err := im.New(whoIs, &im.Options{Intercept: []im.Middleware{filter}})
	if err != nil {
		panic(err)
	}
	defer hub.Close()
}
