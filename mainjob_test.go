package im_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/replay"
)

// recording returns danmaku-b, or what the generator makes where it is absent.
func recording(t *testing.T) []replay.Item {
	t.Helper()
	files, err := replay.Find()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.Contains(f, "danmaku-b") {
			items, err := replay.ReadFile(f, nil)
			if err != nil {
				t.Fatal(err)
			}
			return items
		}
	}
	return replay.Generate(replay.Profile{Seed: 1, Duration: 500 * time.Second, Rate: 2.7})
}

// The main job: a recording at 20 times its speed, sent through 50 sessions and
// watched by 500 viewers over real sockets, 300 on WebSocket, 100 each on
// server-sent events and long-poll. Everybody who kept up has the same
// sequence, which is the one in the log.
func TestMainJobEverybodySeesTheSame(t *testing.T) {
	eachPath(t, func(t *testing.T, p ioPath, full bool) {
		job := mainJob{path: p, items: recording(t), senders: 50, sockets: 300, streams: 100, polls: 100}
		if !full {
			job.items, job.sockets, job.streams, job.polls = job.items[:min(len(job.items), 300)], 60, 20, 20
		}
		job.run(t)
	})
}

// mainJob is a recording, and who sends and sees it.
type mainJob struct {
	path                             ioPath
	items                            []replay.Item
	senders, sockets, streams, polls int
}

func (j *mainJob) run(t *testing.T) {
	const speed = 20
	items, viewers := j.items, j.sockets+j.streams+j.polls
	log, err := im.NewMemoryLog(&im.MemoryLogOptions{KeepVolatile: 2 * len(items)})
	if err != nil {
		t.Fatal(err)
	}
	hub, url := serve(t, imtest.BearerUser, &im.Options{IO: j.path.io, Log: log, Limits: im.Limits{User: map[im.Kind]im.Limit{im.Danmaku: im.Unlimited}}, Flow: im.Flow{Budget: -1}}, nil, nil)
	crowd := watch(t, url, "42", j.sockets)
	crowd.run()
	base := "http" + strings.TrimSuffix(strings.TrimPrefix(url, "ws"), "/ws")
	streaming, streamed := watchWeb(t, base, "42", "stream", j.streams, (*webViewer).stream)
	polling, polled := watchWeb(t, base, "42", "poll", j.polls, (*webViewer).poll)
	t.Cleanup(webClient.CloseIdleConnections)

	bots := make([]*botSender, j.senders)
	for i := range bots {
		bots[i] = newBotSender(t, url, fmt.Sprintf("sender-%d", i))
	}
	start := time.Now()
	err = replay.Play(t.Context(), items, start, speed, func(it replay.Item) {
		h := fnv.New32a()
		_, _ = h.Write([]byte(it.User))
		bots[h.Sum32()%uint32(j.senders)].offer(it)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bots {
		b.finish()
	}
	took := time.Since(start)
	if _, err := hub.Room("42").Send(t.Context(), im.Notice, "end"); err != nil {
		t.Fatal(err)
	}
	crowd.done.Wait()
	streamed.Wait()
	polled.Wait()
	var sights []*sight
	for _, w := range crowd.viewers {
		sights = append(sights, &w.sight)
	}
	for _, v := range slices.Concat(streaming, polling) {
		sights = append(sights, &v.sight)
	}

	keptUp := judgeSights(t, hub, len(items), sights)
	stats := hub.Stats()
	j.path.used(t, hub, true)
	t.Logf("%d danmaku in %v to %d viewers, %d of whom kept up; %d sends for %d deliveries",
		len(items), took.Round(time.Millisecond), viewers, keptUp, stats.Sends, (len(items)+1)*viewers)
	if keptUp < viewers/10 { // how many do depends on the machine; the test must not be empty
		t.Errorf("only %d of %d viewers kept up", keptUp, viewers)
	}
}

// judgeSights holds that the log has so many events and the end, and that whoever
// kept up saw just these. It returns how many did.
func judgeSights(t *testing.T, hub *im.Hub, items int, sights []*sight) (keptUp int) {
	t.Helper()
	page, err := hub.Room("42").History(t.Context(), im.HistoryQuery{Max: 2 * items})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Events) != items+1 {
		t.Fatalf("the log has %d events, want %d and the end", len(page.Events), items)
	}
	h := sha256.New()
	for _, e := range page.Events {
		fmt.Fprintln(h, e.Pos.Seq, e.ID, string(e.Kind), string(e.Body))
	}
	var want [32]byte
	h.Sum(want[:0])
	for i, w := range sights {
		switch {
		case !w.finished:
			t.Errorf("viewer %d did not reach the end", i)
		case w.events+w.missed != items+1:
			t.Errorf("viewer %d got %d events and was told of %d missed, of %d", i, w.events, w.missed, items+1)
		case w.gaps+w.resets == 0:
			keptUp++
			if w.sum != want {
				t.Errorf("viewer %d kept up and has another sequence: %d events", i, w.events)
			}
		}
	}
	return keptUp
}

// botSender sends what it is offered through one real session, in order.
type botSender struct {
	t     *testing.T
	c     *client.Client
	room  *client.Room
	queue chan replay.Item
	done  sync.WaitGroup
}

func newBotSender(t *testing.T, url, user string) *botSender {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, url, &client.Options{Header: http.Header{"Authorization": {"Bearer " + user}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	room, err := c.Join(ctx, "42", &client.JoinOptions{NoUpdates: true})
	if err != nil {
		t.Fatal(err)
	}
	b := &botSender{t: t, c: c, room: room, queue: make(chan replay.Item, 10_000)}
	b.done.Go(b.run)
	return b
}

func (b *botSender) offer(it replay.Item) { b.queue <- it }

func (b *botSender) finish() {
	close(b.queue)
	b.done.Wait()
}

func (b *botSender) run() {
	for it := range b.queue {
		ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Second)
		r, err := b.room.Send(ctx, im.Danmaku, map[string]any{"text": it.Text, "mode": it.Mode, "color": it.Color})
		cancel()
		if err != nil || r.Status != client.StatusOK {
			b.t.Errorf("send %q: %+v, %v", it.Text, r, err)
		}
	}
}
