package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	recording "github.com/liveim/im/internal/replay"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport/pipe"
)

const room = "42"

// message is one comment that was sent, and what became of it.
type message struct {
	user   string
	text   string
	weight int
	at     time.Duration // when it was sent
	status string        // of its answer; "refused" if a limit did
	told   time.Duration // when
	shown  time.Duration // when its event was accepted, by the hub's clock; -1: it has none
}

// run is one recording, looped without gaps at a speed for a time.
type run struct {
	name    string
	speed   float64
	length  time.Duration
	limited bool // the limits of users are on
	budget  int

	messages []message
	shown    []int // messages in the order of their events
	tallies  int
	merged   uint64 // as the room was told
	shed     uint64 // as the room was told
}

// weights makes one in fifty of those who talk little worth more than the others, so
// that weights matter.
func weights(items []recording.Item) map[string]int {
	const little, weight = 3, 5
	said, list := map[string]int{}, map[string]int{}
	for _, it := range items {
		said[it.User]++
	}
	for user, n := range said {
		h := fnv.New32a()
		h.Write([]byte(user))
		if n <= little && h.Sum32()%50 == 0 {
			list[user] = weight
		}
	}
	return list
}

// play carries out the run. It must be called in a synctest bubble.
func (r *run) play(t *testing.T, items []recording.Item) {
	levelled := weights(items)
	opts := &im.Options{
		Flow: im.Flow{Budget: r.budget, Weight: func(u im.User, _ im.Kind) int { return levelled[u.ID] }},
	}
	if !r.limited {
		opts.Limits = im.Limits{User: map[im.Kind]im.Limit{im.Danmaku: im.Unlimited}}
	}
	hub := imtest.NewHub(t, opts)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()

	begin := time.Now()
	var mu sync.Mutex // guards r
	byEvent := map[string]int{}
	viewer := connect(t, hub, im.User{ID: "viewer"}, "full")
	all.Go(func() {
		receive(ctx, viewer, func(m *wire.Message) {
			mu.Lock()
			defer mu.Unlock()
			for i := range m.Events {
				r.see(t, &m.Events[i], byEvent, begin)
			}
		})
	})
	senders := map[string]*pipe.Peer{}
	for _, it := range items {
		if senders[it.User] != nil {
			continue
		}
		p := connect(t, hub, im.User{ID: it.User}, "critical")
		senders[it.User] = p
		all.Go(func() {
			receive(ctx, p, func(m *wire.Message) {
				mu.Lock()
				defer mu.Unlock()
				r.answer(m, byEvent, begin)
			})
		})
	}

	period := items[len(items)-1].At + time.Second
	for loop := 0; ; loop++ {
		for _, it := range items {
			at := time.Duration(float64(it.At+time.Duration(loop)*period) / r.speed)
			if at >= r.length {
				<-time.After(3 * time.Second) // virtual: what waits is decided
				return
			}
			<-time.After(time.Until(begin.Add(at))) // virtual
			mu.Lock()
			r.messages = append(r.messages, message{user: it.User, text: it.Text, weight: levelled[it.User], at: at, shown: -1})
			id := len(r.messages)
			mu.Unlock()
			body, _ := json.Marshal(map[string]any{"text": it.Text, "mode": it.Mode, "i": id})
			if err := senders[it.User].Send(ctx, fmt.Appendf(nil, `{"op":"send","id":%d,"room":%q,"kind":"danmaku","body":%s}`, id, room, body)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// connect returns the client's side of a session that is in the room.
func connect(t *testing.T, hub *imtest.Hub, u im.User, tier string) *pipe.Peer {
	conn, peer := pipe.New(&pipe.Options{Buffer: 1 << 20})
	if _, err := hub.Attach(conn, u); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	if err := peer.Send(t.Context(), fmt.Appendf(nil, `{"op":"join","id":1,"room":%q,"tier":%q}`, room, tier)); err != nil {
		t.Fatal(err)
	}
	for {
		var m wire.Message
		b, err := peer.Recv(t.Context())
		if err != nil || json.Unmarshal(b, &m) != nil {
			t.Fatalf("joining: %s, %v", b, err)
		}
		if m.Op == wire.OpJoined {
			return peer
		}
	}
}

func receive(ctx context.Context, p *pipe.Peer, take func(*wire.Message)) {
	for {
		b, err := p.Recv(ctx)
		if err != nil {
			return
		}
		var m wire.Message
		if json.Unmarshal(b, &m) == nil {
			take(&m)
		}
	}
}

// see takes an event as the viewer gets it.
func (r *run) see(t *testing.T, e *wire.Event, byEvent map[string]int, begin time.Time) {
	switch im.Kind(e.Kind) {
	case im.Danmaku:
		var b struct{ I int }
		if json.Unmarshal(e.Body, &b) != nil || b.I < 1 || b.I > len(r.messages) {
			t.Errorf("an event that nobody sent: %s", e.Body)
			return
		}
		m := &r.messages[b.I-1]
		if m.shown >= 0 {
			t.Errorf("message %d was shown twice", b.I)
		}
		m.shown = time.UnixMilli(e.At).Sub(begin)
		byEvent[e.ID] = b.I - 1
		r.shown = append(r.shown, b.I-1)
	case im.Tally:
		var b im.TallyBody
		if err := json.Unmarshal(e.Body, &b); err != nil {
			t.Error(err)
		}
		r.tallies++
		r.merged += b.Merged
		r.shed += b.Shed
	}
}

// answer takes the answer to a message.
func (r *run) answer(m *wire.Message, _ map[string]int, begin time.Time) {
	if m.ID == 0 || m.ID > uint64(len(r.messages)) || m.Op != wire.OpAck && m.Op != wire.OpError {
		return
	}
	msg := &r.messages[m.ID-1]
	msg.status, msg.told = m.Status, time.Since(begin)
	if m.Op == wire.OpError {
		msg.status = "refused"
	}
}
