// Hello is the smallest live room: it greets itself every second.
package main

import (
	"context"
	"crypto/rand"
	"log"
	"net/http"
	"time"

	"github.com/liveim/im"
)

func main() {
	guest := func(*http.Request) (im.User, error) { return im.User{ID: rand.Text()}, nil }
	hub, err := im.New(guest, nil)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/im/", http.StripPrefix("/im", hub))

	go func() {
		for now := range time.Tick(time.Second) {
			if _, err := hub.Room("42").Send(context.Background(), im.Notice, "hello, it is "+now.Format(time.TimeOnly)); err != nil {
				log.Print(err)
			}
		}
	}()

	server := &http.Server{Addr: "127.0.0.1:8080", ReadHeaderTimeout: 5 * time.Second}
	log.Print(`join room "42" at ws://` + server.Addr + "/im/ws")
	log.Fatal(server.ListenAndServe())
}
