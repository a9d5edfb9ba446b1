package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
)

// A bot that answers in a room, for as long as it is let.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := client.Dial(ctx, "wss://example.org/im/ws", &client.Options{
		Token: func(context.Context) (string, error) { return "the bot's token", nil },
		Dial:  exampleHub{}.Dial, // a real bot leaves this out
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	room, err := c.Join(ctx, "42", nil)
	if err != nil {
		log.Fatal(err)
	}
	type Text struct {
		Text string `json:"text"`
	}
	for u := range room.Updates(ctx) {
		switch u := u.(type) {
		case client.Reset:
			fmt.Println("slide", string(u.State["slide"].Value))
		case client.Gap:
			fmt.Println(u.Missed, "danmaku left out")
		case client.Event:
			said, err := im.Decode[Text](u.Event)
			if u.Kind != im.Chat || u.Replayed || err != nil {
				continue
			}
			fmt.Println(u.From.Name+":", said.Text)
			if said.Text != "!time" {
				room.Leave(ctx) // this example has an end
				continue
			}
			got, err := room.Send(ctx, im.Chat, Text{"time for a tea"})
			var refused *im.Error
			switch {
			case errors.As(err, &refused):
				fmt.Println("refused:", refused.Code)
			case err != nil:
				log.Fatal(err)
			default:
				fmt.Println("sent:", got.Status)
			}
		}
	}
	fmt.Println(room.Err())
	// Output:
	// slide 11
	// Bob: !time
	// sent: ok
	// Ann: time for a tea
	// client: the room was left
}

// Two presenters may turn the page at once; each must turn it from the page
// that it has seen.
func ExampleRoom_Set() {
	ctx := context.Background()
	c, err := client.Dial(ctx, "wss://example.org/im/ws", &client.Options{Dial: exampleHub{}.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	room, err := c.Join(ctx, "42", &client.JoinOptions{NoUpdates: true})
	if err != nil {
		log.Fatal(err)
	}
	value, version, _ := room.Get("slide")
	var slide int
	if err := json.Unmarshal(value, &slide); err != nil {
		log.Fatal(err)
	}
	now, err := room.Set(ctx, "slide", slide+1, client.IfVersion(version))
	fmt.Println("version", now, err)

	_, err = room.Set(ctx, "slide", slide+1, client.IfVersion(version))
	fmt.Println("once more: conflict is", errors.Is(err, im.ErrConflict))
	// Output:
	// version 102 <nil>
	// once more: conflict is true
}

// A bridge that copies a room somewhere else keeps its position with the copy,
// and goes on there after a restart.
func ExampleRoom_Position() {
	ctx := context.Background()
	var copied []string
	var kept im.Position // in a real bridge, stored in one transaction with the copy

	c, err := client.Dial(ctx, "wss://example.org/im/ws", &client.Options{Dial: exampleHub{}.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	room, err := c.Join(ctx, "42", &client.JoinOptions{Since: kept})
	if err != nil {
		log.Fatal(err)
	}
	for u := range room.Updates(ctx) {
		switch u := u.(type) {
		case client.Reset:
			copied = nil
		case client.Event:
			copied = append(copied, u.ID)
		}
		kept = room.Position()
		if len(copied) > 0 {
			break
		}
	}
	fmt.Println(copied, kept)
	// Output: [e101] e1.101
}
