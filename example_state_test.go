package im_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// A stock that many buy from at once never goes below zero: each change is decided at its place in the log.
func ExampleRoom_Increment() {
	hub, err := im.New(imtest.BearerUser, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = hub.Close() }()
	ctx, room := context.Background(), hub.Room("42")
	_, _ = room.Set(ctx, "stock", 2)
	for range 3 {
		left, _, err := room.Increment(ctx, "stock", -1, im.AtLeast(0))
		switch {
		case errors.Is(err, im.ErrConflict):
			fmt.Println("sold out")
		case err == nil:
			fmt.Println(left, "left")
		}
	}
	// Output:
	// 1 left
	// 0 left
	// sold out
}

// Everybody may take a free seat of the stage and leave their own; who is out of the room for 5 s loses it.
func ExampleStatePolicy() {
	hub, err := im.New(imtest.BearerUser, &im.Options{State: im.StatePolicy{Rules: []im.StateRule{
		{Prefix: "seat.", Set: im.Everyone(), Delete: im.Everyone(), Owned: true},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = hub.Close() }()
	// In the page: room.state.set('seat.1', { name }, { if: 0, owner: true })
	//              room.state.on('seat.*', (who, version, key) => draw(key, who))
}
