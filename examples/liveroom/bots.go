package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
	"github.com/liveim/im/internal/replay"
)

const (
	// pool is how many sessions speak for the senders of the recording.
	pool = 50
	// backlog is how many comments wait for one session. What comes on top is
	// left out, as late comments make no sense.
	backlog = 64
	// sayTimeout bounds how long one comment is tried.
	sayTimeout = 5 * time.Second
	// chatEvery says which comments are said in the chat rather than flown.
	chatEvery = 5
	// likeEvery and giftEvery say after which comments their senders like, and give.
	likeEvery = 3
	giftEvery = 90
	// tipEvery is the time between two announcements of the host.
	tipEvery = time.Minute
)

var tips = []string{
	"欢迎！弹幕来自回放，你的发言是真的。 Welcome: the crowd is a replay, you are real.",
	"点右上角可以改名字。 Click your name to change it.",
	"断网试试：重连后从断点继续。 Cut your network for a moment: the page resumes where it was.",
}

// play lets people live in the room until ctx ends: the host, the silent crowd,
// and those who say what was recorded, in a loop. It waits for all of them.
func (s *server) play(ctx context.Context, items []replay.Item, c config) {
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { s.moderate(ctx) })
	all.Go(func() { s.gather(ctx, c.crowd) })
	bots := make([]bot, pool)
	for i := range bots {
		bots[i] = bot{server: s, number: i, queue: make(chan line, backlog)}
		all.Go(func() { bots[i].run(ctx) })
	}
	n := 0
	for start := time.Now(); ctx.Err() == nil; start = start.Add(replay.Length(items, c.speed)) {
		_ = replay.Play(ctx, items, start, c.speed, func(it replay.Item) { // fails only with ctx
			if !it.Plain() {
				return
			}
			n++
			b := &bots[slot(it.User)]
			b.offer(newLine(it, n))
			if n%likeEvery == 0 {
				b.offer(line{kind: im.Like, body: map[string]int{"n": 1 + n%4}})
			}
			if n%giftEvery == 0 {
				b.offer(line{kind: im.Gift, body: giftNames[n/giftEvery%len(giftNames)]})
			}
		})
	}
}

// moderate says what the host has to say.
func (s *server) moderate(ctx context.Context) {
	room := s.hub.Room(s.room)
	if _, err := room.Set(ctx, "title", "决赛之夜 · Fan zone"); err != nil {
		slog.Warn("liveroom: set the title: " + err.Error())
	}
	tick := time.NewTicker(tipEvery)
	defer tick.Stop()
	for i := 0; ; i++ {
		if _, err := room.Send(ctx, im.Notice, comment{Text: tips[i%len(tips)]}); err != nil && ctx.Err() == nil {
			slog.Warn("liveroom: send a notice: " + err.Error())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// comment is the body of danmaku, chat and notices in this room. The hub does
// not look into it; the page does.
type comment struct {
	Text  string `json:"text"`
	Color string `json:"color,omitempty"`
	Mode  int    `json:"mode,omitempty"`
	Size  int    `json:"size,omitempty"`
}

// line is what a bot has to say.
type line struct {
	kind im.Kind
	body any // comment, unless it is a like or a gift
}

func newLine(it replay.Item, n int) line {
	// Old recordings write line breaks as /n.
	text := strings.Join(strings.Fields(strings.ReplaceAll(it.Text, "/n", " ")), " ")
	if n%chatEvery == 0 {
		return line{im.Chat, comment{Text: text}}
	}
	return line{im.Danmaku, comment{text, fmt.Sprintf("#%06x", it.Color), it.Mode, it.Size}}
}

// bot is one session that speaks for some senders of the recording. It joins
// when it first has something to say.
type bot struct {
	server *server
	number int
	queue  chan line
}

// slot is the bot that speaks for a sender: always the same one, so that what
// one person says stays in order.
func slot(user string) int {
	h := fnv.New32a()
	h.Write([]byte(user))
	return int(h.Sum32() % pool)
}

func (b *bot) offer(l line) {
	select {
	case b.queue <- l:
	default:
	}
}

func (b *bot) run(ctx context.Context) {
	var first line
	select {
	case first = <-b.queue:
	case <-ctx.Done():
		return
	}
	c, room, err := b.server.enter(ctx, guest{ID: fmt.Sprintf("bot-%d", b.number), Name: nameOf(b.number), Roles: []string{botRole}})
	if err != nil {
		if ctx.Err() == nil {
			slog.Warn("liveroom: a bot cannot join: " + err.Error())
		}
		return
	}
	defer c.Close()
	for l := first; ; {
		b.say(ctx, c, room, l)
		select {
		case l = <-b.queue:
		case <-c.Done():
			slog.Warn("liveroom: a bot is out: " + c.Err().Error())
			return
		case <-ctx.Done():
			return
		}
	}
}

func (b *bot) say(ctx context.Context, c *client.Client, room *client.Room, l line) {
	sayCtx, cancel := context.WithTimeout(ctx, sayTimeout)
	defer cancel()
	var err error
	if l.kind == im.Gift {
		_, err = room.SendGift(sayCtx, fmt.Sprint(l.body), 1, 0)
	} else {
		_, err = room.Send(sayCtx, l.kind, l.body)
	}
	var refusal *im.Error
	if errors.As(err, &refusal) && (refusal.Code == im.CodeRoomMode || refusal.Code == im.CodeRateLimited) { // the host wants it so
		return
	}
	if err != nil && ctx.Err() == nil {
		slog.Warn("liveroom: a bot cannot say something: " + err.Error())
	}
}

// enter connects somebody to the hub and joins the room, as a listener who
// does not look at what the others say.
func (s *server) enter(ctx context.Context, who guest) (*client.Client, *client.Room, error) {
	token := s.guests.seal(who)
	c, err := client.Dial(ctx, s.url("ws", "/im/ws"), &client.Options{
		Token: func(context.Context) (string, error) { return token, nil },
	})
	if err != nil {
		return nil, nil, err
	}
	room, err := c.Join(ctx, s.room, &client.JoinOptions{NoUpdates: true})
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, room, nil
}

// gather lets n silent viewers in, a few at a time, and keeps them until ctx
// ends.
func (s *server) gather(ctx context.Context, n int) {
	const doors = 32
	var all sync.WaitGroup
	defer all.Wait()
	door := make(chan struct{}, doors)
	for i := range n {
		select {
		case door <- struct{}{}:
		case <-ctx.Done():
			return
		}
		all.Go(func() {
			c, _, err := s.enter(ctx, guest{ID: fmt.Sprintf("viewer-%d", i), Name: nameOf(i), Roles: []string{botRole}})
			<-door
			switch {
			case err == nil:
				<-ctx.Done()
				c.Close()
			case !errors.Is(err, context.Canceled):
				slog.Warn("liveroom: a viewer cannot join: " + err.Error())
			}
		})
	}
}
