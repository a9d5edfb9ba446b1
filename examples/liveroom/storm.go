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
	"github.com/liveim/im/internal/replay"
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

// shouts are what everybody says at such a moment. Three times in five a bot says something
// of the recording.
var shouts = []string{"666", "６６６", "6666666", "进了！！！", "GOAL", "goal!", "啊啊啊啊啊", "wow", "前方高能", "哈哈哈哈", "泪目", "gg"}

// storm is what the room needs for storms.
type storm struct {
	last  atomic.Int64 // when one began, in nanoseconds since 1970
	lines []comment    // of the recording
}

const (
	fewestLines = 50
	mostLines   = 2000
)

// stormLines takes what the bots say from a recording, or makes it up if that has too little.
func stormLines(items []replay.Item) (lines []comment) {
	for _, it := range items {
		if c, ok := newLine(it, 1).body.(comment); ok && it.Plain() && len(lines) < mostLines {
			lines = append(lines, c)
		}
	}
	if len(lines) < fewestLines {
		return stormLines(replay.Generate(replay.Profile{Duration: time.Minute, Rate: 20}))
	}
	return lines
}

// storm carries out stormOp.
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
		said := comment{Text: shouts[(7*bot+n)%len(shouts)]}
		if (bot+n)%5 < 3 {
			said = s.storms.lines[(stormBots*n+bot)%len(s.storms.lines)]
		}
		sends.Go(func() { _, _ = room.Send(ctx, im.Danmaku, said) }) // most are shed or merged
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
