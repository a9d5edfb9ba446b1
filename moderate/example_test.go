package moderate_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/moderate"
	"github.com/liveim/im/moderate/text"
	"github.com/liveim/im/moderate/words"
)

// A hub whose rooms are moderated: by a list of words that can be reloaded, by a policy for texts, and by the host.
func Example() {
	hub, err := im.New(func(*http.Request) (im.User, error) { return im.User{ID: "guest"}, nil }, nil)
	if err != nil {
		panic(err)
	}
	defer hub.Close()

	var list words.Live
	if err := list.Load(strings.NewReader("buy followers\tblock\tadvert\n")); err != nil {
		panic(err)
	}
	mod, err := moderate.New(hub, &moderate.Options{
		Checks: []moderate.Check{moderate.Text(&text.Policy{}), moderate.Words(&list)},
		Audit: func(_ context.Context, action string, _ any) error {
			fmt.Println("noted:", action)
			return nil
		},
	})
	if err != nil {
		panic(err)
	}
	defer mod.Close()

	ctx := context.Background()
	if _, err := mod.Impose(ctx, "42", moderate.Mute, moderate.Target{User: "bob"}, 10*time.Minute, "", "shouting"); err != nil {
		panic(err)
	}
	list42, err := mod.Sanctions(ctx, "42")
	if err != nil {
		panic(err)
	}
	for _, s := range list42 {
		fmt.Println(s.Sort, "of", s.Target, "because of", s.Reason)
	}
	// Output:
	// noted: mod.mute
	// mute of user bob because of shouting
}
