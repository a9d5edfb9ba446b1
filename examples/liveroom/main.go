// Liveroom is a live room to look at: a page with a player, flying danmaku and
// a chat, a hub behind it, and people in it who are played from a recording.
//
//	go run ./examples/liveroom
//	go run ./examples/liveroom -replay danmaku.xml -speed 2 -crowd 1000
//	go run ./examples/liveroom -data /var/lib/liveroom
//
// With -data everything is kept over restarts; without it the memory has it.
// Everything that is said goes through real client sessions.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/liveim/im/internal/replay"
)

// config is what the flags say.
type config struct {
	addr   string
	replay string
	calm   bool
	speed  float64
	crowd  int
	room   string
	data   string // directory; empty: memory
}

func main() {
	var c config
	flag.StringVar(&c.addr, "addr", "127.0.0.1:8080", "`address` to listen on")
	flag.StringVar(&c.replay, "replay", "", "`file` of danmaku to play, JSON Lines or Bilibili XML (default: made up)")
	flag.Float64Var(&c.speed, "speed", 1, "how many times faster than recorded")
	flag.IntVar(&c.crowd, "crowd", 0, "`number` of silent viewers to add")
	flag.StringVar(&c.room, "room", "42", "`name` of the room")
	flag.StringVar(&c.data, "data", "", "`directory` that keeps the rooms over restarts (default: memory, which forgets)")
	flag.BoolVar(&c.calm, "calm", false, "leave nothing out, however busy the machine is")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "liveroom: unexpected argument %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it at once
	if err := run(ctx, c, func(url string) { fmt.Println("The live room is at", url) }); err != nil {
		slog.Error("liveroom: " + err.Error())
		os.Exit(1)
	}
}

// run serves the live room until ctx ends. It calls ready with the address of
// the page once that can be visited.
func run(ctx context.Context, c config, ready func(url string)) error {
	items, err := c.recording()
	if err != nil {
		return err
	}
	if !(c.speed >= replay.MinSpeed && c.speed <= replay.MaxSpeed) {
		return fmt.Errorf("-speed %v: want %v to %v", c.speed, replay.MinSpeed, replay.MaxSpeed)
	}
	if c.crowd < 0 {
		return fmt.Errorf("-crowd %d: want 0 or more", c.crowd)
	}
	s, err := newServer(ctx, c, items)
	if err != nil {
		return err
	}
	showCtx, stopShow := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.play(showCtx, items, c)
	}()
	ready(s.url("http", "/"))
	err = s.serve(ctx)
	stopShow()
	<-ended
	return errors.Join(err, s.shutdown(context.WithoutCancel(ctx)))
}

func (c config) recording() ([]replay.Item, error) {
	if c.replay == "" {
		return replay.Generate(replay.Profile{Duration: 10 * time.Minute, Rate: 8}), nil
	}
	return replay.ReadFile(c.replay, nil)
}
