package im_test

import (
	"context"
	"fmt"
	"time"

	"github.com/liveim/im"
)

// A room is slow for ten minutes, and what viewers say is held for five seconds.
func ExampleRoom_SetModes() {
	hub, err := im.New(whoIs, nil)
	if err != nil {
		panic(err)
	}
	defer hub.Close()
	ctx, room := context.Background(), hub.Room("42")
	_, err = room.SetModes(ctx, im.Modes{
		Slow:  10 * time.Second,
		Delay: 5 * time.Second,
		Until: time.Now().Add(10 * time.Minute),
	})
	if err != nil {
		panic(err)
	}
	m, version, err := room.Modes(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(m.Slow, m.Delay)
	for _, held := range room.Held() { // what a moderator decides about
		_ = room.DropHeld(held.Event.ID, "not now, please")
	}
	_, err = room.SetModes(ctx, im.Modes{}, im.IfVersion(version))
	fmt.Println(err)
	// Output:
	// 10s 5s
	// <nil>
}
