package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
)

// stormOp is the operation by which a viewer lets a storm of danmaku break loose, to see
// what becomes of it.
const stormOp = "demo.storm"

const (
	stormBots   = 100
	stormLength = 10 * time.Second
	// stormPause is how long each bot waits before it says something again: all
	// together say 400 in a second, eight times what the room is shown.
	stormPause = 250 * time.Millisecond
	// stormRest is the least time from one storm to the next.
	stormRest = 20 * time.Second
)

// shouts are what everybody says at such a moment. Every eighth time the bots say
// something of their own.
var shouts = []string{"666", "６６６", "6666666", "进了！！！", "GOAL", "goal!", "啊啊啊啊啊", "wow", "前方高能", "哈哈哈哈", "泪目", "gg"}

// storm is when the last one began, as a time in nanoseconds.
type storm struct{ last atomic.Int64 }

// begin carries out stormOp.
func (s *server) storm(_ context.Context, r *im.Request) (any, error) {
	if r.Room != s.room {
		return nil, &im.Error{Code: im.CodeNotFound, Reason: "there is no such room here"}
	}
	now, last := time.Now(), time.Unix(0, s.storms.last.Load())
	if rest := stormRest - now.Sub(last); rest > 0 || !s.storms.last.CompareAndSwap(last.UnixNano(), now.UnixNano()) {
		return nil, &im.Error{Code: im.CodeRateLimited, Reason: "the last storm is not over long enough", RetryAfter: max(rest, time.Second)}
	}
	s.background(s.blow)
	return nil, nil
}

// blow has the bots talk at once.
func (s *server) blow(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stormLength+5*time.Second)
	defer cancel()
	until := time.Now().Add(stormLength)
	var all sync.WaitGroup
	for i := range stormBots {
		all.Go(func() {
			c, room, err := s.enter(ctx, guest{ID: fmt.Sprintf("storm-%d", i), Name: nameOf(1000 + i), Roles: []string{botRole}})
			if err != nil {
				if ctx.Err() == nil {
					slog.Warn("liveroom: a bot of the storm cannot join: " + err.Error())
				}
				return
			}
			defer c.Close()
			s.shout(ctx, room, i, until)
		})
	}
	all.Wait()
}

// shout says something again and again, without waiting for what becomes of it.
func (s *server) shout(ctx context.Context, room *client.Room, bot int, until time.Time) {
	tick := time.NewTicker(stormPause)
	defer tick.Stop()
	var sends sync.WaitGroup
	defer sends.Wait()
	for n := 0; time.Now().Before(until); n++ {
		text := shouts[(bot+n)%len(shouts)]
		if (bot+n)%8 == 0 {
			text = fmt.Sprintf("%s #%d", text, bot*1000+n)
		}
		sends.Go(func() { _, _ = room.Send(ctx, im.Danmaku, comment{Text: text}) }) // most are shed or merged
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
